import { readFile } from "node:fs/promises";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Program } from "../e2e/program.ts";
import type { Room } from "./room.ts";

const POLL_MS = 20;
const READY_MS_MAX = 120_000;

export interface ServerOptions {
  readonly room: Room;
  /** Where its log goes. */
  readonly dir: string;
  readonly name: string;
  readonly commandLine: readonly string[];
  readonly isReady: () => Promise<boolean>;
}

/** A program that serves in a room, and that can be ended as a crash would. */
export class Server {
  readonly #options: ServerOptions;
  #program: Program | undefined;

  private constructor(options: ServerOptions) {
    this.#options = options;
  }

  static async start(options: ServerOptions): Promise<Server> {
    const server = new Server(options);
    await server.start();
    return server;
  }

  /** Starts it again after `kill9`. */
  async start(): Promise<void> {
    const { room, dir, name, commandLine, isReady } = this.#options;
    this.#program = await Program.start(room.within(commandLine), path.join(dir, `${name}.log`));
    await this.#program.until(isReady, { msMax: READY_MS_MAX, pollMs: 200 });
  }

  async kill9(): Promise<void> {
    await this.#end("SIGKILL");
  }

  async stop(): Promise<void> {
    await this.#end("SIGTERM");
  }

  /** What entered the room ends by itself when the server in it has ended. */
  async #end(signal: NodeJS.Signals): Promise<void> {
    const program = this.#program;
    if (program?.running !== true) return;
    process.kill(await innerPid(program.pid), signal);
    while (program.running) await sleep(POLL_MS);
    this.#program = undefined;
  }
}

async function innerPid(pid: number): Promise<number> {
  const inner = Number(await readFile(`/proc/${pid}/task/${pid}/children`, "utf8"));
  if (inner > 0) return inner;
  throw new Error(`Process ${pid} has no child in the room`);
}
