/** File names under the `meta` directory, and the few steps that make a change of a directory survive a power cut. */
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, unlinkSync } from "node:fs";
import { dirname, join } from "node:path";

export interface CheckpointPaths {
  readonly directory: string;
  readonly checkpoint: string;
  /** SQLite's write-ahead log; without the checkpoint it belongs to, it is poison. */
  readonly log: string;
  /** A new checkpoint that is being written; worthless after a crash. */
  readonly draft: string;
  /** A new checkpoint that is complete and durable and only waits to be put in place. */
  readonly successor: string;
  readonly ballast: string;
}

export function checkpointPaths(directory: string): CheckpointPaths {
  const checkpoint = join(directory, "checkpoint.db");
  return {
    directory,
    checkpoint,
    log: `${checkpoint}-wal`,
    draft: join(directory, "checkpoint.draft"),
    successor: join(directory, "checkpoint.successor"),
    ballast: join(directory, "ballast"),
  };
}

/** Makes content durable. Never for a file that SQLite has open: closing any descriptor of it drops SQLite's lock. */
export function syncFile(path: string): void {
  const descriptor = openSync(path, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** Makes the names in a directory durable. */
export function syncDirectory(path: string): void {
  syncFile(path);
}

/** Makes the directory if it is missing, for its owner only. */
export function makePrivateDirectory(path: string): void {
  if (mkdirSync(path, { recursive: true, mode: 0o700 }) !== undefined) syncDirectory(dirname(path));
}

/** An empty file that only its owner may read; replaces what was there. */
export function makePrivateFile(path: string): void {
  removeFile(path);
  closeSync(openSync(path, "wx", 0o600));
}

/** Whether there was one. */
export function removeFile(path: string): boolean {
  if (!existsSync(path)) return false;
  unlinkSync(path);
  return true;
}
