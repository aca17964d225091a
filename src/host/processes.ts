/**
 * What /proc tells about processes. They come and go while we look: whatever is gone meanwhile reads as absent. Nothing
 * else does: when descriptors or memory have run out, every process would look as if it were gone.
 */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { HoldfastError } from "../domain/error.ts";
import { errnoOf } from "./disk-error.ts";

/** What /proc answers about a process that is no more. */
const GONE: readonly string[] = ["ENOENT", "ESRCH"];
const HIDDEN: readonly string[] = ["EACCES", "EPERM"];
const EXHAUSTED: readonly string[] = ["EMFILE", "ENFILE", "ENOMEM"];

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

/**
 * Every process but this one, in ascending order.
 * @throws `unavailable` it cannot be told
 */
export function otherProcesses(): readonly number[] {
  return namesIn("/proc")
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

/**
 * A thread that runs on where the first has exited, which a process survives; `undefined` when there is none.
 * @param processDirectory `/proc/PID`, by whatever path
 */
export function survivorIn(processDirectory: string): string | undefined {
  return namesIn(`${processDirectory}/task`).find((thread) => {
    const stat = readStat(`${processDirectory}/task/${thread}/stat`);
    return stat !== undefined && !hasExited(stat);
  });
}

/** Where /proc has what a process holds: with a thread that runs on, where the first has exited. */
export function directoryOf(pid: number): string {
  const directory = `/proc/${pid}`;
  const stat = statOf(pid);
  const survivor = stat !== undefined && hasExited(stat) ? survivorIn(directory) : undefined;
  return survivor === undefined ? directory : `${directory}/task/${survivor}`;
}

/**
 * None when the directory is gone or not ours to read.
 * @throws `unavailable` it cannot be told
 */
export function namesIn(directory: string): readonly string[] {
  return ask(directory, [...GONE, ...HIDDEN], () => readdirSync(directory)) ?? [];
}

/**
 * What a symlink says; `undefined` when it is gone or not ours to read, empty when it says more than fits a path.
 * @throws `unavailable` it cannot be told
 */
export function linkOf(path: string): string | undefined {
  return ask(path, [...GONE, ...HIDDEN], () => {
    try {
      return readlinkSync(path);
    } catch (error) {
      if (errnoOf(error) === "ENAMETOOLONG") return "";
      throw error;
    }
  });
}

/**
 * A file as one character a byte; `undefined` when it is gone or not ours to read.
 * @throws `unavailable` it cannot be told
 */
export function textOf(path: string): string | undefined {
  return ask(path, [...GONE, ...HIDDEN], () => readFileSync(path, "latin1"));
}

/** Who a process is, for people: as far as it can be told. */
export function describeProcess(pid: number): { readonly command: string; readonly cgroup: string } {
  const told = (name: string): string => forPeople(() => textOf(`/proc/${pid}/${name}`)) ?? "";
  return { command: told("comm").trimEnd(), cgroup: cgroupOf(told("cgroup")) };
}

/** The answer to a question that must not fail. */
export function forPeople<Answer>(question: () => Answer): Answer | undefined {
  try {
    return question();
  } catch {
    return undefined;
  }
}

/**
 * `undefined` when there is no such process.
 * @throws `unavailable` it cannot be told
 */
export function statOf(pid: number): ProcessStat | undefined {
  return readStat(`/proc/${pid}/stat`);
}

function readStat(path: string): ProcessStat | undefined {
  return parseStat(ask(path, GONE, () => readFileSync(path, "latin1")) ?? "");
}

/** @param absent the errors that say that there is nothing */
function ask<Answer>(path: string, absent: readonly string[], read: () => Answer): Answer | undefined {
  try {
    return read();
  } catch (cause) {
    const symbol = errnoOf(cause) ?? "unexpected failure";
    if (absent.includes(symbol)) return undefined;
    throw new HoldfastError("unavailable", `Cannot read ${path}: ${symbol}`, { cause });
  }
}

/** @throws `unavailable` when this error says only that descriptors or memory have run out, and nothing of the file */
export function refuseExhaustion(path: string, error: unknown): void {
  const symbol = errnoOf(error) ?? "";
  if (!EXHAUSTED.includes(symbol)) return;
  throw new HoldfastError("unavailable", `Cannot look at ${path}: ${symbol}`, { cause: error });
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

/** Whether a thread runs no more. Of a process's first thread: others may (`survivorIn`), else its parent is to ask. */
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
