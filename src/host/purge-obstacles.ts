/**
 * What may stand in the way of a deletion and can be taken away: flags of `chattr`, and, where the daemon is not root,
 * permissions. Nothing but directories and regular files is ever opened: opening a FIFO waits, opening a device acts.
 */
import { chmodSync, closeSync, constants } from "node:fs";
import { PRIVATE_MODE, SCOPE } from "./incarnation.ts";
import {
  AT,
  getInodeFlags,
  INODE,
  O,
  openat2,
  type PathBytes,
  RESOLVE,
  type Stat,
  setInodeFlags,
  statx,
} from "./syscalls.ts";

const HINDERING = INODE.IMMUTABLE | INODE.APPEND;

/** Makes a directory below an open one ours to read. Says whether it did anything. */
export function letEnter(parentFd: number, name: PathBytes): boolean {
  return withPath(parentFd, name, (fd, stat) => isType(stat, constants.S_IFDIR) && openToUs(fd, stat));
}

/** Makes a name below an open directory one that can be removed. Says whether it did anything. */
export function letRemove(parentFd: number, name: PathBytes): boolean {
  const parent = clearFlags(parentFd) || openToUs(parentFd, statx(parentFd, "", AT.EMPTY_PATH));
  const child = withPath(parentFd, name, (fd, stat) => {
    if (!isType(stat, constants.S_IFDIR) && !isType(stat, constants.S_IFREG)) return false;
    return clearFlagsThrough(fd);
  });
  return parent || child;
}

/** Looks at what has a name without opening it; what cannot be looked at is left as it is. */
function withPath(parentFd: number, name: PathBytes, work: (fd: number, stat: Stat) => boolean): boolean {
  let fd: number | undefined;
  try {
    fd = openat2(parentFd, name, { flags: O.PATH | O.NOFOLLOW, resolve: SCOPE & ~RESOLVE.NO_SYMLINKS });
    return work(fd, statx(fd, "", AT.EMPTY_PATH));
  } catch {
    return false;
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

/** Opens exactly what was looked at. */
function clearFlagsThrough(pathFd: number): boolean {
  const fd = openat2(AT.FDCWD, procPath(pathFd), { flags: O.RDONLY | O.NONBLOCK });
  try {
    return clearFlags(fd);
  } finally {
    closeSync(fd);
  }
}

function clearFlags(fd: number): boolean {
  try {
    const flags = getInodeFlags(fd);
    if ((flags & HINDERING) === 0) return false;
    setInodeFlags(fd, flags & ~HINDERING);
    return true;
  } catch {
    // The file system has no flags, or we may not change them.
    return false;
  }
}

function openToUs(fd: number, { mode }: Stat): boolean {
  if ((mode & PRIVATE_MODE) === PRIVATE_MODE) return false;
  try {
    chmodSync(procPath(fd), PRIVATE_MODE);
    return true;
  } catch {
    return false;
  }
}

function isType({ mode }: Stat, type: number): boolean {
  return (mode & constants.S_IFMT) === type;
}

function procPath(fd: number): string {
  return `/proc/self/fd/${fd}`;
}
