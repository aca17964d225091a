import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, openSync } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Outcome, runToEnd } from "../e2e/command.ts";

/** kubelet wants an address that is not a loopback one, and takes any other that `lo` has. */
export const NODE_ADDRESS = "10.99.0.1";

/** Where Kubernetes' programs keep what no option of theirs moves. */
const INSISTED = ["/run", "/var/lib", "/var/log", "/opt"];

/** What kubelet would write itself otherwise, and for the whole machine. */
const WANTED_SETTINGS: Readonly<Record<string, number>> = {
  "vm/overcommit_memory": 1,
  "vm/panic_on_oom": 0,
  "kernel/panic": 10,
  "kernel/panic_on_oops": 1,
  "kernel/keys/root_maxkeys": 1_000_000,
  "kernel/keys/root_maxbytes": 25_000_000,
};

/** The first process waits for all others, whose orphans it inherits, and ends with whoever opened the room. */
const FIRST = `
${Object.entries(WANTED_SETTINGS)
  .map(
    ([name, value]) =>
      `echo ${value} >"$0/${path.basename(name)}" && mount --bind "$0/${path.basename(name)}" /proc/sys/${name}`,
  )
  .join("\n")}
${INSISTED.map((place) => `mount --bind "$0/room${place}" ${place}`).join("\n")}
mkdir -p /var/lib/holdfast
mount -o loop "$1" /var/lib/holdfast
ip link set lo up
ip address add ${NODE_ADDRESS}/32 dev lo
mount --make-rshared /
touch "$0/ready"
exec 3<&0
cat <&3 >/dev/null &
wait $!`;

const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const COMMAND_MS_MAX = 120_000;
const POLL_MS = 20;

/**
 * A machine within the machine: mounts, network and processes of its own. Whatever was started in it ends with it, and so
 * do its mounts, however the tests end.
 */
export class Room {
  /** The room's first process, as everybody else sees it. */
  readonly pid: number;
  readonly #holder: ChildProcess;

  private constructor(holder: ChildProcess, pid: number) {
    this.#holder = holder;
    this.pid = pid;
  }

  /** `disk` is a file with a file system; it becomes /var/lib/holdfast. */
  static async open(dir: string, disk: string): Promise<Room> {
    await Promise.all(INSISTED.map((place) => mkdir(path.join(dir, "room", place), { recursive: true })));
    const namespaces = ["--mount", "--propagation=private", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"];
    const log = path.join(dir, "room.log");
    const output = openSync(log, "w");
    const holder = spawn("unshare", [...namespaces, "sh", "-ec", FIRST, dir, disk], {
      stdio: ["pipe", output, output],
    });
    closeSync(output);
    const { pid } = holder;
    if (pid === undefined) throw new Error("Cannot open a room: unshare does not start");
    while (!existsSync(path.join(dir, "ready"))) {
      if (holder.exitCode !== null) throw new Error(`Cannot open a room: ${await readFile(log, "utf8")}`);
      await sleep(POLL_MS);
    }
    return new Room(holder, Number(await readFile(`/proc/${pid}/task/${pid}/children`, "utf8")));
  }

  /** Puts a command line into the room, without anything of the environment but what everybody needs. */
  within(commandLine: readonly string[]): readonly [string, ...string[]] {
    const namespaces = ["--mount", "--net", "--pid", `--target=${this.pid}`];
    return ["nsenter", ...namespaces, "--", "env", "-i", `PATH=${PATH}`, "HOME=/run", ...commandLine];
  }

  /** Runs a program in the room to its end, however that is. */
  run(...commandLine: readonly string[]): Promise<Outcome> {
    const [program, ...args] = this.within(commandLine);
    return runToEnd(program, args, { timeout: COMMAND_MS_MAX });
  }

  /** Where a path of the room is found from outside. */
  outside(inner: string): string {
    return `/proc/${this.pid}/root${inner}`;
  }

  /** Ends everything in it. */
  async close(): Promise<void> {
    if (this.#holder.exitCode !== null || this.#holder.signalCode !== null) return;
    this.#holder.kill("SIGKILL");
    await once(this.#holder, "exit");
  }
}
