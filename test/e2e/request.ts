import http from "node:http";

/** Where a door is: a port on the loopback, or a Unix socket. */
export type Door = { readonly host: string; readonly port: number } | { readonly socketPath: string };

export interface Call {
  readonly method?: string;
  readonly path: string;
  readonly headers?: http.OutgoingHttpHeaders;
  /** Text is sent as it is, anything else as JSON. */
  readonly body?: unknown;
}

export interface Answer {
  readonly status: number;
  readonly text: string;
}

/** One HTTP call, on a connection of its own unless there is an agent. */
export function request(door: Door, call: Call, agent: http.Agent | false = false): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const body = typeof call.body === "object" ? JSON.stringify(call.body) : (call.body as string | undefined);
  const headers = { ...(typeof call.body === "object" && { "content-type": "application/json" }), ...call.headers };
  const outgoing = http.request({ ...door, agent, method: call.method ?? "GET", path: call.path, headers });
  outgoing.on("error", reject);
  outgoing.on("response", (incoming) => {
    const chunks: Buffer[] = [];
    incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
    incoming.on("error", reject);
    incoming.on("end", () => resolve({ status: incoming.statusCode ?? 0, text: Buffer.concat(chunks).toString() }));
  });
  outgoing.end(body);
  return promise;
}

/** Like `request`, for callers that know what must come back. */
export async function requestJson<T>(door: Door, call: Call, status = 200): Promise<T> {
  const answer = await request(door, call);
  if (answer.status !== status) {
    throw new Error(`${call.method ?? "GET"} ${call.path}: ${answer.status}, expected ${status}: ${answer.text}`);
  }
  return (answer.text === "" ? undefined : JSON.parse(answer.text)) as T;
}
