/**
 * System calls for btrfs: subvolumes, and the quota groups by which their bytes are counted and may be limited: the
 * group of a subvolume has its id. Descriptors must be open for reading, on anything of the file system; a directory
 * that a name is in, on the very directory.
 */
import { constants } from "node:os";
import { type IoctlRequest, ioctl, SystemCallError } from "./syscalls.ts";

const SUBVOL_CREATE: IoctlRequest = { name: "BTRFS_IOC_SUBVOL_CREATE", number: 0x5000_940e };
const SNAP_CREATE_V2: IoctlRequest = { name: "BTRFS_IOC_SNAP_CREATE_V2", number: 0x5000_9417 };
const SNAP_DESTROY: IoctlRequest = { name: "BTRFS_IOC_SNAP_DESTROY", number: 0x5000_940f };
const SNAP_DESTROY_V2: IoctlRequest = { name: "BTRFS_IOC_SNAP_DESTROY_V2", number: 0x5000_943f };
const INO_LOOKUP: IoctlRequest = { name: "BTRFS_IOC_INO_LOOKUP", number: 0xd000_9412 };
const FS_INFO: IoctlRequest = { name: "BTRFS_IOC_FS_INFO", number: 0x8400_941f };
const TREE_SEARCH: IoctlRequest = { name: "BTRFS_IOC_TREE_SEARCH", number: 0xd000_9411 };
const QGROUP_CREATE: IoctlRequest = { name: "BTRFS_IOC_QGROUP_CREATE", number: 0x4010_942a };
const QGROUP_LIMIT: IoctlRequest = { name: "BTRFS_IOC_QGROUP_LIMIT", number: 0x8030_942b };

const SYNC: IoctlRequest = { name: "BTRFS_IOC_SYNC", number: 0x9408 };

/** The inode number of the top directory of every subvolume. */
export const SUBVOLUME_INODE = 256n;

/** All these requests have a buffer of 4 KiB. */
const ARGUMENT_BYTES = 4096;
/** `struct btrfs_ioctl_vol_args`, and its second version where a subvolume is named by its id. */
const VOLUME = {
  FD_AT: 0,
  NAME_AT: 8,
  NAME_BYTES_MAX: 255,
  FLAGS_AT: 16,
  ID_AT: 56,
  NAME_2_AT: 56,
  BY_ID: 16n,
} as const;
/** `struct btrfs_ioctl_ino_lookup_args`. */
const LOOKUP = { TREE_AT: 0, OBJECT_AT: 8 } as const;
/** `struct btrfs_ioctl_fs_info_args`. */
const FILE_SYSTEM_ID = { AT: 16, END: 32 } as const;
/** `struct btrfs_ioctl_search_key`, and the `struct btrfs_ioctl_search_header` before each item. */
const SEARCH = {
  TREE_AT: 0,
  OBJECT_MIN_AT: 8,
  OBJECT_MAX_AT: 16,
  OFFSET_MIN_AT: 24,
  OFFSET_MAX_AT: 32,
  TRANSACTION_MAX_AT: 48,
  TYPE_MIN_AT: 56,
  TYPE_MAX_AT: 60,
  COUNT_AT: 64,
  ITEMS_AT: 104,
  ITEM: { OFFSET_AT: 16, LENGTH_AT: 28, SIZE: 32 },
} as const;
const ROOT_TREE = 1n;
/** Is there as long as anything of a subvolume is: `(id, ROOT_ITEM, 0)`. */
const ROOT_ITEM = 132;
/** Says that one subvolume is in another: `(parent, ROOT_REF, child)`. */
const ROOT_REF = 156;
/** Holds the limit of every quota group: `(0, QGROUP_LIMIT, id)`. */
const QUOTA_TREE = 8n;
const LIMIT_ITEM = { TYPE: 244, FLAGS_AT: 0, REFERENCED_AT: 8 } as const;
const EVERYTHING = 0xffff_ffff_ffff_ffffn;
/** `struct btrfs_ioctl_qgroup_limit_args`, and the value that takes a limit away. */
const LIMIT = { SIZE: 48, GROUP_AT: 0, FLAGS_AT: 8, REFERENCED_AT: 16, OF_REFERENCED: 1n, NONE: EVERYTHING } as const;
/** `struct btrfs_ioctl_qgroup_create_args`. */
const GROUP = { SIZE: 16, CREATE_AT: 0, GROUP_AT: 8 } as const;

