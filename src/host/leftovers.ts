/**
 * What an attachment leaves in a sandbox once nothing is mounted: a mountpoint that we made, or a symlink of ours.
 * Only an empty directory or our own link is removed; whatever else lies there is the container's.
 */
import { constants } from "node:fs";
import type { MountedAt } from "../ports/mounter.ts";
import { refusing } from "./refusal.ts";
import { AT, isErrno, readlinkat, type Stat, unlinkat } from "./syscalls.ts";
import { contentBelow, examineChild, openSandboxIfPresent } from "./walk.ts";

/** Clears the place of an attachment; a sandbox that is gone is fine. */
export function clear(mounted: MountedAt): void {
  refusing(`Cannot clear ${mounted.sandbox}/${mounted.containerPath}`, (keep) => {
    const sandbox = openSandboxIfPresent(mounted.sandbox);
    if (sandbox !== undefined) clearPlace(keep(sandbox), mounted);
  });
}

/** The same below a sandbox that is open. */
export function clearPlace(sandboxFd: number, mounted: MountedAt): void {
  const seen = examineChild(sandboxFd, mounted.containerPath);
  if (seen === undefined || seen.mountRoot) return;
  if (isSymlink(seen)) {
    if (isOwnLink(sandboxFd, mounted)) unlinkat(sandboxFd, mounted.containerPath, 0);
  } else if (isDirectory(seen) && mounted.madeMountpoint && mounted.mount?.backend !== "symlink") {
    removeMountpoint(sandboxFd, mounted.containerPath);
  }
}

/** Removes an empty directory; one that is not, or that others made impossible to remove, is left. */
export function removeMountpoint(sandboxFd: number, name: string): void {
  try {
    unlinkat(sandboxFd, name, AT.REMOVEDIR);
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
