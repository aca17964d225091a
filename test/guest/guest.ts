/**
 * A virtual machine with Debian's own kernel, for what the kernel of the machine at hand cannot do. Its root is the host's
 * files, read-only below a layer in its memory, so that it runs this repository with the repository's own Node; all that
 * stays of it are the disks that it was given. Pulling its plug is killing its process.
 */
import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Channel, type GuestOutcome } from "./channel.ts";
import { initramfs } from "./initramfs.ts";
import { debianKernel } from "./kernel.ts";
import { type DiskCache, killMachine, type Machine, machinePid, REPOSITORY, startMachine } from "./machine.ts";
import { makeScratch, type Scratch } from "./scratch.ts";

export type { GuestOutcome } from "./channel.ts";

const BOOT_MS_MAX = 120_000;
const COMMAND_MS_MAX = 60_000;
const SHUTDOWN_MS_MAX = 60_000;
const CONSOLE_LINES = 50;
const OUTPUT_LINES = 40;
/** So many commands run at the same time; more of them wait. */
const CHANNELS = 4;

export interface GuestOptions {
  /** Raw image files: /dev/vda, /dev/vdb and so on, in this order. */
  readonly disks?: readonly string[];
  /** What QEMU does with the disks' flushes: by default nothing. What was written outlives a `kill` either way. */
  readonly diskCache?: DiskCache;
  readonly memoryMb?: number;
  readonly cpus?: number;
  readonly kernelArguments?: readonly string[];
}

export interface GuestCommandOptions {
  readonly timeoutMs?: number;
  /** Besides PATH, with the repository's Node first, HOME, and HOLDFAST_GUEST_STREAM, the device of `stream`. */
  readonly env?: Readonly<Record<string, string>>;
  /** Default: the repository. */
  readonly cwd?: string;
  /** Gets each line that the command prints, as it comes. */
  readonly onLine?: (line: string) => void;
}

/** Boots a guest. It must be shut down or killed; it does not outlive this process. */
export async function bootGuest(options: GuestOptions = {}): Promise<Guest> {
  const scratch = makeScratch("guest");
  try {
    return await Guest.boot(scratch, options);
  } catch (error) {
    scratch.remove();
    throw error;
  }
}

export class Guest {
  /** Rejects when the guest is no longer there, with the end of what its kernel said. */
  readonly ended: Promise<never>;
  readonly #scratch: Scratch;
  readonly #program: Machine;
  readonly #servers: Servers;
  readonly #idle: Channel[] = [];
  readonly #waiting: ((channel: Channel) => void)[] = [];
  #stream: Socket | undefined;

  private constructor(scratch: Scratch, program: Machine, servers: Servers) {
    this.#scratch = scratch;
    this.#program = program;
    this.#servers = servers;
    this.ended = program.then(({ all }) => {
      throw new Error(`The guest has ended: ${all}${this.#evidence()}`);
    });
    // Whoever waits for something hears of it.
    this.ended.catch(() => undefined);
  }

  /** Boots it with a directory of its own. */
  static async boot(scratch: Scratch, options: GuestOptions): Promise<Guest> {
    const directory = scratch.path;
    const kernel = await debianKernel();
    const archive = path.join(directory, "initramfs");
    writeFileSync(archive, await initramfs(kernel));
    const command = path.join(directory, "command");
    const stream = path.join(directory, "stream");
    const servers = { command: await listen(command), stream: await listen(stream) };
    const program = startMachine({
      directory,
      kernel,
      initramfs: archive,
      disks: options.disks ?? [],
      diskCache: options.diskCache ?? "unsafe",
      memoryMb: options.memoryMb ?? 2048,
      cpus: options.cpus ?? 2,
      kernelArguments: options.kernelArguments ?? [],
      ports: [
        ...Array.from({ length: CHANNELS }, (_, index) => ({ name: `command-${index}`, socket: command })),
        { name: "stream", socket: stream },
      ],
    });
    const guest = new Guest(scratch, program, servers);
    try {
      await guest.#within(BOOT_MS_MAX, "The guest did not boot", Promise.race([guest.#up(), guest.ended]));
      return guest;
    } catch (error) {
      await guest.kill();
      throw error;
    }
  }

