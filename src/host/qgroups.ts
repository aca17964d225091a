/**
 * Sizes that hold on btrfs, where a volume's content is a subvolume: the kernel counts what its quota group refers to,
 * and refuses what would be more than the limit.
 *
 * What is counted is as of the last commit of the file system (every 30 seconds unless mounted otherwise), together with
 * file data that waits to be written; what the kernel refuses, it refuses at once. A subvolume that somebody makes
 * inside of another, which needs no privilege, has a group of its own and no limit: `nestedSubvolumes` finds them.
 *
 * A descriptor is of any directory of the file system outside of the volumes, open for reading, unless said otherwise.
 */
import { closeSync, existsSync, readdirSync, readFileSync } from "node:fs";
import { constants } from "node:os";
import { SCOPE } from "./incarnation.ts";
import { AT, fileSystemType, isErrno, O, openat2, SystemCallError, statx } from "./syscalls.ts";
import {
  fileSystemIdOf,
  qgroupLimit,
  qgroupRemove,
  SUBVOLUME_INODE,
  subvolumeCreate,
  subvolumeDestroy,
  subvolumeDestroyById,
  subvolumeExists,
  subvolumeIdOf,
  subvolumesIn,
} from "./syscalls-btrfs.ts";

export interface SubvolumeUsage {
  readonly usedBytes: number;
  /** `undefined` is no limit. */
  readonly limitBytes: number | undefined;
}

const BTRFS_MAGIC = 0x9123_683e;
/** Below are the trees of the file system itself, and the top-level subvolume. */
const FIRST_ID = 256n;
const LIMITS_REFERENCED = 0x1;

/** Whether this is btrfs and counts; a file system that does not say is taken for one that does not. */
export function qgroupsEnabled(fd: number): boolean {
  return fileSystemType(fd) === BTRFS_MAGIC && existsSync(groupsOf(fd));
}

/** Whether the counts are right; after quotas were switched on they are not until all was counted once. */
export function qgroupsConsistent(fd: number): boolean {
  // Older kernels do not say.
  const file = `${groupsOf(fd)}/inconsistent`;
  return !existsSync(file) || readNumber(file) === 0;
}

/** Makes an empty subvolume in an open directory; its mode is 0755 less the umask. */
export function createSubvolume(dirFd: number, name: string): void {
  subvolumeCreate(dirFd, name);
}

/** Whether an open directory is the top of a subvolume. */
export function isSubvolume(fd: number): boolean {
  return fileSystemType(fd) === BTRFS_MAGIC && statx(fd, "", AT.EMPTY_PATH).ino === SUBVOLUME_INODE;
}

/** The number of the subvolume that an open file or directory is in, never used again. */
export function subvolumeId(fd: number): bigint {
  return subvolumeIdOf(fd);
}

/**
 * What a subvolume has and may have, in constant time.
 * @throws `ENOENT` it is not counted
 */
export function usageOfSubvolume(fd: number, id: bigint): SubvolumeUsage {
  const group = `${groupsOf(fd)}/0_${id}`;
  // In this order a commit between the two counts something twice rather than not at all.
  const waitingBytes = readNumber(`${group}/rsv_data`);
  const usedBytes = readNumber(`${group}/referenced`) + waitingBytes;
  const isLimited = (readNumber(`${group}/limit_flags`) & LIMITS_REFERENCED) !== 0;
  return { usedBytes, limitBytes: isLimited ? readNumber(`${group}/max_referenced`) : undefined };
}

/**
 * Limits a subvolume, at once; `undefined` takes the limit away. Files and their metadata count, 16 KiB at least.
 * @throws `ENOTCONN`, `ENOENT` it is not counted
 */
export function limitSubvolume(fd: number, id: bigint, sizeBytes: number | undefined): void {
  qgroupLimit(fd, id, sizeBytes);
}

/** The subvolumes inside of one, at any depth, each before those in it. Costs the same however many files there are. */
export function nestedSubvolumes(fd: number, id: bigint): readonly bigint[] {
  const found = [...subvolumesIn(fd, id)];
  for (const nested of found) found.push(...subvolumesIn(fd, nested));
  return found;
}

/**
 * Removes a subvolume and all subvolumes in it. Follows no symlink and enters no mount, for it enters nothing. The kernel
 * gives the room back little by little; the name is durably gone when `dirFd` is synced.
 * @throws `EINVAL` it is no subvolume; `ENOTEMPTY` somebody keeps making subvolumes in it
 */
export function destroySubvolume(dirFd: number, name: string): void {
  const id = idOfSubvolumeAt(dirFd, name);
  for (const nested of nestedSubvolumes(dirFd, id).toReversed()) {
    unlessGone(() => subvolumeDestroyById(dirFd, nested));
  }
  subvolumeDestroy(dirFd, name);
}

/**
 * Removes the quota groups of subvolumes that are gone, whoever made them; they take a little memory and nothing else.
 * New kernels do it by themselves, Linux 6.1 does not. A group can be removed when all room of its subvolume was given
 * back, half a minute later.
 */
export function removeStaleGroups(fd: number): void {
  for (const name of readdirSync(groupsOf(fd))) {
    const id = BigInt(/^0_(\d+)$/.exec(name)?.[1] ?? 0);
    if (id >= FIRST_ID && !subvolumeExists(fd, id)) unlessGone(() => qgroupRemove(fd, id));
  }
}

/** Of a plain directory this would be the id of what it is in, and that would be emptied. */
function idOfSubvolumeAt(dirFd: number, name: string): bigint {
  const fd = openat2(dirFd, name, { flags: O.RDONLY | O.DIRECTORY, resolve: SCOPE });
  try {
    if (!isSubvolume(fd)) throw new SystemCallError("destroy subvolume", constants.errno.EINVAL, name);
    return subvolumeIdOf(fd);
  } finally {
    closeSync(fd);
  }
}

function unlessGone(work: () => void): void {
  try {
    work();
  } catch (error) {
    if (!isErrno(error, "ENOENT")) throw error;
  }
}

/** Is there as long as the file system counts. */
function groupsOf(fd: number): string {
  return `/sys/fs/btrfs/${fileSystemIdOf(fd)}/qgroups`;
}

function readNumber(path: string): number {
  return Number(readFileSync(path, "utf8"));
}
