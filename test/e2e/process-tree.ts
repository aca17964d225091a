import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

const POLL_MS = 5;

interface Process {
  readonly pid: number;
  readonly parent: number;
  /** Ended; its parent has not asked yet how. */
  readonly zombie: boolean;
}

/** Kills a process and everything below it at one blow, and waits until all are gone. */
export async function killTree(root: number): Promise<void> {
  const pids = tree(root);
  for (const pid of pids) killIfThere(pid);
  while (pids.some(isAlive)) await sleep(POLL_MS);
}

function tree(root: number): number[] {
  const found = [root];
  const all = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((name) => readProcess(Number(name)));
  for (const parent of found) found.push(...all.flatMap((each) => (each?.parent === parent ? [each.pid] : [])));
  return found;
}

function readProcess(pid: number): Process | undefined {
  try {
    // The program's name stands in parentheses and may contain any character.
    const [state, parent] = readFileSync(`/proc/${pid}/stat`, "utf8")
      .replace(/^.*\) /s, "")
      .split(" ");
    return { pid, parent: Number(parent), zombie: state === "Z" };
  } catch {
    return undefined;
  }
}

function isAlive(pid: number): boolean {
  return readProcess(pid)?.zombie === false;
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "ESRCH") throw cause;
  }
}