// One buffer a thread, as in syscalls.ts.
const argument = Buffer.alloc(ARGUMENT_BYTES);

/** Makes an empty subvolume with the name in an open directory; its mode is 0755 less the umask. Starts no commit. */
export function subvolumeCreate(dirFd: number, name: string): void {
  ioctl(dirFd, SUBVOL_CREATE, volumeArgument(SUBVOL_CREATE, name), name);
}

/**
 * Makes a subvolume with the name in an open directory that has everything that the subvolume has which `fromFd` is the
 * top of, as of now, durable. Subvolumes in that one are left out.
 */
export function subvolumeSnapshot(dirFd: number, name: string, fromFd: number): void {
  const bytes = requireName(SNAP_CREATE_V2, name);
  argument.fill(0);
  argument.writeBigInt64LE(BigInt(fromFd), VOLUME.FD_AT);
  bytes.copy(argument, VOLUME.NAME_2_AT);
  ioctl(dirFd, SNAP_CREATE_V2, argument, name);
}

/**
 * Removes a subvolume with all files in it, in constant time; the kernel gives the room back later.
 * @throws `ENOTEMPTY` another subvolume is in it; `ENOTTY`, `EINVAL` it is none
 */
export function subvolumeDestroy(dirFd: number, name: string): void {
  ioctl(dirFd, SNAP_DESTROY, volumeArgument(SNAP_DESTROY, name), name);
}

/** The same by its id, wherever it is. Throws `ENOENT` when there is none. */
export function subvolumeDestroyById(fd: number, id: bigint): void {
  argument.fill(0);
  argument.writeBigUInt64LE(VOLUME.BY_ID, VOLUME.FLAGS_AT);
  argument.writeBigUInt64LE(id, VOLUME.ID_AT);
  ioctl(fd, SNAP_DESTROY_V2, argument, String(id));
}

/** The id of the subvolume that an open file or directory is in. */
export function subvolumeIdOf(fd: number): bigint {
  argument.fill(0);
  argument.writeBigUInt64LE(SUBVOLUME_INODE, LOOKUP.OBJECT_AT);
  ioctl(fd, INO_LOOKUP, argument);
  return argument.readBigUInt64LE(LOOKUP.TREE_AT);
}

/** The ids of the subvolumes that are directly in one. Costs the same however many files it has. */
export function subvolumesIn(fd: number, id: bigint): readonly bigint[] {
  const found: bigint[] = [];
  for (let next = 0n; ; ) {
    const some = searchRoots(fd, { object: id, type: ROOT_REF, offset: next });
    found.push(...some);
    const last = some.at(-1);
    if (last === undefined) return found;
    next = last + 1n;
  }
}

/** The least id of the subvolumes that are directly in one. */
export function firstSubvolumeIn(fd: number, id: bigint): bigint | undefined {
  return searchRoots(fd, { object: id, type: ROOT_REF, offset: 0n })[0];
}

/** Whether there is a subvolume with this id, or something left of one that is being removed. */
export function subvolumeExists(fd: number, id: bigint): boolean {
  return searchRoots(fd, { object: id, type: ROOT_ITEM, offset: 0n }).length > 0;
}

/** The offsets of the items in the tree of subvolumes with this key or a greater offset, as many as fit. */
function searchRoots(
  fd: number,
  { object, type, offset }: { readonly object: bigint; readonly type: number; readonly offset: bigint },
): readonly bigint[] {
  argument.fill(0);
  argument.writeBigUInt64LE(ROOT_TREE, SEARCH.TREE_AT);
  argument.writeBigUInt64LE(object, SEARCH.OBJECT_MIN_AT);
  argument.writeBigUInt64LE(object, SEARCH.OBJECT_MAX_AT);
  argument.writeBigUInt64LE(offset, SEARCH.OFFSET_MIN_AT);
  argument.writeBigUInt64LE(EVERYTHING, SEARCH.OFFSET_MAX_AT);
  argument.writeBigUInt64LE(EVERYTHING, SEARCH.TRANSACTION_MAX_AT);
  argument.writeUInt32LE(type, SEARCH.TYPE_MIN_AT);
  argument.writeUInt32LE(type, SEARCH.TYPE_MAX_AT);
  argument.writeUInt32LE(ARGUMENT_BYTES, SEARCH.COUNT_AT);
  ioctl(fd, TREE_SEARCH, argument);
  const offsets: bigint[] = [];
  let at: number = SEARCH.ITEMS_AT;
  for (let left = argument.readUInt32LE(SEARCH.COUNT_AT); left > 0; left -= 1) {
    offsets.push(argument.readBigUInt64LE(at + SEARCH.ITEM.OFFSET_AT));
    at += SEARCH.ITEM.SIZE + argument.readUInt32LE(at + SEARCH.ITEM.LENGTH_AT);
  }
  return offsets;
}

