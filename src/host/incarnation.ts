/**
 * The directory of one incarnation, `<uuid>/content`, below an open `volumes` or `trash`. Nobody but us can write there
 * (0700), and still nothing is reached through a symlink or another mount.
 */
import { closeSync, constants, fchmodSync, readdirSync } from "node:fs";
import { messageOf } from "../domain/error.ts";
import type { Incarnation } from "../domain/units.ts";
import type { Finding, Spare } from "../ports/disk.ts";
import { diskError } from "./disk-error.ts";
import { identityOf } from "./identity.ts";
import { AT, geteuid, isErrno, mkdirat, O, openat2, RESOLVE, statx, unlinkat } from "./syscalls.ts";

/** How everything below a disk's root is resolved. */
export const SCOPE = RESOLVE.BENEATH | RESOLVE.NO_SYMLINKS | RESOLVE.NO_XDEV;

/** Ours alone. */
export const PRIVATE_MODE = 0o700;
const CONTENT_MODE = 0o755;
const { S_IFMT, S_IFDIR, S_IFLNK } = constants;
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Whether a name on disk is an incarnation's. */
export function isIncarnation(name: string): name is Incarnation {
  return UUID.test(name);
}

/** Makes `<uuid>/content`, not yet durable; nothing of it stays when that fails. */
export function makeIncarnation(parentFd: number, uuid: Incarnation, makeContent = makeDirectory): Spare {
  const content = contentOf(uuid);
  mkdirat(parentFd, uuid, PRIVATE_MODE);
  try {
    makeContent(parentFd, uuid);
    const stat = statx(parentFd, content, AT.SYMLINK_NOFOLLOW);
    if ((stat.mode & 0o7777) !== CONTENT_MODE) correctMode(parentFd, content);
    return { uuid, directory: identityOf(stat) };
  } catch (error) {
    removeUnused(parentFd, uuid);
    throw error;
  }
}

function makeDirectory(parentFd: number, uuid: Incarnation): void {
  mkdirat(parentFd, contentOf(uuid), CONTENT_MODE);
}

/**
 * What is in the place of `<uuid>/content`. One call, because every volume is examined at every start; by path, because
 * nobody but us can put anything above it. What is on another mount than its parent was mounted over it.
 */
export function examineContent(parent: Parent, uuid: Incarnation): Finding {
  try {
    return contentIn(parent, uuid);
  } catch (error) {
    return findingOf(error);
  }
}

/**
 * The same before the directory is moved: a symlink that somebody put in place of `<uuid>` would be moved instead.
 * @throws what says nothing about the directory: `unavailable` the disk fails, or there are no descriptors left
 */
export function examineIncarnation(parent: Parent, uuid: Incarnation): Finding {
  try {
    closeSync(openat2(parent.fd, uuid, { flags: O.PATH | O.DIRECTORY, resolve: SCOPE }));
    return contentIn(parent, uuid);
  } catch (error) {
    if (!isErrno(error, ...TELLING)) throw diskError(`Cannot look at ${uuid}`, error);
    return findingOf(error);
  }
}

/** Something else, or nothing, is in its place; any other error may befall a sound directory too. */
const TELLING = ["ENOENT", "ENOTDIR", "ELOOP", "EXDEV"];

interface Parent {
  readonly fd: number;
  readonly mountId: bigint;
}

function contentIn(parent: Parent, uuid: Incarnation): Finding {
  const stat = statx(parent.fd, contentOf(uuid), AT.SYMLINK_NOFOLLOW);
  if (stat.mountId !== parent.mountId) return { state: "foreign", reason: "is a mount point" };
  if ((stat.mode & S_IFMT) === S_IFDIR) return { state: "present", directory: identityOf(stat) };
  return { state: "foreign", reason: (stat.mode & S_IFMT) === S_IFLNK ? "is a symlink" : "is not a directory" };
}

function findingOf(error: unknown): Finding {
  return isErrno(error, "ENOENT") ? { state: "missing" } : { state: "foreign", reason: reasonOf(error) };
}

/** `<uuid>` if it is as `makeIncarnation` leaves it: no label, nothing in it, and nobody else's. */
export function findUnused(parentFd: number, uuid: Incarnation): Spare | undefined {
  if (isLabelled(parentFd, uuid)) return undefined;
  let fd: number | undefined;
  try {
    fd = openat2(parentFd, contentOf(uuid), { flags: O.RDONLY | O.DIRECTORY, resolve: SCOPE });
    const stat = statx(fd, "", AT.EMPTY_PATH);
    const untouched = (stat.mode & 0o7777) === CONTENT_MODE && stat.uid === geteuid();
    const alone = readdirSync(`/proc/self/fd/${parentFd}/${uuid}`).length === 1;
    const empty = readdirSync(`/proc/self/fd/${fd}`).length === 0;
    return untouched && alone && empty ? { uuid, directory: identityOf(stat) } : undefined;
  } catch {
    return undefined;
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

/** Removes `<uuid>` if there is nothing in it, not even `content`: a kill fell between the two. */
export function removeHalfMade(parentFd: number, uuid: Incarnation): boolean {
  try {
    unlinkat(parentFd, uuid, AT.REMOVEDIR);
    return true;
  } catch {
    return false;
  }
}

/** Removes an incarnation that has neither label nor content; anything else stays. */
export function removeUnused(parentFd: number, uuid: Incarnation): void {
  for (const path of [contentOf(uuid), uuid]) {
    try {
      unlinkat(parentFd, path, AT.REMOVEDIR);
    } catch {
      // Not empty, or gone already: either way there is nothing to remove.
    }
  }
}

export function contentOf(uuid: Incarnation): string {
  return `${uuid}/content`;
}

/** The quick question that sorts out nearly all. */
function isLabelled(parentFd: number, uuid: Incarnation): boolean {
  try {
    statx(parentFd, `${uuid}/label`, AT.SYMLINK_NOFOLLOW);
    return true;
  } catch {
    return false;
  }
}

/** The umask took something away, or a set-group-id parent added something. */
function correctMode(parentFd: number, path: string): void {
  const fd = openat2(parentFd, path, { flags: O.RDONLY | O.DIRECTORY, resolve: SCOPE });
  try {
    fchmodSync(fd, CONTENT_MODE);
  } finally {
    closeSync(fd);
  }
}

function reasonOf(error: unknown): string {
  if (isErrno(error, "ENOTDIR")) return "is not a directory";
  if (isErrno(error, "ELOOP")) return "is a symlink";
  if (isErrno(error, "EXDEV")) return "is a mount point";
  return messageOf(error);
}
