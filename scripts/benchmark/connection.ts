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
/** Behind what is sent in pieces; no answer that is measured has a line break in it. */
const LAST_PIECE = Buffer.from("\r\n0\r\n\r\n");

/**
 * A keep-alive HTTP/1.1 connection that does as little as possible: a request is one write of ready bytes, a response
 * is measured by its Content-Length, or goes to its last piece. Every measured server gets this same client.
 */
export class Connection {
  readonly #socket: net.Socket;
  #received: Buffer[] = [];
  #receivedBytes = 0;
  /** How long the answer is, once its head says so; looked at anew only when that much is there. */
  #expectedBytes = 0;
  /** The answer under way comes without its length. */
  #isInPieces = false;
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
    this.#received.push(chunk);
    this.#receivedBytes += chunk.length;
    if (this.#isInPieces && chunk.length >= LAST_PIECE.length && !endsIn(chunk, LAST_PIECE)) return;
    if (this.#receivedBytes < this.#expectedBytes) return;
    const received = this.#received.length === 1 ? chunk : Buffer.concat(this.#received);
    this.#received = [received];
    const headEnd = received.indexOf(HEAD_END);
    if (headEnd < 0) return;
    const bodyStart = headEnd + HEAD_END.length;
    const head = received.toString("latin1", 0, headEnd);
    const status = Number(head.slice(STATUS_START, STATUS_START + 3));
    this.#isInPieces = status !== NO_CONTENT && isInPieces(head);
    if (this.#isInPieces) this.#expectedBytes = received.length + (endsIn(received, LAST_PIECE) ? 0 : 1);
    else this.#expectedBytes = bodyStart + (status === NO_CONTENT ? 0 : contentLength(head));
    if (received.length < this.#expectedBytes) return;
    const body = received.subarray(bodyStart, this.#expectedBytes);
    this.#received = [];
    this.#receivedBytes = 0;
    this.#expectedBytes = 0;
    this.#isInPieces = false;
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

function endsIn(bytes: Buffer, end: Buffer): boolean {
  return bytes.subarray(-end.length).equals(end);
}

function isInPieces(head: string): boolean {
  return /^transfer-encoding: *chunked/im.test(head);
}

function contentLength(head: string): number {
  const length = /^content-length: *(\d+)/im.exec(head)?.[1];
  if (length === undefined) throw new Error(`The answer has no Content-Length:\n${head}`);
  return Number(length);
}
