/** Answers to what is not HTTP, or came too slowly: there is no request to reply to, only a socket. */
import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { HoldfastError } from "../../domain/error.ts";
import type { RefusalForm } from "./errors.ts";

const REASONS: Readonly<Record<string, { readonly status: string; readonly reason: string }>> = {
  HPE_HEADER_OVERFLOW: { status: "431 Request Header Fields Too Large", reason: "its headers are too large" },
  ERR_HTTP_REQUEST_TIMEOUT: { status: "408 Request Timeout", reason: "it did not arrive in time" },
};
const BROKEN = { status: "400 Bad Request", reason: "it is not HTTP/1.1" };

export function refuseBrokenHttp(error: NodeJS.ErrnoException, socket: Socket, form: RefusalForm): void {
  if (error.code === "ECONNRESET" || !socket.writable || owesAnswer(socket)) {
    socket.destroy();
    return;
  }
  const { status, reason } = REASONS[error.code ?? ""] ?? BROKEN;
  const body = JSON.stringify(form.body(new HoldfastError("invalid", `Cannot read the request: ${reason}`)));
  const headers = `Connection: close\r\nContent-Type: ${form.mediaType}\r\nContent-Length: ${body.length}`;
  socket.end(`HTTP/1.1 ${status}\r\n${headers}\r\n\r\n${body}`, () => socket.destroy());
}

/** Whether an answer to a whole request before the broken one is still due: ours would be taken for it. */
function owesAnswer(socket: Socket & { _httpMessage?: ServerResponse | null }): boolean {
  const pending = socket._httpMessage ?? undefined;
  return pending !== undefined && (pending.headersSent || pending.req.complete);
}
