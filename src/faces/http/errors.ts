/** How a refusal reads in HTTP: one status for every code, one form of body, and never a stack trace. */
import type { FastifyReply, FastifyRequest } from "fastify";
import { type ErrorCode, HoldfastError } from "../../domain/error.ts";
import type { Log } from "../../ports/log.ts";
import type { ErrorBody } from "./wire.ts";

/** The status of every code. A volume that is missing is 404 only where the address names it, see `statusOf`. */
export const STATUS: Readonly<Record<ErrorCode, number>> = {
  invalid: 400,
  unknown_agent: 400,
  no_such_volume: 400,
  duplicate_volume: 400,
  unauthenticated: 401,
  forbidden: 403,
  no_such_app: 404,
  no_such_container: 404,
  no_such_operation: 404,
  no_such_process: 404,
  not_found: 404,
  method_not_allowed: 405,
  duplicate_app: 409,
  insufficient: 409,
  in_use: 409,
  protected: 409,
  busy: 409,
  conflict: 409,
  unsupported: 409,
  damaged: 409,
  operation_id_reused: 409,
  too_large: 413,
  unsupported_media_type: 415,
  misdirected: 421,
  internal: 500,
  unavailable: 503,
  disk_full: 507,
};

/** How a door's refusals read. */
export interface RefusalForm {
  readonly mediaType: string;
  status(error: HoldfastError, request: FastifyRequest): number;
  body(error: HoldfastError): object;
}

/** What a client accepts that wants a refusal as a line of text. */
const TEXT = "text/plain";
const CONTROLS = /\p{Cc}+/gu;

export function errorBody(error: HoldfastError): ErrorBody {
  return { error: { code: error.code, message: error.message, ...error.details } };
}

/** What our own protocols answer. */
export const PLAIN_FORM: RefusalForm = Object.freeze({
  mediaType: "application/json; charset=utf-8",
  status: statusOf,
  body: errorBody,
});

/** Answers with a refusal; a failure of our own goes to the log and reveals nothing. */
export function sendError(
  thrown: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
  { log, form }: { readonly log: Log; readonly form: RefusalForm },
): FastifyReply {
  const error = publicRefusal(thrown, request, log);
  reply.code(form.status(error, request));
  if (form === PLAIN_FORM && request.headers.accept === TEXT) return reply.type(TEXT).send(lineOf(error));
  return sendAs(form.mediaType, form.body(error), reply);
}

/** Answers with JSON under a media type of its own, which fastify would amend for anything but bytes. */
export function sendAs(mediaType: string, body: object, reply: FastifyReply): FastifyReply {
  return reply.type(mediaType).send(Buffer.from(JSON.stringify(body)));
}

/** The reason alone, for a script that shows it to a person. */
function lineOf({ message }: HoldfastError): string {
  return `${message.replace(CONTROLS, " ")}\n`;
}

function publicRefusal(thrown: unknown, request: FastifyRequest, log: Log): HoldfastError {
  const error = asRefusal(thrown);
  if (error !== undefined && error.code !== "internal") return error;
  log.error({ err: thrown, method: request.method, path: pathOf(request) }, "Cannot answer a request");
  return new HoldfastError("internal", "Cannot answer: see the log");
}

/** The address without its query. */
export function pathOf(request: FastifyRequest): string {
  const url = request.raw.url ?? "";
  const end = url.indexOf("?");
  return end < 0 ? url : url.slice(0, end);
}

function statusOf(error: HoldfastError, request: FastifyRequest): number {
  const named = request.method === "GET" || request.method === "HEAD";
  return error.code === "no_such_volume" && named ? 404 : STATUS[error.code];
}

/** The refusal in what was thrown; fastify has errors of its own for what it could not read. */
function asRefusal(thrown: unknown): HoldfastError | undefined {
  if (thrown instanceof HoldfastError) return thrown;
  const status = thrown instanceof Error && "statusCode" in thrown ? thrown.statusCode : undefined;
  switch (status) {
    case 400:
      return new HoldfastError("invalid", "Cannot read the request: broken HTTP or a broken address", {
        cause: thrown,
      });
    case 414:
      return new HoldfastError("not_found", "Cannot find this address: too long", { cause: thrown });
    case 415:
      return new HoldfastError("unsupported_media_type", "Cannot read the Content-Type header", { cause: thrown });
    default:
      return undefined;
  }
}
