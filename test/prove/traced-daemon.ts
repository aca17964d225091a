/**
 * The daemon under strace: as it is installed, so that it starts quickly and stays the same while the run lasts. strace
 * counts the calls of each thread from the moment it is attached, so it is attached to the idle daemon right before a
 * request, to the threads of one name; every start of a daemon makes the same ones.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, openSync, readdirSync, readFileSync } from "node:fs";
import { readFile, rm } from "node:fs/promises";
import net from "node:net";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { makeProgram } from "../e2e/bundled-program.ts";
import { liveHeap, tellingHeap } from "../e2e/live-heap.ts";
import { makePlace } from "../e2e/place.ts";
import { request } from "../e2e/request.ts";

export const STRACE = "/usr/bin/strace";

const READY_MS_MAX = 30_000;
const POLL_MS = 3;
const STUCK_MS = 3_000;
const LOG_BYTES = 3_000;
const ATTACHED = /attached/;

/** What strace does at a call: `when` as strace has it, `3` the third of each thread, `3+` from the third on. */
export interface Injection {
  /** One or several, with commas between them. */
  readonly calls: string;
  readonly what: string;
  readonly when: string;
}

/** Makes the program for as long as `work` lasts, and hands over the file to run. */
export async function withProgram(work: (program: string) => Promise<void>): Promise<void> {
  const place = await makePlace("program");
  try {
    await work(await makeProgram(path.join(place.dir, "program")));
  } finally {
    await place.remove();
  }
}

/** How it ended: a status, or a signal. */
export interface End {
  readonly status: number | undefined;
  readonly signal: string | undefined;
}

export interface TracedOptions {
  /** Work root, socket, logs and traces are made in it. */
  readonly dir: string;
  readonly program: string;
  /** `UV_THREADPOOL_SIZE` */
  readonly pool: number;
  readonly args: readonly string[];
  /** Lets `liveHeap` be asked. */
  readonly tellsHeap?: boolean;
}

interface Running {
  readonly pid: number;
  readonly ended: Promise<End>;
  end: End | undefined;
}

export class TracedDaemon {
  readonly socket: { readonly socketPath: string };
  readonly workRoot: string;
  readonly log: string;
  readonly #options: TracedOptions;
  #pool: number;
  #running: Running | undefined;
  #tracer: Tracer | undefined;

  constructor(options: TracedOptions) {
    this.#options = options;
    this.#pool = options.pool;
    this.socket = { socketPath: path.join(options.dir, "agent.sock") };
    this.workRoot = path.join(options.dir, "root");
    this.log = path.join(options.dir, "daemon.log");
  }

