import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CLIENT_COMMANDS, runCommandLine } from "../../../src/clients/cli/program.ts";

/** One request as the daemon saw it. */
interface SeenRequest {
  /** `GET /v1/volumes?limit=1`. */
  readonly line: string;
  readonly body: unknown;
}

export interface Reply {
  readonly status: number;
  readonly body: unknown;
}

/** An agent socket that answers from a table of `METHOD /path` and records what it was asked. */
export interface FakeDaemon {
  readonly socket: string;
  readonly seen: SeenRequest[];
  /** What comes next; without an entry the answer is 404. */
  readonly replies: Record<string, Reply>;
  stop(): Promise<void>;
}

export async function startFakeDaemon(): Promise<FakeDaemon> {
  const directory = await mkdtemp(join(tmpdir(), "holdfast-cli-"));
  const socket = join(directory, "holdfast.sock");
  const seen: SeenRequest[] = [];
  const replies: Record<string, Reply> = {};
  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const line = `${request.method} ${request.url}`;
    seen.push({ line, body: await readJson(request) });
    const reply = replies[line] ?? refused(404, "not_found", `Cannot find ${line}`);
    response.writeHead(reply.status, { "content-type": "application/json" });
    response.end(typeof reply.body === "string" ? reply.body : JSON.stringify(reply.body));
  };
  const server = createServer((request, response) => void answer(request, response));
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  return {
    socket,
    seen,
    replies,
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await rm(directory, { recursive: true });
    },
  };
}

export function answered(body: unknown): Reply {
  return { status: 200, body };
}

export function refused(status: number, code: string, message: string): Reply {
  return { status, body: { error: { code, message } } };
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  const text = Buffer.concat(chunks).toString("utf8");
  return text === "" ? undefined : JSON.parse(text);
}

export interface Outcome {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a client command in this process. */
export function run(socket: string, ...args: readonly string[]): Promise<Outcome> {
  return runWith("", socket, ...args);
}

/** Like `run`, with something on the standard input. */
export async function runWith(input: string, socket: string, ...args: readonly string[]): Promise<Outcome> {
  const stdout: string[] = [];
  const stderr: string[] = [];
  const status = await runCommandLine({
    version: "1.2.3",
    args,
    commands: CLIENT_COMMANDS,
    context: {
      defaultSocket: socket,
      print: (text) => void stdout.push(text),
      complain: (line) => void stderr.push(line),
      readInput: async () => input,
      environment: {},
    },
  });
  return { status, stdout: stdout.join("\n"), stderr: stderr.join("\n") };
}