  /** What is written here is read from the device $HOLDFAST_GUEST_STREAM in the guest, and the other way round. */
  get stream(): Socket {
    if (this.#stream === undefined) throw new Error("The guest is not up");
    return this.#stream;
  }

  /** The process on this machine whose end is the guest's. */
  get pid(): number {
    return machinePid(this.#program);
  }

  /** Runs a program, or a line of shell, to its end, however that is. Throws when the guest or the time ends first. */
  async run(command: string | readonly string[], options: GuestCommandOptions = {}): Promise<GuestOutcome> {
    const { timeoutMs = COMMAND_MS_MAX, env = {}, cwd = REPOSITORY, onLine } = options;
    const line = typeof command === "string" ? command : command.map(quoted).join(" ");
    const exports = Object.entries(env).map(([name, value]) => `export ${name}=${quoted(value)}\n`);
    const channel = await this.#idleChannel();
    const running = channel.start(`${exports.join("")}cd ${quoted(cwd)} || exit 1\n${line}`, onLine);
    const outcome = await this.#within(
      timeoutMs,
      () => `${line}: does not end in the guest: ${lastLines(running.output(), OUTPUT_LINES)}`,
      Promise.race([running.outcome, this.ended]),
    );
    this.#release(channel);
    return outcome;
  }

  /** Like `run`, for a command that must work; returns what it printed. */
  async must(command: string | readonly string[], options: GuestCommandOptions = {}): Promise<string> {
    const { exitCode, output } = await this.run(command, options);
    if (exitCode !== 0) throw new Error(`${String(command)}: status ${exitCode} in the guest: ${output}`);
    return output;
  }

  /** Cuts its power: what it had not written to its disks is lost, and what runs in it rejects. Can be repeated. */
  async kill(): Promise<void> {
    await killMachine(this.#program);
    for (const server of Object.values(this.#servers)) server.close();
    this.#scratch.remove();
  }

  /** Writes what is to be written, unmounts its disks and switches it off. */
  async shutdown(): Promise<void> {
    try {
      await this.#within(SHUTDOWN_MS_MAX, "The guest did not shut down", this.#off());
    } finally {
      await this.kill();
    }
  }

  async #off(): Promise<void> {
    const channel = await this.#idleChannel();
    channel.start("sync; umount --all --types ext4,xfs,btrfs; sync; echo o >/proc/sysrq-trigger");
    await this.#program;
  }

  async #up(): Promise<void> {
    const { command, stream } = this.#servers;
    const [[socket], channels] = await Promise.all([
      once(stream, "connection") as Promise<[Socket]>,
      connections(command, CHANNELS).then((sockets) => sockets.map((each) => new Channel(each))),
    ]);
    // That the guest has ended is told by the program that runs it.
    socket.on("error", () => undefined);
    this.#stream = socket;
    await Promise.all(channels.map(({ ready }) => ready));
    this.#idle.push(...channels);
  }

  async #idleChannel(): Promise<Channel> {
    const channel = this.#idle.pop();
    if (channel !== undefined) return channel;
    return Promise.race([this.ended, new Promise<Channel>((resolve) => this.#waiting.push(resolve))]);
  }

  #release(channel: Channel): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#idle.push(channel);
    else next(channel);
  }

  async #within<T>(timeoutMs: number, otherwise: string | (() => string), work: Promise<T>): Promise<T> {
    const stop = new AbortController();
    const late = sleep(timeoutMs, undefined, { signal: stop.signal }).then(() => {
      const what = typeof otherwise === "string" ? otherwise : otherwise();
      throw new Error(`${what}; after ${timeoutMs} ms${this.#evidence()}`);
    });
    late.catch(() => undefined);
    try {
      return await Promise.race([work, late]);
    } finally {
      stop.abort();
    }
  }

  /** The end of what its kernel said. */
  #evidence(): string {
    const file = path.join(this.#scratch.path, "console.log");
    if (!existsSync(file)) return "";
    return `; its console:\n${lastLines(readFileSync(file, "utf8"), CONSOLE_LINES)}`;
  }
}

/** What the guest's serial ports connect to. */
interface Servers {
  readonly command: Server;
  readonly stream: Server;
}

async function listen(socket: string): Promise<Server> {
  const server = createServer();
  server.listen(socket);
  await once(server, "listening");
  return server;
}

function connections(server: Server, count: number): Promise<readonly Socket[]> {
  const sockets: Socket[] = [];
  return new Promise((resolve) => {
    server.on("connection", (socket) => {
      if (sockets.push(socket) === count) resolve(sockets);
    });
  });
}

function lastLines(text: string, count: number): string {
  return text.trimEnd().split("\n").slice(-count).join("\n");
}

function quoted(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}
