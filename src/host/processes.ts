/** What /proc tells about processes. They come and go while we look: whatever is gone meanwhile reads as absent. */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/** `PF_KTHREAD` of the kernel. */
const KERNEL_THREAD = 0x0020_0000;
const FLAGS_FIELD = 6;

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

/** The kernel's own threads live in the first mount namespace and hold nothing else. */
export function isKernelThread(pid: number): boolean {
  const stat = textOf(`/proc/${pid}/stat`) ?? "";
  // The command may contain anything, so fields are counted behind its closing parenthesis.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[FLAGS_FIELD]) & KERNEL_THREAD) !== 0;
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
