/**
 * gRPC answers what it will not take (a call that is not served, another content type) without looking whether the caller
 * is still there. Where the call was taken back meanwhile that throws, in nobody's hands, and would end the process. Its
 * server has no other place to look before that than the method that takes every stream.
 */
import type { ServerHttp2Stream } from "node:http2";
import type { Server } from "@grpc/grpc-js";

type TakeStream = (interceptors: unknown, stream: ServerHttp2Stream, headers: unknown) => void;

/** To be called before the server takes connections. A call whose caller is gone before it begins is not begun. */
export function skipGoneCallers(server: Server): void {
  const inner = server as unknown as { _streamHandler?: TakeStream };
  const take = inner._streamHandler;
  if (typeof take !== "function") throw new Error("@grpc/grpc-js takes its streams in another way than it did");
  inner._streamHandler = (interceptors, stream, headers) => {
    if (!stream.destroyed) return take.call(server, interceptors, stream, headers);
    // Its end may still be told as a failure.
    stream.on("error", () => {});
  };
}
