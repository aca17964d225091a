/**
 * The real daemon for tests and the benchmark: `scripts/holdfast daemon` in a work root of its own, with a free port and
 * a socket, started until ready, killed, stopped and started again as often as wanted.
 */
import { once } from "node:events";
import { mkdir } from "node:fs/promises";
import net from "node:net";
import path from "node:path";
import { liveHeap, tellingHeap } from "./live-heap.ts";
import type { User } from "./place.ts";
import { underUser } from "./privileges.ts";
import { type CommandLine, Program } from "./program.ts";
import { request } from "./request.ts";

const REPOSITORY = path.resolve(import.meta.dirname, "../..");
const STOP_MS_MAX = 15_000;
const READY_POLL_MS = 2;

export interface DaemonOptions {
  /** Must exist and belong to the daemon's user; work root, socket and log are made in it. */
  readonly dir: string;
  /** More daemon options, for example `--resources`. */
  readonly args?: readonly string[];
  /** How long to wait until it is ready, and how often to ask, in milliseconds: for machines that are slow. */
  readonly patience?: { readonly msMax: number; readonly pollMs: number };
  /** The file to run instead of the source, `main.js` of a bundle; not for another user. */
  readonly program?: string;
  /** Runs the daemon as this user instead of the caller's; only root can. */
  readonly user?: User;
  /** Lets `liveHeap` be asked. */
  readonly tellsHeap?: boolean;
}

export class Daemon {
  readonly http: { readonly host: string; readonly port: number };
  readonly socket: { readonly socketPath: string };
  readonly workRoot: string;
  readonly #options: DaemonOptions;
  #program: Program | undefined;

  private constructor(options: DaemonOptions, port: number) {
    this.#options = options;
    this.http = { host: "127.0.0.1", port };
    this.socket = { socketPath: path.join(options.dir, "agent.sock") };
    this.workRoot = path.join(options.dir, "root");
  }

  /** Starts a daemon and waits until it is ready. */
  static async start(options: DaemonOptions): Promise<Daemon> {
    const daemon = new Daemon(options, await freePort());
    if (options.user !== undefined) await mkdir(path.join(options.dir, "program"), { recursive: true });
    await daemon.start();
    return daemon;
  }

  /** The daemon's own process id: `scripts/holdfast` replaces itself. */
  get pid(): number {
    if (this.#program === undefined) throw new Error("The daemon is not running");
    return this.#program.pid;
  }

  get url(): string {
    return `http://${this.http.host}:${this.http.port}`;
  }

  /** Starts it again after `kill9` or `stop`, on the same port, socket and work root. */
  async start(): Promise<void> {
    this.#program = await Program.start(this.#commandLine(), path.join(this.#options.dir, "daemon.log"));
    await this.#program.until(() => this.#isReady(), this.#options.patience ?? { pollMs: READY_POLL_MS });
  }

  /** Ends it as a crash would: nothing is flushed, nothing is told. One that does not run is left alone. */
  async kill9(): Promise<void> {
    await this.#program?.end("SIGKILL");
    this.#program = undefined;
  }

  /** Ends it as systemd would. */
  async stop(): Promise<void> {
    const timely = await this.#program?.stop(STOP_MS_MAX);
    this.#program = undefined;
    if (timely === false) throw new Error(`The daemon did not stop within ${STOP_MS_MAX} ms`);
  }

  /** Bytes of its main thread's heap when garbage is gone. */
  liveHeap(): Promise<number> {
    return liveHeap(this.pid, this.#heapFile);
  }

  get #heapFile(): string {
    return path.join(this.#options.dir, "heap");
  }

  #commandLine(): CommandLine {
    const { args = [], dir, program, tellsHeap = false, user } = this.#options;
    const options = ["daemon", "--work-root", this.workRoot, "--socket", this.socket.socketPath];
    options.push("--listen", `${this.http.host}:${this.http.port}`, ...args);
    if (program !== undefined) return ["env", ...installedEnvironment(program), process.execPath, program, ...options];
    const command: CommandLine =
      user === undefined
        ? [path.join(REPOSITORY, "scripts/holdfast"), ...options]
        : asUser(user, path.join(dir, "program"), options);
    return tellsHeap ? ["env", `NODE_OPTIONS=${tellingHeap(this.#heapFile)}`, ...command] : command;
  }

  async #isReady(): Promise<boolean> {
    return (await request(this.http, { path: "/readyz" })).status === 200;
  }
}

/** As `scripts/launcher` sets it. */
function installedEnvironment(program: string): readonly string[] {
  return [`NODE_COMPILE_CACHE=${path.join(path.dirname(program), "cache")}`, "UV_THREADPOOL_SIZE=16"];
}

/** The repository may lie where another user cannot look; a bind mount in a namespace of its own shows it to them. */
function asUser(user: User, mountPoint: string, options: readonly string[]): CommandLine {
  const script = 'mount --rbind "$0" "$1" && cd / && shift && exec "$@"';
  const program = underUser(user, [path.join(mountPoint, "scripts/holdfast"), ...options]);
  return ["unshare", "--mount", "sh", "-c", script, REPOSITORY, mountPoint, ...program];
}

/** A port that nobody listens on now. */
async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as net.AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}
