/** The `Authorization` header of RFC 7617. */

export interface Login {
  readonly principal: string;
  readonly secret: string;
}

/** A longer header carries no secret that anybody types or generates. */
const LENGTH_MAX = 8192;

const BASIC = /^basic +([a-z0-9+/]+={0,2}) *$/i;

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The scheme is case-insensitive, the secret may contain colons; `undefined` when the header is anything else. */
export function parseBasicHeader(header: string): Login | undefined {
  const [, token] = header.length > LENGTH_MAX ? [] : (BASIC.exec(header) ?? []);
  const login = token === undefined ? undefined : decode(token);
  const colon = login?.indexOf(":") ?? -1;
  if (login === undefined || colon < 0) return undefined;
  return { principal: login.slice(0, colon), secret: login.slice(colon + 1) };
}

function decode(base64: string): string | undefined {
  try {
    return utf8.decode(Buffer.from(base64, "base64"));
  } catch {
    return undefined;
  }
}
