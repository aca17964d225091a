/** Which file system a directory is on, and whether it can keep promises. */
import { closeSync, openSync, readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { basename } from "node:path";
import { tableIdOf } from "./mount-id.ts";
import { findMount } from "./mount-table.ts";
import { AT, statx } from "./syscalls.ts";
import { fileSystemUuid } from "./syscalls-fsuuid.ts";

export interface FileSystem {
  /** As mountinfo calls it: `ext4`. */
  readonly type: string;
  /** Where the kernel, or a link of udev, tells it; not of one that forgets everything. */
  readonly uuid?: string;
}

const NODE_BY_UUID = "/dev/disk/by-uuid";

/** Why a kind of file system cannot hold volumes that must survive: by type, or by the beginning of it. */
const VOLATILE: readonly (readonly [RegExp, string])[] = [
  [/^(?:tmpfs|ramfs|devtmpfs|hugetlbfs|rootfs)$/, "it forgets everything at a reboot"],
  [/^(?:overlay|aufs|unionfs)$/, "it belongs to a container and goes with it"],
  [/^(?:nfs|nfs4|cifs|smb3|9p|virtiofs|ceph|afs|lustre|gpfs|glusterfs)$/, "it is not this node's own"],
  [/^fuse/, "its syncs and renames are only as good as a program"],
  [/^(?:proc|sysfs|cgroup2?|devpts|debugfs|tracefs|securityfs|configfs|bpf|pstore|mqueue)$/, "it holds no files"],
  [/^(?:vfat|exfat|msdos|ntfs3?|iso9660|squashfs|erofs|udf)$/, "it keeps no owners or cannot be written"],
];

/** The file system of an open directory. */
export function describeFileSystem(fd: number): FileSystem {
  const { fsType: type = "unknown", source = "none" } = findMount(tableIdOf(fd)) ?? {};
  if (whyVolatile(type) !== undefined) return { type };
  const uuid = fileSystemUuid(fd) ?? (source.startsWith("/") ? uuidOf(source) : undefined);
  return uuid === undefined ? { type } : { type, uuid };
}

/** The type of the file system that a directory is on. */
export function fileSystemTypeOf(directory: string): string {
  const fd = openSync(directory, "r");
  try {
    return describeFileSystem(fd).type;
  } finally {
    closeSync(fd);
  }
}

/** Why volumes would not survive on this type of file system; `undefined` when they do, as far as is known. */
export function whyVolatile(type: string): string | undefined {
  return VOLATILE.find(([pattern]) => pattern.test(type))?.[1];
}

/**
 * Whether directories become durable in the order in which they were made and renamed, so that the sync of the last
 * one covers all: one log holds them all. True of XFS, and of ext4 with a journal; others are not known to promise it.
 */
export function keepsOrder(fd: number, type: string): boolean {
  if (type === "xfs") return true;
  if (type !== "ext4" && type !== "ext3") return false;
  try {
    const { devMajor, devMinor } = statx(fd, "", AT.EMPTY_PATH);
    const device = basename(readlinkSync(`/sys/dev/block/${devMajor}:${devMinor}`));
    return /^\d+$/.test(readFileSync(`/sys/fs/ext4/${device}/journal_task`, "utf8").trim());
  } catch {
    return false;
  }
}

/** Whether the sync of a new file or directory makes its name durable too, and those of new ones above it. */
export function syncsNames(type: string): boolean {
  return type === "ext4" || type === "xfs" || type === "btrfs";
}

function uuidOf(device: string): string | undefined {
  try {
    const { rdev } = statSync(device);
    return readdirSync(NODE_BY_UUID).find((uuid) => statSync(`${NODE_BY_UUID}/${uuid}`).rdev === rdev);
  } catch {
    return undefined;
  }
}
