/**
 * How a whole new checkpoint takes the old one's place, whatever happens on the way. SQLite would apply a log that was
 * left behind to any file of that name, so file and log must change together:
 *
 *   draft written ─ synced ─ renamed to successor, directory synced    from here on the successor is the truth
 *   old one closed ─ old log removed, directory synced ─ successor renamed to checkpoint.db, directory synced
 *
 * Every opening finishes what it finds half done.
 */
import { existsSync, renameSync } from "node:fs";
import {
  type CheckpointPaths,
  makePrivateDirectory,
  makePrivateFile,
  removeFile,
  syncDirectory,
  syncFile,
} from "./files.ts";

/** Writes the successor; when this returns it is durable, and the old checkpoint must take no more commits. */
export function prepareSuccessor(paths: CheckpointPaths, write: (path: string) => void): void {
  makePrivateDirectory(paths.directory);
  makePrivateFile(paths.draft);
  write(paths.draft);
  syncFile(paths.draft);
  renameSync(paths.draft, paths.successor);
  syncDirectory(paths.directory);
}

/** Puts the successor in place, if there is one. The old checkpoint must be closed. */
export function installSuccessor(paths: CheckpointPaths): void {
  if (!existsSync(paths.successor)) return;
  if (removeFile(paths.log)) syncDirectory(paths.directory);
  renameSync(paths.successor, paths.checkpoint);
  syncDirectory(paths.directory);
}
