/**
 * Who owns a work root. A `flock` on the directory itself decides, and the kernel gives it back when the owner dies.
 * Inside it, `meta/pid` says who the owner is, and proper-lockfile's mark beside it is there for tools that look for
 * one. Neither decides anything.
 */
import { closeSync, constants, mkdirSync, openSync, readFileSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import lockfile from "proper-lockfile";
import { HoldfastError } from "../domain/error.ts";
import type { Log } from "../ports/log.ts";
import { PRIVATE_MODE } from "./incarnation.ts";
import { flock, isErrno, LOCK } from "./syscalls.ts";

export interface WorkRootLock {
  release(): void;
}

/**
 * Takes an existing work root for this process.
 * @throws `conflict` when another process has it; the details carry its `pid` where it is known
 */
export async function lockWorkRoot(root: string, { log }: { readonly log: Log }): Promise<WorkRootLock> {
  const fd = openSync(root, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    flock(fd, LOCK.EX | LOCK.NB);
  } catch (error) {
    closeSync(fd);
    throw isErrno(error, "EAGAIN") ? heldByAnother(root, error) : error;
  }
  const unmark = await mark(root, log);
  return {
    release() {
      unmark();
      closeSync(fd);
    },
  };
}

function heldByAnother(root: string, cause: Error): HoldfastError {
  const pid = ownerOf(root);
  const owner = pid === undefined ? "another process" : `process ${pid}`;
  return new HoldfastError("conflict", `Cannot take work root ${root}: ${owner} has it, stop that one first`, {
    cause,
    ...(pid === undefined ? {} : { details: { pid } }),
  });
}

/** The pid in `meta/pid`, if such a process runs: the owner may not have written its own yet. */
function ownerOf(root: string): number | undefined {
  try {
    const pid = Number.parseInt(readFileSync(pidFileOf(root), "utf8"), 10);
    readFileSync(`/proc/${pid}/comm`);
    return pid;
  } catch {
    return undefined;
  }
}

/** Says who the owner is; returns what takes it back. Failing is no more than a pity. */
async function mark(root: string, log: Log): Promise<() => void> {
  const pidFile = pidFileOf(root);
  try {
    mkdirSync(`${root}/meta`, { recursive: true, mode: PRIVATE_MODE });
    writeFileSync(pidFile, `${process.pid}\n`, { mode: 0o600 });
    removeStaleMark(pidFile);
    await lockfile.lock(pidFile, {
      onCompromised: (error) => log.warn({ root, err: error }, "The lock file of the work root was touched by others"),
    });
  } catch (error) {
    log.warn({ root, err: error }, "The work root is locked, but its lock file cannot be placed");
  }
  return () => {
    try {
      lockfile.unlockSync(pidFile);
      rmSync(pidFile);
    } catch (error) {
      log.debug({ root, err: error }, "The lock file of the work root cannot be removed");
    }
  };
}

/** Whoever holds the flock knows that an earlier owner's mark means nothing, however fresh it looks. */
function removeStaleMark(pidFile: string): void {
  try {
    rmdirSync(`${pidFile}.lock`);
  } catch {
    // Usually there is none; anything else shows when the mark is placed.
  }
}

function pidFileOf(root: string): string {
  return `${root}/meta/pid`;
}
