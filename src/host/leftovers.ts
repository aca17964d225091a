/**
 * What an attachment leaves in a sandbox once nothing is mounted: a mountpoint that we made, or a symlink of ours.
 * Only an empty directory or our own link is removed; whatever else lies there is the container's.
 */
import { constants } from "node:fs";
import type { DirectoryThisBoot } from "../domain/records.ts";
import type { MountedAt } from "../ports/mounter.ts";
import { maybeMountpointElsewhere } from "./mountpoint-elsewhere.ts";
import { openOutside, type Place } from "./place.ts";
import { refusing } from "./refusal.ts";
import { AT, isErrno, readlinkat, type Stat, unlinkat } from "./syscalls.ts";
import { contentBelow, examineChild, isDirectoryThisBoot, pathOf } from "./walk.ts";

/** Clears the place of an attachment; a sandbox that is gone is fine. */
export function clear(mounted: MountedAt): void {
  refusing(`Cannot clear ${pathOf(mounted)}`, (keep) => {
    const place = openOutside(mounted, keep);
    if (place !== undefined) clearPlace(place, mounted);
  });
}

/** The same at a place that is open. */
export function clearPlace(place: Place, mounted: MountedAt): void {
  const seen = examineChild(place.directory, place.name);
  if (seen === undefined || seen.mountRoot) return;
  if (isSymlink(seen)) {
    if (mounted.process === undefined && isOwnLink(place.directory, mounted)) unlinkat(place.directory, place.name, 0);
  } else if (isDirectory(seen) && mounted.mount?.backend !== "symlink") {
    removeIfMade(place, mounted);
  }
}

/**
 * Removes the mountpoint if we made it. The root of a container may be another one's too, which has a volume at the
 * same place: what is mounted on a directory in other namespaces alone does not keep the kernel from removing it, and
 * goes with it. And what has the mountpoint's name need not be it: what the container had mounted above it is gone when
 * it has ended, and shows the image's own directories.
 */
export function removeIfMade(place: Place, { madeMountpoint, mountpoint, process }: MountedAt): void {
  if (!madeMountpoint) return;
  if (process !== undefined && (!isThere(place, mountpoint) || maybeMountpointElsewhere(place))) return;
  removeMountpoint(place);
}

function isThere({ directory, name }: Place, recorded: DirectoryThisBoot | undefined): boolean {
  const seen = examineChild(directory, name);
  return recorded !== undefined && seen !== undefined && isDirectoryThisBoot(recorded, seen);
}

/** Removes an empty directory; one that is not, or that others made impossible to remove, is left. */
export function removeMountpoint({ directory, name }: Place): void {
  try {
    unlinkat(directory, name, AT.REMOVEDIR);
  } catch (error) {
    if (!isErrno(error, ...NOT_OURS_TO_REMOVE)) throw error;
  }
}

const NOT_OURS_TO_REMOVE = ["ENOENT", "ENOTEMPTY", "EEXIST", "ENOTDIR", "EBUSY", "EROFS", "EPERM", "EACCES"];

/** Whether the symlink at the place is the one that we make for this volume. */
export function isOwnLink(sandboxFd: number, mounted: Pick<MountedAt, "containerPath" | "diskRoot" | "uuid">): boolean {
  try {
    return readlinkat(sandboxFd, mounted.containerPath) === linkTarget(mounted);
  } catch (error) {
    if (isErrno(error, "EINVAL", "ENOENT")) return false;
    throw error;
  }
}

/** What the symlink of a volume says. */
export function linkTarget({ diskRoot, uuid }: Pick<MountedAt, "diskRoot" | "uuid">): string {
  return `${diskRoot}/${contentBelow(uuid)}`;
}

export function isSymlink({ mode }: Stat): boolean {
  return (mode & constants.S_IFMT) === constants.S_IFLNK;
}

export function isDirectory({ mode }: Stat): boolean {
  return (mode & constants.S_IFMT) === constants.S_IFDIR;
}