/** Commits what there is, and has the kernel go on with taking removed subvolumes apart; else it does so seldom. */
export function pokeCleaner(fd: number): void {
  ioctl(fd, SYNC, null);
}

/**
 * The id of the file system, as sysfs has it.
 * @throws `ENOTTY` it is not btrfs
 */
export function fileSystemIdOf(fd: number): string {
  ioctl(fd, FS_INFO, argument);
  const hex = argument.toString("hex", FILE_SYSTEM_ID.AT, FILE_SYSTEM_ID.END);
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

/**
 * Limits the bytes that a quota group refers to; `undefined` takes the limit away. `fd` must be outside of the
 * subvolume, for in a full one the limit itself finds no room.
 * @throws `ENOTCONN` there are no quotas; `ENOENT` no such group; `EDQUOT` the subvolume of `fd` is full
 */
export function qgroupLimit(fd: number, id: bigint, limitBytes: number | undefined): void {
  const limit = Buffer.alloc(LIMIT.SIZE);
  limit.writeBigUInt64LE(id, LIMIT.GROUP_AT);
  limit.writeBigUInt64LE(LIMIT.OF_REFERENCED, LIMIT.FLAGS_AT);
  limit.writeBigUInt64LE(limitBytes === undefined ? LIMIT.NONE : BigInt(limitBytes), LIMIT.REFERENCED_AT);
  ioctl(fd, QGROUP_LIMIT, limit);
}

/**
 * The limit of a quota group in bytes, `undefined` when it has none; asked of the file system's own tree, in one call.
 * @throws `ENOENT` there are no quotas, or no such group
 */
export function qgroupLimitOf(fd: number, id: bigint): number | undefined {
  argument.fill(0);
  argument.writeBigUInt64LE(QUOTA_TREE, SEARCH.TREE_AT);
  argument.writeBigUInt64LE(id, SEARCH.OFFSET_MIN_AT);
  argument.writeBigUInt64LE(id, SEARCH.OFFSET_MAX_AT);
  argument.writeBigUInt64LE(EVERYTHING, SEARCH.TRANSACTION_MAX_AT);
  argument.writeUInt32LE(LIMIT_ITEM.TYPE, SEARCH.TYPE_MIN_AT);
  argument.writeUInt32LE(LIMIT_ITEM.TYPE, SEARCH.TYPE_MAX_AT);
  argument.writeUInt32LE(1, SEARCH.COUNT_AT);
  ioctl(fd, TREE_SEARCH, argument);
  if (argument.readUInt32LE(SEARCH.COUNT_AT) === 0) {
    throw new SystemCallError(TREE_SEARCH.name, constants.errno.ENOENT, String(id));
  }
  const at = SEARCH.ITEMS_AT + SEARCH.ITEM.SIZE;
  const flags = argument.readBigUInt64LE(at + LIMIT_ITEM.FLAGS_AT);
  if ((flags & LIMIT.OF_REFERENCED) === 0n) return undefined;
  return Number(argument.readBigUInt64LE(at + LIMIT_ITEM.REFERENCED_AT));
}

/**
 * Removes a quota group; older kernels also that of a subvolume which is there.
 * @throws `EBUSY` its subvolume is there, or is still being removed; `ENOENT` it is gone
 */
export function qgroupRemove(fd: number, id: bigint): void {
  const group = Buffer.alloc(GROUP.SIZE);
  group.writeBigUInt64LE(id, GROUP.GROUP_AT);
  ioctl(fd, QGROUP_CREATE, group);
}

/** The kernel would stop at the first NUL and act on another name. */
function requireName(request: IoctlRequest, name: string): Buffer {
  const bytes = Buffer.from(name);
  if (bytes.length <= VOLUME.NAME_BYTES_MAX && !bytes.includes(0)) return bytes;
  throw new SystemCallError(request.name, constants.errno.EINVAL, name);
}

function volumeArgument(request: IoctlRequest, name: string): Buffer {
  const bytes = requireName(request, name);
  argument.fill(0);
  bytes.copy(argument, VOLUME.NAME_AT);
  return argument;
}
