import { once } from "node:events";
import net from "node:net";

/** Where a server listens. */
export type Door = { readonly host: string; readonly port: number } | { readonly socketPath: string };

interface Waiting {
  resolve(): void;
  reject(reason: Error): void;
}

const HEAD_END = Buffer.from("\r\n\r\n");
const STATUS_START = "HTTP/1.1 ".length;
const NO_CONTENT = 204;

/**
 * A keep-alive HTTP/1.1 connection that does as little as possible: a request is one write of ready bytes, a response
 * is measured by its Content-Length. Every measured server gets this same client.
 */
export class Connection {
  readonly #socket: net.Socket;
  #received: Buffer = Buffer.alloc(0);
  #waiting: Waiting | undefined;

  private constructor(socket: net.Socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on("data", (chunk: Buffer) => this.#take(chunk));
    socket.on("error", (reason) => this.#fail(reason));
    socket.on("close", () => this.#fail(new Error("The server closed the connection")));
  }

  static async open(door: Door): Promise<Connection> {
    const socket = net.connect("port" in door ? { ...door } : { path: door.socketPath });
    await once(socket, "connect");
    return new Connection(socket);
  }

  /** Sends one request and waits for its answer; an answer that is not 2xx throws. */
  exchange(request: Buffer): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#waiting = { resolve, reject };
    this.#socket.write(request);
    return promise;
  }

  /** False once the server has closed it, which servers do with idle connections. */
  get open(): boolean {
    return this.#socket.writable;
  }

  close(): void {
    this.#socket.destroy();
  }

  #take(chunk: Buffer): void {
    this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
    const headEnd = this.#received.indexOf(HEAD_END);
    if (headEnd < 0) return;
    const bodyStart = headEnd + HEAD_END.length;
    const head = this.#received.toString("latin1", 0, headEnd);
    const status = Number(head.slice(STATUS_START, STATUS_START + 3));
    const length = status === NO_CONTENT ? 0 : contentLength(head);
    if (this.#received.length < bodyStart + length) return;
    const body = this.#received.subarray(bodyStart, bodyStart + length);
    this.#received = this.#received.subarray(bodyStart + length);
    if (status >= 200 && status < 300) this.#settle()?.resolve();
    else this.#fail(new Error(`The server answered ${status}: ${body.toString()}`));
  }

  #fail(reason: Error): void {
    this.#settle()?.reject(reason);
  }

  #settle(): Waiting | undefined {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    return waiting;
  }
}

function contentLength(head: string): number {
  const length = /^content-length: *(\d+)/im.exec(head)?.[1];
  if (length === undefined) throw new Error(`The answer has no Content-Length:\n${head}`);
  return Number(length);
}
