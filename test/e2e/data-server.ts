import { killTree } from "./process-tree.ts";
import { type CommandLine, Program } from "./program.ts";

const STOP_MS_MAX = 15_000;

/** Where a server of a test lives. */
export interface ServerPlace {
  /** The attached volume. */
  readonly data: string;
  /** For its socket and log. */
  readonly runDir: string;
  /** Puts a command line under the server's user and, where there is one, into its own mount namespace. */
  within(commandLine: CommandLine): CommandLine;
}

/** A real stateful server that keeps numbered rows. */
export interface DataServer {
  /** Makes an empty volume its data directory. */
  initialise(): Promise<void>;
  /** Starts it and waits until it answers. */
  start(): Promise<void>;
  /** Writes rows 1, 2, 3, ... one by one and tells each that the server has acknowledged, until the server is gone. */
  write(acknowledged: (row: number) => void): Promise<void>;
  rows(): Promise<ReadonlySet<number>>;
  /** Ends it and all its processes as a crash would. */
  kill9(): Promise<void>;
  stop(): Promise<void>;
}

/** The process of a server, which may have children that do not go with it. */
export class ServerProcess {
  #program: Program | undefined;

  async start(commandLine: CommandLine, log: string, answers: () => Promise<boolean>): Promise<void> {
    this.#program = await Program.start(commandLine, log);
    await this.#program.until(answers);
  }

  async kill9(): Promise<void> {
    if (this.#program?.running) await killTree(this.#program.pid);
    this.#program = undefined;
  }

  async stop(): Promise<void> {
    await this.#program?.stop(STOP_MS_MAX);
    this.#program = undefined;
  }
}
