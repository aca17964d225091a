/**
 * One request to the daemon: JSON over HTTP over its Unix socket. What goes wrong comes back as a `HoldfastError`: the
 * daemon's own refusal word for word, or a sentence that names the socket and says what to look at.
 */
import type { IncomingMessage } from "node:http";
import { ERROR_CODES, type ErrorCode, HoldfastError } from "../../domain/error.ts";

export interface AgentRequest {
  readonly method: "GET" | "PUT" | "POST" | "DELETE";
  /** Path and query, encoded. */
  readonly path: string;
  readonly body?: unknown;
}

/** Reading never takes long; a change may wait for a slow disk, and giving up on it would only hide its outcome. */
const READ_TIMEOUT_MS = 15_000;

/** The parsed body of a successful answer. */
export async function askDaemon(socketPath: string, request: AgentRequest): Promise<unknown> {
  const answer = await send(socketPath, request).catch((error: unknown) => {
    throw connectionError(socketPath, error);
  });
  const body = parseBody(socketPath, answer);
  if (answer.status >= 200 && answer.status < 300) return body;
  throw refusal(socketPath, answer.status, body);
}

export interface StreamRequest {
  /** Path and query, encoded. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

/** An answer that goes on as long as both sides want. @throws the daemon's refusal, `unavailable` when nobody answers */
export async function openDaemon(
  socketPath: string,
  { path, headers, signal }: StreamRequest,
): Promise<IncomingMessage> {
  const { request } = process.getBuiltinModule("node:http");
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const outgoing = request({ socketPath, path, headers, signal, agent: false });
  outgoing.on("error", reject);
  outgoing.on("response", resolve);
  outgoing.end();
  const incoming = await promise.catch((error: unknown) => {
    throw connectionError(socketPath, error);
  });
  if (incoming.statusCode === 200) return incoming;
  const answer = await readAnswer(incoming);
  throw refusal(socketPath, answer.status, parseBody(socketPath, answer));
}

interface Answer {
  readonly status: number;
  readonly text: string;
}

function send(socketPath: string, { method, path, body }: AgentRequest): Promise<Answer> {
  // An import would evaluate every export of node:http, its WebSocket too, which takes longer than all the rest.
  const { request } = process.getBuiltinModule("node:http");
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const payload = body === undefined ? undefined : JSON.stringify(body);
  const outgoing = request({
    socketPath,
    method,
    path,
    agent: false,
    headers: payload === undefined ? {} : { "content-type": "application/json" },
  });
  if (method === "GET") outgoing.setTimeout(READ_TIMEOUT_MS, () => outgoing.destroy(new Error(NO_ANSWER)));
  outgoing.on("error", reject);
  outgoing.on("response", (incoming) => resolve(readAnswer(incoming)));
  outgoing.end(payload);
  return promise;
}

async function readAnswer(incoming: IncomingMessage): Promise<Answer> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk);
  return { status: incoming.statusCode ?? 0, text: Buffer.concat(chunks).toString("utf8") };
}

function parseBody(socketPath: string, { status, text }: Answer): unknown {
  if (text === "") return {};
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw notUnderstood(socketPath, `status ${status} without JSON`, cause);
  }
}

/** The daemon's own words; a code of a newer daemon, which this program does not know, counts as `internal`. */
export function refusal(socketPath: string, status: number, body: unknown): HoldfastError {
  const error = isObject(body) && isObject(body["error"]) ? body["error"] : {};
  const { code, message } = error;
  if (typeof message !== "string") return notUnderstood(socketPath, `status ${status} without a reason`);
  return new HoldfastError(isErrorCode(code) ? code : "internal", message);
}

function notUnderstood(socketPath: string, found: string, cause?: unknown): HoldfastError {
  return new HoldfastError("internal", `Cannot understand the answer of ${socketPath}: ${found}`, { cause });
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

function isErrorCode(value: unknown): value is ErrorCode {
  return typeof value === "string" && Object.hasOwn(ERROR_CODES, value);
}

const NO_ANSWER = `it did not answer for ${READ_TIMEOUT_MS / 1000} s`;
const NO_PERMISSION = "no permission to open the socket, become root or a member of the socket's group";

/** Why a socket cannot be used, by the kernel's error. */
const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such socket, is the daemon running and is --socket right?",
  ENOTDIR: "there is no such socket, is the daemon running and is --socket right?",
  ECONNREFUSED: "nobody listens there, the daemon is not running",
  EACCES: NO_PERMISSION,
  EPERM: NO_PERMISSION,
  EAGAIN: "too many requests are waiting there, try again",
  EINVAL: "the path is too long for a socket, at most 107 bytes",
  ECONNRESET: "it ended before it answered, see the daemon's log",
  EPIPE: "it ended before it answered, see the daemon's log",
};

function connectionError(socketPath: string, cause: unknown): HoldfastError {
  const reason = cause instanceof Error ? (REASONS[codeOf(cause)] ?? cause.message) : String(cause);
  return new HoldfastError("unavailable", `Cannot reach the daemon at ${socketPath}: ${reason}`, { cause });
}

function codeOf(error: NodeJS.ErrnoException): string {
  return error.code ?? "";
}