  get pid(): number {
    if (this.#running === undefined) throw new Error("The daemon was never started");
    return this.#running.pid;
  }

  /** How it ended, `undefined` while it runs. */
  get end(): End | undefined {
    return this.#running?.end;
  }

  get ended(): Promise<End> {
    if (this.#running === undefined) throw new Error("The daemon was never started");
    return this.#running.ended;
  }

  /** From the next start on. */
  set pool(size: number) {
    this.#pool = size;
  }

  get trace(): string {
    return path.join(this.#options.dir, "trace");
  }

  /** Starts it until it is ready, or has ended; says which. With an injection strace runs beside it from its first call on. */
  async start(injection?: Injection, readyMsMax = READY_MS_MAX): Promise<"ready" | "ended" | "hangs"> {
    await rm(this.trace, { force: true });
    const { dir, program, args } = this.#options;
    const daemon = [process.execPath, program, "daemon", "--work-root", this.workRoot];
    daemon.push("--socket", this.socket.socketPath, "--listen", `127.0.0.1:${await freePort()}`, ...args);
    const tracer = injection === undefined ? [] : [STRACE, "-D", "-f", ...this.#traceOptions(injection)];
    const [file = "", ...rest] = [...tracer, ...daemon];
    const env = this.#options.tellsHeap === true ? { NODE_OPTIONS: tellingHeap(this.#heapFile) } : {};
    const running = await run(file, rest, { dir, pool: this.#pool, log: this.log, env });
    this.#running = running;
    const deadline = performance.now() + readyMsMax;
    while (running.end === undefined) {
      if (await this.#isReady()) return "ready";
      if (performance.now() > deadline) return "hangs";
      await sleep(POLL_MS);
    }
    return "ended";
  }

  /** Starts it; throws with what it said when it does not become ready. */
  async mustStart(): Promise<void> {
    const outcome = await this.start();
    if (outcome !== "ready") throw new Error(`The daemon ${outcome}: ${await this.said()}`);
  }

  async kill9(): Promise<void> {
    if (this.#running === undefined) return;
    if (this.#running.end === undefined) process.kill(this.pid, "SIGKILL");
    // Now and then strace waits for ever for a thread that has ended, and nobody hears of the daemon's end meanwhile.
    await Promise.race([this.#running.ended, sleep(STUCK_MS)]);
    if (this.#running.end === undefined) await this.#tracer?.kill9();
    await this.#running.ended;
  }

  /** Attaches strace to the threads of this name, or to all; resolves when the next call counts. */
  async attach(thread: string, injection: Injection): Promise<Tracer> {
    await rm(this.trace, { force: true });
    const targets =
      thread === "all" ? ["-f", "-p", String(this.pid)] : this.#threads(thread).flatMap((tid) => ["-p", tid]);
    this.#tracer = await Tracer.attach([...this.#traceOptions(injection), ...targets]);
    return this.#tracer;
  }

  /** Whether there are threads of this name now. */
  has(thread: string): boolean {
    return thread === "all" || this.#threads(thread).length > 0;
  }

  /** What strace wrote. */
  async traced(): Promise<string> {
    return existsSync(this.trace) ? readFile(this.trace, "utf8") : "";
  }

  /** Bytes of its main thread's heap when garbage is gone. */
  liveHeap(): Promise<number> {
    return liveHeap(this.pid, this.#heapFile);
  }

  get #heapFile(): string {
    return path.join(this.#options.dir, "heap");
  }

  /** The end of its log. */
  async said(): Promise<string> {
    return existsSync(this.log) ? (await readFile(this.log, "utf8")).slice(-LOG_BYTES) : "";
  }

  #threads(name: string): string[] {
    const tasks = `/proc/${this.pid}/task`;
    return readdirSync(tasks).filter((tid) => nameOf(`${tasks}/${tid}/comm`) === name);
  }

  #traceOptions({ calls, what, when }: Injection): string[] {
    const inject = what === "" ? [] : ["-e", `inject=${calls}:${what}:when=${when}`];
    return ["-y", "-s", "0", "-o", this.trace, "-e", `trace=${calls}`, "-e", "signal=none", ...inject];
  }

  async #isReady(): Promise<boolean> {
    const answer = await request(this.socket, { path: "/readyz" }).catch(() => undefined);
    return answer?.status === 200;
  }
}

/** strace beside a running daemon. */
export class Tracer {
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.#ended = endWithUs(child);
  }

  static async attach(args: readonly string[]): Promise<Tracer> {
    const child = spawn(STRACE, args, { stdio: ["ignore", "ignore", "pipe"] });
    const tracer = new Tracer(child);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    let said = "";
    const wanted = args.filter((arg) => arg === "-p").length;
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      said += text;
      if (said.split("\n").filter((line) => ATTACHED.test(line)).length >= wanted) resolve();
    });
    void tracer.#ended.then(() => reject(new Error(`strace ended: ${said}`)));
    await promise;
    return tracer;
  }

  /** The daemon goes on without it. */
  async detach(): Promise<void> {
    if (this.#child.exitCode === null) this.#child.kill("SIGTERM");
    await Promise.race([this.#ended, sleep(STUCK_MS)]);
    await this.kill9();
  }

  /** For one that is stuck, or has ended already. */
  async kill9(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#ended;
  }
}

interface Surroundings {
  readonly dir: string;
  readonly pool: number;
  readonly log: string;
  readonly env: NodeJS.ProcessEnv;
}

async function run(
  file: string,
  args: readonly string[],
  { dir, pool, log, env: more }: Surroundings,
): Promise<Running> {
  const output = openSync(log, "a");
  const env = { ...process.env, UV_THREADPOOL_SIZE: String(pool), TMPDIR: path.join(dir, "tmp"), ...more };
  const child = spawn(file, args, { cwd: dir, env, stdio: ["ignore", output, output] });
  closeSync(output);
  await once(child, "spawn");
  const ended = endWithUs(child);
  const running: Running = { pid: child.pid as number, ended, end: undefined };
  void ended.then((end) => {
    running.end = end;
  });
  return running;
}

/** It does not outlive this process. */
async function endWithUs(child: ChildProcess): Promise<End> {
  const killIt = (): boolean => child.kill("SIGKILL");
  process.once("exit", killIt);
  const [status, signal] = (await once(child, "exit")) as [number | null, NodeJS.Signals | null];
  process.off("exit", killIt);
  return { status: status ?? undefined, signal: signal ?? undefined };
}

/** Names of threads that end while they are looked at are nobody's. */
function nameOf(file: string): string {
  try {
    return readFileSync(file, "utf8").trim();
  } catch {
    return "";
  }
}

async function freePort(): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const server = net.createServer().listen(0, "127.0.0.1", resolve);
  await promise;
  const { port } = server.address() as net.AddressInfo;
  await new Promise((closed) => server.close(closed));
  return port;
}
