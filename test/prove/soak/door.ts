/** Kept-alive connections to the agent socket, as many as there are clients. */
import http from "node:http";
import { type Answer, request } from "../../e2e/request.ts";

export class Door {
  readonly #agent: http.Agent;
  readonly #socketPath: string;

  constructor(socketPath: string, connections: number) {
    this.#socketPath = socketPath;
    this.#agent = new http.Agent({ keepAlive: true, maxSockets: connections, maxFreeSockets: connections });
  }

  /** @throws what the connection throws; then nobody knows whether it was done */
  call(method: string, path: string, body?: object): Promise<Answer> {
    return request({ socketPath: this.#socketPath }, { method, path, body }, this.#agent);
  }

  /** Closes what is idle; the next call opens it again. */
  rest(): void {
    this.#agent.destroy();
  }
}
