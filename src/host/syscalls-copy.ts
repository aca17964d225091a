/**
 * What copying a tree asks of the kernel beyond `syscalls.ts`, by the same rules: the bytes of a file, everything that
 * is known about it, and whatever else may have a name. Of a name, the NUL at its end is added here.
 */
import { constants } from "node:os";
import koffi from "koffi";
import { type PathBytes, SystemCallError } from "./syscalls.ts";

/** Everything about a file that a copy has too, and what tells it from others. */
export interface Original {
  /** Type and permissions. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly nlink: number;
  /** Bytes, its length. */
  readonly size: number;
  /** Bytes, what is allocated for it. */
  readonly usedBytes: number;
  /** Differs from that of every other inode, also of one that gets its number when it is gone. */
  readonly key: string;
  /** Of a device node, as `mknodat` wants it. */
  readonly device: bigint;
  /** Access and modification time, as `utimensat` wants them. */
  readonly times: Buffer;
  /** Whether this is the root of a mount. */
  readonly mountRoot: boolean;
}

const AT_EMPTY_PATH = 0x1000;
const AT_SYMLINK_NOFOLLOW = 0x100;
const AT_SYMLINK_FOLLOW = 0x400;
/** Basic fields and birth time. */
const STATX_MASK = 0xfff;
const STATX = {
  ATTRIBUTES: 8,
  NLINK: 16,
  UID: 20,
  GID: 24,
  MODE: 28,
  INO: 32,
  SIZE: 40,
  BLOCKS: 48,
  ATIME: 64,
  BTIME: 80,
  MTIME: 112,
  RDEV_MAJOR: 128,
  RDEV_MINOR: 132,
  DEVICE: 136,
} as const;
const MOUNT_ROOT = 0x2000;
const BLOCK_BYTES = 512;
/** `struct timespec`, and of it the nanoseconds. */
const TIME = { SIZE: 16, NANOSECONDS: 8 } as const;
const FICLONE = 0x4004_9409;
const SEEK = { DATA: 3, HOLE: 4 } as const;
/** The kernel's own limits of a list of attributes, and of one of them. */
const LIST_BYTES = 64 * 1024;

const libc = koffi.load(null);
const callStatx = libc.func("statx", "int", ["int", "const char *", "int", "uint32_t", "void *"]);
const callIoctl = libc.func("ioctl", "int", ["int", "unsigned long", "long"]);
const callCopyFileRange = libc.func("copy_file_range", "long", [
  "int",
  "void *",
  "int",
  "void *",
  "size_t",
  "uint32_t",
]);
const callLseek = libc.func("lseek", "int64_t", ["int", "int64_t", "int"]);
const callSyncfs = libc.func("syncfs", "int", ["int"]);
const callLinkat = libc.func("linkat", "int", ["int", "const char *", "int", "const char *", "int"]);
const callMknodat = libc.func("mknodat", "int", ["int", "const char *", "uint32_t", "uint64_t"]);
const callReadlinkat = libc.func("readlinkat", "long", ["int", "const char *", "void *", "size_t"]);
const callUtimensat = libc.func("utimensat", "int", ["int", "const char *", "void *", "int"]);
const callFutimens = libc.func("futimens", "int", ["int", "void *"]);
const callListxattr = libc.func("listxattr", "long", ["const char *", "void *", "size_t"]);
const callGetxattr = libc.func("getxattr", "long", ["const char *", "const char *", "void *", "size_t"]);
const callFlistxattr = libc.func("flistxattr", "long", ["int", "void *", "size_t"]);
const callFgetxattr = libc.func("fgetxattr", "long", ["int", "const char *", "void *", "size_t"]);
const callFsetxattr = libc.func("fsetxattr", "int", ["int", "const char *", "void *", "size_t", "int"]);
const callLsetxattr = libc.func("lsetxattr", "int", ["const char *", "const char *", "void *", "size_t", "int"]);

// One buffer a thread, as in syscalls.ts.
const stat = Buffer.alloc(256);
const list = Buffer.alloc(LIST_BYTES);
const value = Buffer.alloc(LIST_BYTES);
const target = Buffer.alloc(4096 + 1);
const offsets = [new BigInt64Array(1), new BigInt64Array(1)] as const;
const NOTHING = Buffer.alloc(1);

/** Examines what a descriptor is open on, also one that is `O_PATH`. */
export function examineOriginal(fd: number): Original {
  call("statx", () => callStatx(fd, NOTHING, AT_EMPTY_PATH, STATX_MASK, stat));
  const device = stat.toString("hex", STATX.DEVICE, STATX.DEVICE + 8);
  const times = Buffer.alloc(2 * TIME.SIZE);
  for (const [index, from] of [STATX.ATIME, STATX.MTIME].entries()) {
    stat.copy(times, index * TIME.SIZE, from, from + TIME.NANOSECONDS + 4);
  }
  return {
    mode: stat.readUInt16LE(STATX.MODE),
    uid: stat.readUInt32LE(STATX.UID),
    gid: stat.readUInt32LE(STATX.GID),
    nlink: stat.readUInt32LE(STATX.NLINK),
    size: Number(stat.readBigUInt64LE(STATX.SIZE)),
    usedBytes: Number(stat.readBigUInt64LE(STATX.BLOCKS)) * BLOCK_BYTES,
    key: `${device}${stat.toString("hex", STATX.INO, STATX.INO + 8)}${stat.toString("hex", STATX.BTIME, STATX.BTIME + 12)}`,
    device: makeDevice(stat.readUInt32LE(STATX.RDEV_MAJOR), stat.readUInt32LE(STATX.RDEV_MINOR)),
    times,
    mountRoot: (stat.readUInt32LE(STATX.ATTRIBUTES) & MOUNT_ROOT) !== 0,
  };
}

