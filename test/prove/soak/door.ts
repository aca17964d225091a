/** Kept-alive connections to the agent socket, as many as there are clients. */
import http from "node:http";
import type { Answer } from "../../e2e/request.ts";

export class Door {
  readonly #agent: http.Agent;
  readonly #socketPath: string;

  constructor(socketPath: string, connections: number) {
    this.#socketPath = socketPath;
    this.#agent = new http.Agent({ keepAlive: true, maxSockets: connections, maxFreeSockets: connections });
  }

  /** @throws what the connection throws; then nobody knows whether it was done */
  call(method: string, path: string, body?: object): Promise<Answer> {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const text = body === undefined ? undefined : JSON.stringify(body);
    const headers =
      text === undefined ? {} : { "content-type": "application/json", "content-length": Buffer.byteLength(text) };
    const outgoing = http.request({ socketPath: this.#socketPath, agent: this.#agent, method, path, headers });
    outgoing.on("error", reject);
    outgoing.on("response", (incoming) => {
      const chunks: Buffer[] = [];
      incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
      incoming.on("error", reject);
      incoming.on("end", () => resolve({ status: incoming.statusCode ?? 0, text: Buffer.concat(chunks).toString() }));
    });
    outgoing.end(text);
    return promise;
  }

  /** Closes what is idle; the next call opens it again. */
  rest(): void {
    this.#agent.destroy();
  }
}
