/** What /proc tells about processes. They come and go while we look: whatever is gone meanwhile reads as absent. */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/** `PF_KTHREAD` of the kernel. */
const KERNEL_THREAD = 0x0020_0000;

/** What the kernel says of a process in its `stat`. */
export interface ProcessStat {
  /** One letter: `S` sleeping, `Z` a zombie. */
  readonly state: string;
  readonly parentPid: number;
  /** `PF_` flags. */
  readonly flags: number;
  /** Clock ticks from boot to its start, decimal. */
  readonly startTime: string;
}

/** Where these stand behind the command. */
const FIELD = { STATE: 0, PARENT: 1, FLAGS: 6, START_TIME: 19 } as const;

/** Every process but this one, in ascending order. */
export function otherProcesses(): readonly number[] {
  return readdirSync("/proc")
    .filter((name) => name >= "1" && name < ":")
    .map(Number)
    .filter((pid) => pid !== process.pid);
}

/** The threads of a process besides its first. */
export function otherThreads(pid: number): readonly number[] {
  return namesIn(`/proc/${pid}/task`)
    .map(Number)
    .filter((thread) => thread !== pid);
}

export function namesIn(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

/** What a symlink says; `undefined` when it is gone or not ours to read. */
export function linkOf(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}

/** A file as one character a byte; `undefined` when it is gone or not ours to read. */
export function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return undefined;
  }
}

/** Who a process is, for people. */
export function describeProcess(pid: number): { readonly command: string; readonly cgroup: string } {
  return {
    command: textOf(`/proc/${pid}/comm`)?.trimEnd() ?? "",
    cgroup: cgroupOf(textOf(`/proc/${pid}/cgroup`) ?? ""),
  };
}

/** `undefined` when there is no such process. */
export function statOf(pid: number): ProcessStat | undefined {
  return parseStat(textOf(`/proc/${pid}/stat`) ?? "");
}

export function parseStat(text: string): ProcessStat | undefined {
  // The command may contain anything, so fields are counted behind its closing parenthesis.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const startTime = fields[FIELD.START_TIME];
  if (startTime === undefined) return undefined;
  return {
    state: fields[FIELD.STATE] ?? "",
    parentPid: Number(fields[FIELD.PARENT]),
    flags: Number(fields[FIELD.FLAGS]),
    startTime,
  };
}

/** Whether it runs no more: what is left of it waits for its parent to ask. */
export function hasExited({ state }: ProcessStat): boolean {
  return state === "Z" || state === "X";
}

/** The kernel's own threads live in the first mount namespace and hold nothing else. */
export function isKernelThread(pid: number): boolean {
  return ((statOf(pid)?.flags ?? 0) & KERNEL_THREAD) !== 0;
}

/** `HIERARCHY:CONTROLLERS:PATH` lines: the unified one's path, else systemd's, else the first. */
function cgroupOf(text: string): string {
  const lines = text.split("\n").map((line) => line.split(":"));
  const best =
    lines.find(([hierarchy]) => hierarchy === "0") ??
    lines.find(([, controllers]) => controllers === "name=systemd") ??
    lines[0];
  return best?.slice(2).join(":") ?? "";
}
