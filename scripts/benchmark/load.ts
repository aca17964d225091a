import { once } from "node:events";
import { Worker } from "node:worker_threads";
import type { Measured, Reply, Task } from "./client-worker.ts";
import type { Door } from "./connection.ts";

/** The measuring client as the benchmark sees it: one task at a time. */
export class Load {
  readonly #worker = new Worker(new URL("./client-worker.ts", import.meta.url));
  readonly #ended = once(this.#worker, "exit");

  /** A task that is under way when it is closed fails. */
  async run(task: Task): Promise<Measured> {
    this.#worker.postMessage(task);
    const ended = this.#ended.then((): [Reply] => [{ failure: "The measuring client was stopped" }]);
    const [reply] = (await Promise.race([once(this.#worker, "message"), ended])) as [Reply];
    if ("failure" in reply) throw new Error(reply.failure);
    return reply.measured;
  }

  /** Sends requests one after the other, or `connections` at a time. */
  send(door: Door, requests: readonly string[], connections = 1): Promise<Measured> {
    return this.run({ door, requests, connections });
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }
}

/** An HTTP/1.1 request as it goes over the wire. */
export function wire(method: string, path: string, body = "", contentType = "application/json"): string {
  const head = [`${method} ${path} HTTP/1.1`, "Host: localhost", `Content-Length: ${Buffer.byteLength(body)}`];
  if (body !== "") head.push(`Content-Type: ${contentType}`);
  return `${head.join("\r\n")}\r\n\r\n${body}`;
}
