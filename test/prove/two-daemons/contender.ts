/** A small process that contends for a work root. */
import { execa } from "execa";

/** How an attempt ended. */
export interface Attempt {
  readonly owner?: true;
  readonly code?: string;
  readonly message?: string;
}

const ANSWER_MS_MAX = 10_000;
const SCRIPT = `${import.meta.dirname}/contender-worker.ts`;

export class Contender {
  readonly pid: number;
  readonly #child: ReturnType<typeof spawn>;
  readonly #lines: AsyncIterator<string>;

  private constructor(child: ReturnType<typeof spawn>, pid: number) {
    this.#child = child;
    this.pid = pid;
    this.#lines = child[Symbol.asyncIterator]();
  }

  static async start(): Promise<Contender> {
    const child = spawn();
    if (child.pid === undefined) throw new Error(`Cannot start a contender: ${(await child).message}`);
    const contender = new Contender(child, child.pid);
    await contender.#ask("release");
    return contender;
  }

  take(root: string): Promise<Attempt> {
    return this.#ask(root);
  }

  async release(): Promise<void> {
    await this.#ask("release");
  }

  /** Stops or resumes it; returns at once. */
  signal(signal: "SIGSTOP" | "SIGCONT"): void {
    process.kill(this.pid, signal);
  }

  /** Ends it, paused or not. */
  async end(signal: "SIGKILL" | "SIGTERM"): Promise<void> {
    this.#child.kill(signal);
    await this.#child;
  }

  async #ask(line: string): Promise<Attempt> {
    this.#child.stdin.write(`${line}\n`);
    const late = setTimeout(() => this.#child.kill("SIGKILL"), ANSWER_MS_MAX);
    const { done, value } = await this.#lines.next();
    clearTimeout(late);
    if (done === true) throw new Error(`Contender ${this.pid} ended without an answer: ${(await this.#child).stderr}`);
    return JSON.parse(value) as Attempt;
  }
}

function spawn() {
  const options = { stdin: "pipe", stdout: "pipe", buffer: { stdout: false }, reject: false } as const;
  return execa(process.execPath, [SCRIPT], options);
}
