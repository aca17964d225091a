/** A copy in one step, where volumes are subvolumes of btrfs: everything as it was at one moment. */
import { closeSync } from "node:fs";
import { SCOPE } from "./incarnation.ts";
import { destroySubvolume, isSubvolume } from "./qgroups.ts";
import { isErrno, O, openat2 } from "./syscalls.ts";
import { fileSystemIdOf, firstSubvolumeIn, subvolumeIdOf, subvolumeSnapshot } from "./syscalls-btrfs.ts";

export interface SnapshotOrder {
  /** The content to be copied, an open directory. */
  readonly from: number;
  /** The open `volumes` directory, and below it the directory whose content, an empty subvolume, is replaced. */
  readonly volumes: number;
  readonly uuid: string;
}

const CONTENT = "content";

/**
 * Replaces an empty content by a snapshot of another one, durable. `false`, and nothing changed, where the two are no
 * subvolumes of one file system, or the original has subvolumes of its own, which a snapshot leaves out.
 */
export function takeSnapshot({ from, volumes, uuid }: SnapshotOrder): boolean {
  const directory = openat2(volumes, uuid, { flags: O.RDONLY | O.DIRECTORY, resolve: SCOPE });
  try {
    if (!isPossible(from, directory)) return false;
    destroySubvolume(directory, CONTENT);
    subvolumeSnapshot(directory, CONTENT, from);
    return true;
  } finally {
    closeSync(directory);
  }
}

function isPossible(from: number, directory: number): boolean {
  if (!isSubvolume(from) || !isSubvolumeIn(directory)) return false;
  if (fileSystemIdOf(from) !== fileSystemIdOf(directory)) return false;
  return firstSubvolumeIn(directory, subvolumeIdOf(from)) === undefined;
}

function isSubvolumeIn(directory: number): boolean {
  try {
    const fd = openat2(directory, CONTENT, { flags: O.RDONLY | O.DIRECTORY, resolve: SCOPE });
    try {
      return isSubvolume(fd);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR", "ELOOP", "EXDEV")) return false;
    throw error;
  }
}
