import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";

const LOG_LINES = 20;

export type CommandLine = readonly [string, ...string[]];

/** A long-running program that writes to a log file and does not outlive this process. */
export class Program {
  readonly pid: number;
  readonly #child: ChildProcess;
  readonly #log: string;
  readonly #ended: Promise<unknown>;

  private constructor(child: ChildProcess, pid: number, log: string) {
    this.#child = child;
    this.pid = pid;
    this.#log = log;
    const killIt = (): boolean => child.kill("SIGKILL");
    process.once("exit", killIt);
    this.#ended = once(child, "exit").finally(() => process.off("exit", killIt));
  }

  static async start(commandLine: CommandLine, log: string): Promise<Program> {
    const output = openSync(log, "a");
    const [program, ...args] = commandLine;
    const child = spawn(program, args, { stdio: ["ignore", output, output] });
    closeSync(output);
    await once(child, "spawn");
    return new Program(child, child.pid as number, log);
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Sends a signal and waits for the end. One that has ended already is left alone. */
  async end(signal: NodeJS.Signals): Promise<void> {
    if (this.running) this.#child.kill(signal);
    await this.#ended;
  }

  /** Asks it to end, and makes it end when it takes too long; says whether it went by itself. */
  async stop(msMax: number): Promise<boolean> {
    const timely = await Promise.race([this.end("SIGTERM").then(() => true), sleep(msMax, false, { ref: false })]);
    await this.end("SIGKILL");
    return timely;
  }

  /** Waits until it answers; `answers` may fail until then. */
  async until(answers: () => Promise<boolean>, { msMax = 30_000, pollMs = 20 } = {}): Promise<void> {
    const deadline = performance.now() + msMax;
    while (!(await answers().catch(() => false))) {
      if (!this.running || performance.now() > deadline) {
        await this.end("SIGKILL");
        throw new Error(`${this.#child.spawnfile} did not come up:\n${await this.said()}`);
      }
      await sleep(pollMs);
    }
  }

  /** The end of what it said. */
  async said(): Promise<string> {
    return (await readFile(this.#log, "utf8")).split("\n").slice(-LOG_LINES).join("\n");
  }
}
