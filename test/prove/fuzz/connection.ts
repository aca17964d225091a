/** One connection to a door: sends bytes, and reads answers off it, as many as come. */
import { once } from "node:events";
import net from "node:net";
import type { Door } from "../../e2e/request.ts";

const HEAD_END = "\r\n\r\n";
const STATUS_LINE = /^HTTP\/1\.1 (\d{3}) /;
const CONTENT_LENGTH = /\r\ncontent-length: (\d+)/i;
const CHUNKED = /\r\ntransfer-encoding: chunked/i;
const LAST_CHUNK = "0\r\n\r\n";
const CONTINUE = 100;
const BODY_SHOWN = 200;

export interface Answer {
  readonly status: number;
  /** Its beginning. */
  readonly body: string;
}

/** What came back. */
export interface Exchange {
  readonly answers: readonly Answer[];
  /** Whether the other side closed, or all was answered. */
  readonly ended: boolean;
  /** The longest time in which nothing came. */
  readonly silenceMs: number;
}

/**
 * Sends bytes on a new connection.
 * @param answers so many are enough; without, the sending side is closed and the other one has to close too
 */
export async function exchange(
  door: Door,
  bytes: Buffer,
  { answers, msMax }: { readonly answers?: number; readonly msMax: number },
): Promise<Exchange> {
  const socket = net.connect("socketPath" in door ? { path: door.socketPath } : door);
  const got: Answer[] = [];
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const timer = setTimeout(() => resolve(false), msMax);
  let rest: Buffer = Buffer.alloc(0);
  let heardMs = performance.now();
  let silenceMs = 0;
  const hear = (): void => {
    silenceMs = Math.max(silenceMs, performance.now() - heardMs);
    heardMs = performance.now();
  };
  socket.on("data", (chunk: Buffer) => {
    hear();
    rest = takeAnswers(Buffer.concat([rest, chunk]), got);
    if (answers !== undefined && got.length >= answers) resolve(true);
  });
  // Whoever sends junk may find the connection reset.
  socket.on("error", () => resolve(true));
  socket.on("close", () => resolve(true));
  if (answers === undefined) socket.end(bytes);
  else socket.write(bytes);
  const ended = await promise;
  hear();
  clearTimeout(timer);
  socket.destroy();
  if (!socket.closed) await once(socket, "close");
  return { answers: got, ended, silenceMs };
}

/** Takes whole answers off the front. @returns what is left */
function takeAnswers(bytes: Buffer, into: Answer[]): Buffer {
  let rest = bytes;
  for (;;) {
    const headEnd = rest.indexOf(HEAD_END);
    if (headEnd < 0) return rest;
    const head = rest.toString("latin1", 0, headEnd);
    const status = Number(STATUS_LINE.exec(head)?.[1] ?? 0);
    const bodyAt = headEnd + HEAD_END.length;
    const end = endOfBody(rest, bodyAt, head);
    if (end === undefined || end > rest.length) return rest;
    if (status !== CONTINUE)
      into.push({ status, body: rest.toString("utf8", bodyAt, Math.min(end, bodyAt + BODY_SHOWN)) });
    rest = rest.subarray(end);
  }
}

/** `undefined` while it cannot be told. */
function endOfBody(bytes: Buffer, start: number, head: string): number | undefined {
  if (!CHUNKED.test(head)) return start + Number(CONTENT_LENGTH.exec(head)?.[1] ?? 0);
  const last = bytes.indexOf(LAST_CHUNK, start);
  return last < 0 ? undefined : last + LAST_CHUNK.length;
}
