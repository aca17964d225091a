/**
 * A file of really allocated blocks beside the checkpoint. When the disk is full the store gives it up, so that what
 * releases disk (destroy, detach, collect) can still be committed; it comes back when there is room again.
 */
import { randomFillSync } from "node:crypto";
import { closeSync, fsyncSync, openSync, renameSync, statfsSync, statSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { makePrivateFile, removeFile, syncDirectory } from "./files.ts";

/** How long a failed or untimely restore is not tried again. */
const RESTORE_INTERVAL_MS = 10_000;
/** Restoring needs so many times its size, or it would take the room that was just made. */
const RESTORE_MARGIN = 4;

export interface Ballast {
  /** Frees the blocks. False when there are none to free. */
  giveUp(): boolean;
  /** Allocates it again if it is gone and there is room, at most one try in ten seconds. Whether it did; never throws. */
  restore(): boolean;
}

/** `monotonicMs` is any clock that never goes back. A size of zero bytes means no ballast. */
export function createBallast(path: string, bytes: number, monotonicMs: () => number): Ballast {
  let present = statSync(path, { throwIfNoEntry: false })?.size === bytes;
  let triedAtMs = Number.NEGATIVE_INFINITY;

  return {
    giveUp: () => {
      triedAtMs = monotonicMs();
      if (!removeFile(path)) return false;
      present = false;
      // Some file systems hand freed blocks out again only after the removal itself is durable.
      syncDirectory(dirname(path));
      return true;
    },
    restore: () => {
      if (present || bytes === 0 || monotonicMs() - triedAtMs < RESTORE_INTERVAL_MS) return false;
      triedAtMs = monotonicMs();
      present = allocate(path, bytes);
      return present;
    },
  };
}

function hasRoom(path: string, bytes: number): boolean {
  const { bavail, bsize } = statfsSync(dirname(path));
  return bavail * bsize >= bytes * RESTORE_MARGIN;
}

/** Random content: a file system that compresses or deduplicates would keep nothing in reserve for zeros. */
function allocate(path: string, bytes: number): boolean {
  const draft = `${path}.draft`;
  try {
    if (!hasRoom(path, bytes)) return false;
    makePrivateFile(draft);
    writeDurably(draft, randomFillSync(Buffer.allocUnsafe(bytes)));
    renameSync(draft, path);
    return true;
  } catch {
    removeFile(draft);
    return false;
  }
}

function writeDurably(path: string, content: Buffer): void {
  const descriptor = openSync(path, "w");
  try {
    for (let written = 0; written < content.length; ) written += writeSync(descriptor, content, written);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
