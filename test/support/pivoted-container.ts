/**
 * A container as an OCI runtime makes one: a process in a mount namespace of its own, whose root is first its runtime's
 * and then, from when it has pivoted, a directory with nothing but busybox and what the test puts there.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chownSync, copyFileSync, lstatSync, mkdirSync, writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import type { ContainerProcess } from "../../src/domain/records.ts";
import { createProcesses } from "../../src/host/container-processes.ts";
import { readMountTable } from "../../src/host/mount-table.ts";

export interface PivotedContainer {
  /** What is recorded about it: with its rootfs, which was named before it pivoted. */
  readonly process: ContainerProcess;
  /** Path by which the host sees a path of the container, whatever is mounted there. */
  seen(path: string): string;
  /** Runs busybox in it, as its root. Returns what it prints. */
  run(...command: string[]): string;
  /** Where something is mounted in its namespace, as it sees it. */
  mounts(): readonly string[];
  /** Makes its rootfs its root. */
  pivot(): Promise<void>;
  stop(): Promise<void>;
}

export interface ContainerOptions {
  /** Whether it pivots only when it is told to. */
  readonly waits?: boolean;
  /** Whether its runtime has bound its rootfs, as it must before it pivots; default: it has. */
  readonly bound?: boolean;
  /** What its namespace has mounted below its rootfs before it pivots: commands of a shell, in the rootfs. */
  readonly mounts?: string;
  /** Whether it has a user namespace of its own, whose root is user 100000 of the host. */
  readonly ownUsers?: boolean;
}

/** The host's id of the root of a container with a user namespace of its own. */
export const FIRST_ID = 100_000;

const PIVOT_LATER = `[ "$1" = unbound ] || mount --rbind "$0" "$0"
  cd "$0"
  eval "$2"
  echo ready
  read go
  pivot_root . .old
  exec /bin/busybox sh -ec '
    cd /
    busybox umount -l /.old
    echo pivoted
    exec busybox cat'`;

/** Makes a directory that can be a container's root. */
export function makeRootfs(path: string): string {
  for (const directory of ["bin", ".old", "foreign"]) mkdirSync(`${path}/${directory}`, { recursive: true });
  copyFileSync("/bin/busybox", `${path}/bin/busybox`);
  writeFileSync(`${path}/foreign/name`, "foreign");
  return path;
}

export async function startPivoted(rootfs: string, options: ContainerOptions = {}): Promise<PivotedContainer> {
  const users = options.ownUsers === true ? await startUserNamespace() : undefined;
  if (users !== undefined) chownSync(rootfs, FIRST_ID, FIRST_ID);
  const enter = users === undefined ? [] : ["nsenter", "--target", String(users.pid), "--user"];
  const [file = "", ...args] = [
    ...enter,
    "unshare",
    "-m",
    "--propagation",
    "private",
    "sh",
    "-ec",
    PIVOT_LATER,
    rootfs,
    options.bound === false ? "unbound" : "bound",
    options.mounts ?? "",
  ];
  const child = spawn(file, args, { stdio: ["pipe", "pipe", "inherit"] });
  const stop = async () => {
    await kill(child);
    if (users !== undefined) await kill(users);
  };
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const expectLine = async (wanted: string) => {
    const { value } = await lines.next();
    if (value === wanted) return;
    await stop();
    throw new Error(`Cannot start a container: it said ${value} instead of ${wanted}`);
  };
  await expectLine("ready");
  const pid = child.pid ?? 0;
  const user = users === undefined ? [] : ["--user"];
  const container: PivotedContainer = {
    process: identify(pid, rootfs),
    seen: (path) => `/proc/${pid}/root${path}`,
    run: (...command) =>
      execFileSync("nsenter", ["--target", String(pid), "--mount", "--root", ...user, "/bin/busybox", ...command], {
        encoding: "utf8",
        stdio: ["ignore", "pipe", "pipe"],
      }),
    mounts: () => readMountTable(pid).map(({ mountPoint }) => mountPoint.toString()),
    async pivot() {
      child.stdin.write("go\n");
      await expectLine("pivoted");
    },
    stop,
  };
  if (options.waits !== true) await container.pivot();
  return container;
}

function identify(pid: number, rootfs: string): ContainerProcess {
  const processes = createProcesses();
  try {
    return processes.identify({ pid, rootfs });
  } finally {
    processes.close();
  }
}

/** A process that keeps a user namespace in which 65,536 ids from `FIRST_ID` are mapped. */
async function startUserNamespace(): Promise<ChildProcess> {
  const holder = spawn("unshare", ["-U", "sh", "-c", "echo ready; exec cat"], { stdio: ["pipe", "pipe", "inherit"] });
  await once(holder.stdout, "data");
  for (const map of ["uid_map", "gid_map"]) writeFileSync(`/proc/${holder.pid}/${map}`, `0 ${FIRST_ID} 65536`);
  return holder;
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill("SIGKILL");
  await once(child, "exit");
}

/** Whether there is anything by this path, without following it. */
export function isThere(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}
