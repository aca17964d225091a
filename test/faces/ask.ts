/** Requests as a stranger sends them: over real sockets, with nothing added but what the test says. */
import { Agent, request as httpRequest, type IncomingHttpHeaders } from "node:http";
import { connect } from "node:net";

export type Where = { readonly port: number; readonly host?: string } | { readonly socketPath: string };

export interface Question {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  /** The body as JSON, `undefined` when it is empty. */
  readonly json: unknown;
}

const agent = new Agent({ keepAlive: true });

export function ask(
  where: Where,
  path: string,
  { method = "GET", headers = {}, body }: Question = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const place = "port" in where ? { host: "127.0.0.1", ...where } : where;
    const request = httpRequest({ agent, ...place, path, method, headers }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () => {
        const text = Buffer.concat(chunks).toString("utf8");
        const isJson = response.headers["content-type"]?.startsWith("application/json") === true;
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          text,
          json: isJson && text !== "" ? JSON.parse(text) : undefined,
        });
      });
    });
    request.on("error", reject);
    request.end(body);
  });
}

/** Sends bytes and returns everything that came back until the other side closed. */
export function sendRaw(where: Where, bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = "port" in where ? connect({ host: "127.0.0.1", ...where }) : connect(where.socketPath);
    let received = "";
    socket.setEncoding("utf8");
    socket.on("data", (chunk) => {
      received += chunk;
    });
    socket.on("error", reject);
    socket.on("close", () => resolve(received));
    socket.write(bytes);
  });
}

export function codeIn(answer: Answer): unknown {
  return errorIn(answer)["code"];
}

export function messageIn(answer: Answer): unknown {
  return errorIn(answer)["message"];
}

export function errorIn({ json }: Answer): Record<string, unknown> {
  return (json as { error: Record<string, unknown> }).error;
}