/** The C library's number of a device. */
function makeDevice(major: number, minor: number): bigint {
  const [high, low] = [BigInt(major), BigInt(minor)];
  return (low & 0xffn) | ((high & 0xfffn) << 8n) | ((low & ~0xffn) << 12n) | ((high & ~0xfffn) << 32n);
}

/** Has a new file share all blocks of another one. Throws `EOPNOTSUPP` and others where that cannot be. */
export function cloneFile(fromFd: number, toFd: number): void {
  call("ioctl FICLONE", () => callIoctl(toFd, FICLONE, fromFd));
}

/** Copies bytes to the same place; returns how many, 0 at the end of the file. */
export function copyFileRange(
  fromFd: number,
  toFd: number,
  range: { readonly at: number; readonly length: number },
): number {
  const [from, to] = offsets;
  from[0] = BigInt(range.at);
  to[0] = BigInt(range.at);
  return call("copy_file_range", () => Number(callCopyFileRange(fromFd, from, toFd, to, range.length, 0)));
}

/** Where the next data of a file begin, from a place in it; `undefined` when only a hole is left. */
export function seekData(fd: number, at: number): number | undefined {
  try {
    return call("lseek", () => Number(callLseek(fd, at, SEEK.DATA)));
  } catch (error) {
    if (error instanceof SystemCallError && error.errno === "ENXIO") return undefined;
    throw error;
  }
}

/** Where the data that begin at a place end. */
export function seekHole(fd: number, at: number): number {
  return call("lseek", () => Number(callLseek(fd, at, SEEK.HOLE)));
}

/** Makes everything durable that was written to the file system of an open file. */
export function syncFileSystem(fd: number): void {
  call("syncfs", () => callSyncfs(fd));
}

/** Gives what a descriptor was opened on, with `O_PATH` too, another name. */
export function linkOpen(fd: number, dirFd: number, name: Buffer): void {
  // Without the privilege that an empty path wants.
  const from = cName(`/proc/self/fd/${fd}`);
  const to = cName(name);
  call("linkat", () => callLinkat(-100, from, dirFd, to, AT_SYMLINK_FOLLOW), name);
}

/** Makes a FIFO, a socket or a device node, by its mode. */
export function mknodat(dirFd: number, name: Buffer, { mode, device }: Pick<Original, "mode" | "device">): void {
  const path = cName(name);
  call("mknodat", () => callMknodat(dirFd, path, mode, device), name);
}

/** What the symlink says that a descriptor was opened on. */
export function readOpenLink(fd: number): Buffer {
  const length = call("readlinkat", () => callReadlinkat(fd, NOTHING, target, target.length));
  return Buffer.from(target.subarray(0, length));
}

/** Sets access and modification time of an open file. */
export function setTimes(fd: number, times: Buffer): void {
  call("futimens", () => callFutimens(fd, times));
}

/** The same of a name, which is not followed. */
export function setTimesAt(dirFd: number, name: Buffer, times: Buffer): void {
  const path = cName(name);
  call("utimensat", () => callUtimensat(dirFd, path, times, AT_SYMLINK_NOFOLLOW), name);
}

/** An open file or directory, or the path of anything else. */
type Attributed = number | PathBytes;

/** Names of extended attributes, each as bytes without NUL; a path is followed. */
export function listAttributes(of: Attributed): readonly Buffer[] {
  const length = lengthOfList(of);
  const names: Buffer[] = [];
  for (let at = 0; at < length; ) {
    const end = list.indexOf(0, at);
    names.push(Buffer.from(list.subarray(at, end)));
    at = end + 1;
  }
  return names;
}

function lengthOfList(of: Attributed): number {
  try {
    if (typeof of === "number") return call("flistxattr", () => callFlistxattr(of, list, list.length));
    const path = cName(of);
    return call("listxattr", () => callListxattr(path, list, list.length));
  } catch (error) {
    if (error instanceof SystemCallError && ["ENOTSUP", "EOPNOTSUPP"].includes(error.errno)) return 0;
    throw error;
  }
}

/** An extended attribute; a path is followed. Throws `ENODATA` when there is none. */
export function getAttribute(of: Attributed, name: Buffer): Buffer {
  const label = cName(name);
  const path = typeof of === "number" ? NOTHING : cName(of);
  const length =
    typeof of === "number"
      ? call("fgetxattr", () => callFgetxattr(of, label, value, value.length), name)
      : call("getxattr", () => callGetxattr(path, label, value, value.length), name);
  return Buffer.from(value.subarray(0, length));
}

/** Sets an extended attribute; a symlink at the end of a path is not followed. */
export function setAttribute(of: Attributed, name: Buffer, bytes: Buffer): void {
  const label = cName(name);
  if (typeof of === "number") {
    call("fsetxattr", () => callFsetxattr(of, label, bytes, bytes.length, 0), name);
    return;
  }
  const path = cName(of);
  call("lsetxattr", () => callLsetxattr(path, label, bytes, bytes.length, 0), name);
}

function cName(path: PathBytes): Buffer {
  const bytes = typeof path === "string" ? Buffer.from(path) : path;
  if (bytes.includes(0)) throw new SystemCallError("copy", constants.errno.EINVAL, bytes.toString());
  return Buffer.concat([bytes, NOTHING]);
}

function call(name: string, invoke: () => number, subject: PathBytes = ""): number {
  for (;;) {
    const result = invoke();
    if (result !== -1) return result;
    const number = koffi.errno();
    if (number !== constants.errno.EINTR) throw new SystemCallError(name, number, subject.toString());
  }
}
