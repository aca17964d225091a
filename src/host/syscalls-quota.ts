/**
 * System calls for project quotas. A project is a number that a file carries and, where `inherit` is set on its
 * directory, gets when it is made; the file system counts what carries a number and may limit it. One interface serves
 * ext4 and XFS: the kernel's generic one.
 */
import { type IoctlRequest, ioctl, quotactlFd } from "./syscalls.ts";

export interface Project {
  /** 0 is nobody's. */
  readonly id: number;
  /** Whether what is made in this directory belongs to the same project; a file has no such thing. */
  readonly inherit: boolean;
}

export interface ProjectCounts {
  readonly usedBytes: number;
  readonly inodes: number;
  /** The hard limit in bytes; 0 is none. */
  readonly limitBytes: number;
}

const FSGETXATTR: IoctlRequest = { name: "FS_IOC_FSGETXATTR", number: 0x801c_581f };
const FSSETXATTR: IoctlRequest = { name: "FS_IOC_FSSETXATTR", number: 0x401c_5820 };
/** `struct fsxattr`. */
const FSX = { SIZE: 28, XFLAGS_AT: 0, PROJECT_AT: 12, PROJECT_INHERIT: 0x200 } as const;

const PROJECT_QUOTA = 2;
const QUOTA = { GET: 0x80_0007, SET: 0x80_0008, GET_STATE: 0x5808 } as const;
/** `struct if_dqblk`; its limits are in units of 1 KiB, what is used in bytes. */
const DQBLK = { SIZE: 72, HARD_AT: 0, SOFT_AT: 8, USED_AT: 16, INODES_AT: 40, VALID_AT: 64, BLOCK_LIMITS: 1 } as const;
const LIMIT_UNIT_BYTES = 1024;
/** `struct fs_quota_statv`. */
const STATE = { SIZE: 160, VERSION: 1, FLAGS_AT: 2, PROJECT_ACCOUNTING: 0x10, PROJECT_ENFORCING: 0x20 } as const;

// One set of buffers a thread, as in syscalls.ts.
const attributes = Buffer.alloc(FSX.SIZE);
const dqblk = Buffer.alloc(DQBLK.SIZE);
const state = Buffer.alloc(STATE.SIZE);

/**
 * The project of an open file or directory; `O_PATH` is not open enough.
 * @throws `ENOTTY` of many file systems without projects; others of them say 0
 */
export function getProject(fd: number): Project {
  ioctl(fd, FSGETXATTR, attributes);
  const inherit = (attributes.readUInt32LE(FSX.XFLAGS_AT) & FSX.PROJECT_INHERIT) !== 0;
  return { id: attributes.readUInt32LE(FSX.PROJECT_AT), inherit };
}

/**
 * Gives an open file or directory, not what is in it, to a project; its other attributes stay. Does not write when
 * nothing changes.
 * @throws `EINVAL` in a user namespace; `ENOTSUP` ext4 without its feature `project`, or a file that shall `inherit`;
 *   `EDQUOT` the project would be over its limit
 */
export function setProject(fd: number, { id, inherit }: Project): void {
  const before = getProject(fd);
  if (before.id === id && before.inherit === inherit) return;
  const flags = attributes.readUInt32LE(FSX.XFLAGS_AT) & ~FSX.PROJECT_INHERIT;
  attributes.writeUInt32LE((flags | (inherit ? FSX.PROJECT_INHERIT : 0)) >>> 0, FSX.XFLAGS_AT);
  attributes.writeUInt32LE(id, FSX.PROJECT_AT);
  ioctl(fd, FSSETXATTR, attributes);
}

/**
 * What the file system does about projects.
 * @throws `ENOSYS`, `EINVAL` and others where it does nothing, or a filter denies the question
 */
export function projectQuotaFlags(fd: number): { readonly accounting: boolean; readonly enforcing: boolean } {
  state.fill(0);
  state.writeInt8(STATE.VERSION, 0);
  quotactlFd(fd, command(QUOTA.GET_STATE), 0, state);
  const flags = state.readUInt16LE(STATE.FLAGS_AT);
  return {
    accounting: (flags & STATE.PROJECT_ACCOUNTING) !== 0,
    enforcing: (flags & STATE.PROJECT_ENFORCING) !== 0,
  };
}

/**
 * What a project has and may have.
 * @throws `ENOENT` XFS never heard of it; `ESRCH`, `ENOSYS` the file system does not count
 */
export function getProjectCounts(fd: number, id: number): ProjectCounts {
  quotactlFd(fd, command(QUOTA.GET), id, dqblk);
  return {
    usedBytes: Number(dqblk.readBigUInt64LE(DQBLK.USED_AT)),
    inodes: Number(dqblk.readBigUInt64LE(DQBLK.INODES_AT)),
    limitBytes: Number(dqblk.readBigUInt64LE(DQBLK.HARD_AT)) * LIMIT_UNIT_BYTES,
  };
}

/** Limits a project's bytes, rounded down to whole KiB; 0 is no limit. The limit of inodes stays. */
export function setProjectLimit(fd: number, id: number, limitBytes: number): void {
  dqblk.fill(0);
  dqblk.writeBigUInt64LE(BigInt(Math.floor(limitBytes / LIMIT_UNIT_BYTES)), DQBLK.HARD_AT);
  // No soft limit: a privileged writer would cross it, and it then refuses others when its time is over.
  dqblk.writeUInt32LE(DQBLK.BLOCK_LIMITS, DQBLK.VALID_AT);
  quotactlFd(fd, command(QUOTA.SET), id, dqblk);
}

/** `QCMD` for projects. */
function command(operation: number): number {
  return ((operation << 8) | PROJECT_QUOTA) >>> 0;
}
