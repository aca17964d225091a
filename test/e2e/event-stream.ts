/** A client of a daemon's event stream that keeps what it was told. */
import http from "node:http";
import type { Door } from "./request.ts";

export interface SeenEvent {
  readonly seq: number;
  readonly type: string;
  readonly by: string;
  readonly id?: string;
  readonly role?: string;
}

export class EventClient {
  readonly seen: SeenEvent[] = [];
  /** Why the daemon ended the stream, where it said so. */
  refusal: { readonly code: string; readonly message: string } | undefined;
  /** Resolves when the stream has ended, however it did. */
  readonly ended: Promise<void>;
  readonly #request: http.ClientRequest;

  private constructor(request: http.ClientRequest, incoming: http.IncomingMessage) {
    this.#request = request;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ended = promise;
    let rest = "";
    incoming.setEncoding("utf8");
    incoming.on("data", (chunk: string) => {
      const blocks = (rest + chunk).split("\n\n");
      rest = blocks.pop() ?? "";
      for (const block of blocks) this.#read(block);
    });
    incoming.on("error", () => resolve());
    incoming.on("close", () => resolve());
  }

  static open(door: Door, path: string, headers: http.OutgoingHttpHeaders = {}): Promise<EventClient> {
    return new Promise((resolve, reject) => {
      const request = http.request({ ...door, agent: false, path, headers });
      request.on("error", reject);
      request.on("response", (incoming) => {
        if (incoming.statusCode !== 200) reject(new Error(`${path}: ${incoming.statusCode}`));
        resolve(new EventClient(request, incoming));
      });
      request.end();
    });
  }

  #read(block: string): void {
    const data = /^data: (.*)$/m.exec(block)?.[1];
    if (data === undefined) return;
    if (/^event: refused$/m.test(block)) this.refusal = (JSON.parse(data) as { error: EventClient["refusal"] }).error;
    else this.seen.push(JSON.parse(data) as SeenEvent);
  }

  close(): void {
    this.#request.destroy();
  }
}
