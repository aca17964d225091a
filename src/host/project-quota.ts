/**
 * Sizes that hold on ext4 and XFS: the content of a volume carries a project id of its own, the file system counts what
 * carries it, and refuses what would be more than the limit. What is counted is exact; on XFS what was deleted counts a
 * moment longer.
 *
 * ext4 lets a writer with `CAP_SYS_RESOURCE` pass any limit. An owner outside of a user namespace may give its files to
 * another project: then they are not counted here any more.
 *
 * A descriptor is of anything on the file system, however it is open. Changing limits needs `CAP_SYS_ADMIN`.
 */
import { HoldfastError } from "../domain/error.ts";
import { isErrno, SystemCallError } from "./syscalls.ts";
import { getProjectCounts, projectQuotaFlags, setProjectLimit } from "./syscalls-quota.ts";

export interface QuotaState {
  /** Whether the file system counts what projects have. */
  readonly accounting: boolean;
  /** Whether it refuses what is over a limit. */
  readonly enforcing: boolean;
}

export interface ProjectUsage {
  readonly usedBytes: number;
  readonly inodes: number;
  /** `undefined` is no limit. */
  readonly limitBytes: number | undefined;
}

/** Inclusive. */
export interface ProjectIdRange {
  readonly first: number;
  readonly last: number;
}

/** The least that the kernel can limit; 0 would be no limit. */
const LIMIT_BYTES_MIN = 1024;

/** What the file system does for projects; one that cannot be asked does nothing. */
export function projectQuotaState(fd: number): QuotaState {
  try {
    return projectQuotaFlags(fd);
  } catch (error) {
    if (error instanceof SystemCallError) return { accounting: false, enforcing: false };
    throw error;
  }
}

/**
 * What a project has and may have, in constant time; nothing, for one that was never used.
 * @throws `ESRCH`, `ENOSYS` the file system does not count
 */
export function usageOfProject(fd: number, id: number): ProjectUsage {
  try {
    const { usedBytes, inodes, limitBytes } = getProjectCounts(fd, id);
    return { usedBytes, inodes, limitBytes: limitBytes === 0 ? undefined : limitBytes };
  } catch (error) {
    // XFS keeps nothing about a project that has nothing.
    if (isErrno(error, "ENOENT")) return { usedBytes: 0, inodes: 0, limitBytes: undefined };
    throw error;
  }
}

/** Limits a project, at once, also to less than it has: then it may have no more. Rounded down to whole KiB. */
export function limitProject(fd: number, id: number, sizeBytes: number): void {
  setProjectLimit(fd, id, Math.max(sizeBytes, LIMIT_BYTES_MIN));
}

/** Takes the limit away. */
export function clearProject(fd: number, id: number): void {
  setProjectLimit(fd, id, 0);
}

/**
 * The project ids of one file system. An id is free when neither our books know it nor the kernel: nothing carries it and
 * nobody limits it. What the kernel says decides, so that several disks, and other programs, can share a file system.
 */
export class ProjectIds {
  readonly #fd: number;
  readonly #range: ProjectIdRange;
  readonly #claimed = new Set<number>();
  #next: number;

  /** `range` is within 1 and 2^32 - 2: project 0 is nobody's, and the last number means none. */
  constructor(fd: number, range: ProjectIdRange) {
    this.#fd = fd;
    this.#range = range;
    this.#next = range.first;
  }

  /** Takes an id that a volume has already. It may be of an earlier range. */
  claim(id: number): void {
    this.#claimed.add(id);
  }

  /**
   * The next free id. Others learn of it when a directory carries it or it has a limit: until then nobody else may
   * allocate, so no `await` lies between.
   * @throws `insufficient` none is left
   */
  allocate(): number {
    const { first, last } = this.#range;
    for (let left = last - first + 1; left > 0; left -= 1) {
      const id = this.#next;
      this.#next = id === last ? first : id + 1;
      if (this.#claimed.has(id) || this.#isKnown(id)) continue;
      this.#claimed.add(id);
      return id;
    }
    throw new HoldfastError(
      "insufficient",
      `Cannot limit a volume: all project ids from ${first} to ${last} are taken, configure a larger range`,
    );
  }

  /**
   * Gives an id back and takes its limit away. It is used again when the kernel counts nothing for it: files that are
   * deleted but still open somewhere keep it taken.
   */
  release(id: number): void {
    clearProject(this.#fd, id);
    this.#claimed.delete(id);
  }

  #isKnown(id: number): boolean {
    const { usedBytes, inodes, limitBytes } = usageOfProject(this.#fd, id);
    return usedBytes !== 0 || inodes !== 0 || limitBytes !== undefined;
  }
}
