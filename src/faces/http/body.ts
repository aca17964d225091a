/** Request bodies: collected up to a limit, decoded strictly. What the bytes mean is for the route to say. */
import { isUtf8 } from "node:buffer";
import type { IncomingMessage } from "node:http";
import type { FastifyRequest } from "fastify";
import { HoldfastError } from "../../domain/error.ts";
import { parseJson } from "./json.ts";

export const BODY_BYTES_MAX = 1024 * 1024;

/** What is read and thrown away behind the limit, so that the client gets the answer and not a reset connection. */
const DRAINED_BYTES_MAX = 16 * BODY_BYTES_MAX;

const EMPTY = Buffer.alloc(0);

/** A parser for fastify that takes any content type and leaves the bytes as they are. */
export function collectBody(
  _request: FastifyRequest,
  stream: IncomingMessage,
  done: (error: Error | null, body?: Buffer) => void,
): void {
  const chunks: Buffer[] = [];
  let received = 0;
  stream.on("data", (chunk: Buffer) => {
    received += chunk.length;
    if (received <= BODY_BYTES_MAX) chunks.push(chunk);
    else if (received > DRAINED_BYTES_MAX) finish(tooLarge());
  });
  stream.on("end", () => finish(received > BODY_BYTES_MAX ? tooLarge() : null));
  stream.on("error", (cause) => finish(new HoldfastError("invalid", "Cannot read the body: it broke off", { cause })));

  let finished = false;
  function finish(error: HoldfastError | null): void {
    if (finished) return;
    finished = true;
    if (error === null) done(null, chunks.length === 1 ? chunks[0] : Buffer.concat(chunks, received));
    else done(error);
  }
}

/** The body as text. @throws `invalid` what is not UTF-8 */
export function readText(request: FastifyRequest): string {
  const bytes = request.body instanceof Buffer ? request.body : EMPTY;
  if (!isUtf8(bytes)) throw new HoldfastError("invalid", "Cannot read the body: it is not UTF-8");
  return bytes.toString("utf8");
}

/**
 * The body as JSON, which must be declared: no page in a browser can send that elsewhere without being asked first.
 * @throws `unsupported_media_type` another or no content type, `invalid` what is not JSON
 */
export function readJson(request: FastifyRequest): unknown {
  if (mediaTypeOf(request) !== "application/json") {
    throw new HoldfastError(
      "unsupported_media_type",
      "Cannot read the body: its Content-Type must be application/json",
    );
  }
  return readUndeclaredJson(request);
}

/** The body as JSON, whatever it is declared as. @throws `invalid` what is not JSON */
export function readUndeclaredJson(request: FastifyRequest): unknown {
  return parseJson(readText(request), "the body");
}

/** `application/json` without parameters, in lower case; `undefined` without a Content-Type. */
export function mediaTypeOf(request: FastifyRequest): string | undefined {
  return request.headers["content-type"]?.split(";", 1)[0]?.trim().toLowerCase();
}

function tooLarge(): HoldfastError {
  return new HoldfastError("too_large", `Cannot read the body: larger than ${BODY_BYTES_MAX} bytes`);
}
