/**
 * System calls that Node does not offer, by koffi, synchronous. What a sandbox or a volume holds is reached by
 * descriptor and one path component, so every call takes a directory descriptor.
 *
 * Every descriptor is opened close-on-exec, an interrupted call is repeated, and a failed one throws a
 * `SystemCallError`. Numbers are used only where x64 and arm64 agree (424 and above), libc's symbols otherwise.
 * A path is a string, or a buffer where it need not be UTF-8; one with a NUL is refused with `EINVAL`.
 * Descriptors are closed with `closeSync` of node:fs, in workers with `trackUnmanagedFds: false`.
 */
import { closeSync, constants as fsConstants } from "node:fs";
import { constants as osConstants } from "node:os";
import koffi from "koffi";

export class SystemCallError extends Error {
  /** The call's name: `openat2`. */
  readonly call: string;
  /** The error's symbol: `ENOENT`. */
  readonly errno: string;
  /** The error's number, positive. */
  readonly number: number;

  constructor(call: string, number: number, subject: string) {
    const errno = ERRNO_NAMES.get(number) ?? `E${number}`;
    super(subject === "" ? `Cannot ${call}: ${errno}` : `Cannot ${call} "${subject}": ${errno}`);
    this.name = "SystemCallError";
    this.call = call;
    this.errno = errno;
    this.number = number;
  }
}

/** A path as bytes or as text. */
export type PathBytes = string | Buffer;

export const AT = {
  FDCWD: -100,
  SYMLINK_NOFOLLOW: 0x100,
  REMOVEDIR: 0x200,
  SYMLINK_FOLLOW: 0x400,
  NO_AUTOMOUNT: 0x800,
  EMPTY_PATH: 0x1000,
} as const;

/** Flags of an open file; those that differ by architecture come from Node. `CLOEXEC` is always added. */
export const O = {
  RDONLY: fsConstants.O_RDONLY,
  WRONLY: fsConstants.O_WRONLY,
  RDWR: fsConstants.O_RDWR,
  CREAT: fsConstants.O_CREAT,
  EXCL: fsConstants.O_EXCL,
  NONBLOCK: fsConstants.O_NONBLOCK,
  DIRECTORY: fsConstants.O_DIRECTORY,
  NOFOLLOW: fsConstants.O_NOFOLLOW,
  CLOEXEC: 0x80000,
  PATH: 0x200000,
} as const;

export const RESOLVE = {
  NO_XDEV: 0x01,
  NO_MAGICLINKS: 0x02,
  NO_SYMLINKS: 0x04,
  BENEATH: 0x08,
  IN_ROOT: 0x10,
} as const;

export const MOUNT_ATTR = { RDONLY: 0x1, NOSUID: 0x2, NODEV: 0x4, NOEXEC: 0x8, IDMAP: 0x10_0000 } as const;

export const MS = {
  BIND: 0x1000,
  REC: 0x4000,
  UNBINDABLE: 0x20000,
  PRIVATE: 0x40000,
  SLAVE: 0x80000,
  SHARED: 0x100000,
} as const;

export const UMOUNT = { DETACH: 0x2, NOFOLLOW: 0x8 } as const;
export const OPEN_TREE = { CLONE: 0x1 } as const;
export const MOVE_MOUNT = { F_EMPTY_PATH: 0x4, T_EMPTY_PATH: 0x40 } as const;
export const RENAME = { NOREPLACE: 0x1, EXCHANGE: 0x2 } as const;
export const LOCK = { SH: 1, EX: 2, NB: 4, UN: 8 } as const;
/** What `chattr` sets; while one of these is set a file cannot be removed. */
export const INODE = { IMMUTABLE: 0x10, APPEND: 0x20 } as const;
export const CLONE = { FS: 0x200, NEWNS: 0x20000 } as const;

export interface Stat {
  /** Type and permissions, as in `fs.Stats`. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly nlink: number;
  /** Bytes. */
  readonly size: bigint;
  readonly ino: bigint;
  /** Its number when this is the top directory of a btrfs subvolume, which all have the same inode. Never used again. */
  readonly subvolume?: bigint;
  readonly devMajor: number;
  readonly devMinor: number;
  /** Birth time in nanoseconds since the epoch; 0n where the file system keeps none. */
  readonly birthNs: bigint;
  readonly mountId: bigint;
  /** Whether `mountId` is never used again and `statmount` knows it; otherwise it is the one of mountinfo. */
  readonly mountIdUnique: boolean;
  /** Whether this is the root of a mount. */
  readonly mountRoot: boolean;
}

/** A name in a directory, as bytes: it need not be UTF-8. */
export interface DirectoryEntry {
  readonly name: Buffer;
  /** `undefined` where the file system does not say. */
  readonly isDirectory: boolean | undefined;
}

export interface MountStatus {
  /** The unique id of the mount that this one is mounted on; its own, when it is on none. */
  readonly parentId: bigint;
  /** `MOUNT_ATTR` flags in force. */
  readonly attributes: number;
  /** One of `MS.SHARED`, `MS.SLAVE`, `MS.PRIVATE`, `MS.UNBINDABLE`, or shared and slave together. */
  readonly propagation: number;
}

export interface MountDetails extends MountStatus {
  /** `major:minor` of the file system, as in mountinfo. */
  readonly device: string;
  /** Which directory of the file system is mounted; not escaped. */
  readonly root: string;
  /** Where, as the namespace's root sees it, or in our own namespace the caller's; not escaped. Empty: not below it. */
  readonly mountPoint: string;
}

/** The way to another mount namespace and home again, as open descriptors. */
export interface Journey {
  readonly namespace: number;
  /** Ours, and the root and working directory that the thread has there. */
  readonly home: { readonly namespace: number; readonly root: number; readonly directory: number };
}

/** Whose mounts are asked about, when not our own. */
export type Elsewhere = { readonly journey: Journey } | { readonly namespaceId: bigint };

export interface PeerCredentials {
  /** 0 where the peer lives in a pid namespace that ours does not see. */
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

const NUL = Buffer.alloc(1);
const DOT = 0x2e;

const STATX = {
  BTIME: 0x800,
  MNT_ID_UNIQUE: 0x4000,
  SUBVOL: 0x8000,
  /** Basic fields, birth time, a mount id, and the subvolume where the kernel (since 6.10) tells it. */
  WANTED: 0x7ff | 0x800 | 0x1000 | 0x8000,
  ATTR_MOUNT_ROOT: 0x2000,
} as const;

/** What `statmount` is asked for; strings lie behind its fixed part. */
const STATMOUNT = { SB_BASIC: 0x1n, MNT_BASIC: 0x2n, MNT_ROOT: 0x8n, MNT_POINT: 0x10n, STRINGS_AT: 512 } as const;
/** Where its answer says at which of the strings these begin. */
const STRING_OF = { MNT_ROOT: 104, MNT_POINT: 108 } as const;

/** Asks a mount namespace for the one behind or before it, since Linux 6.12. */
const NS_MNT = { GET_NEXT: 0x8010b70b, GET_PREV: 0x8010b70c } as const;
/** Asks a namespace for the user namespace that owns it. */
const NS_GET_USERNS = 0xb701;
/** Where `listmount` begins. */
const LSMT_ROOT = 0xffff_ffff_ffff_ffffn;
const MOUNTS_AT_ONCE = 4096;
/** A path may be longer than any that can be opened; the kernel itself ends somewhere here. */
const STATMOUNT_BYTES_MAX = 4 * 1024 * 1024;

/** `getdents64`: where a record has its length, its type, and its name. */
const DIRENT = { LENGTH: 16, TYPE: 18, NAME: 19, DT_UNKNOWN: 0, DT_DIR: 4 } as const;

/** `ioctl` requests on 64 bits, and what a file may carry. */
const FS_IOC = { GETFLAGS: 0x8008_6601, SETFLAGS: 0x4008_6602 } as const;

/** A file handle of btrfs, and the inode of the top directory of every subvolume. */
const BTRFS = { TOP_INODE: 256n, HANDLE_TYPE: 0x4d, HANDLE_BYTES: 128, HANDLE_AT: 8, ROOT_AT: 16 } as const;

const IOPRIO = { WHO_PROCESS: 1, CLASS_BEST_EFFORT: 2, CLASS_SHIFT: 13, LEVEL_LOWEST: 7 } as const;

/** The kernel packs its event on x64 alone. */
const EPOLL =
  process.arch === "x64"
    ? ({ IN: 1, CTL_ADD: 1, AT_ONCE: 256, EVENT_SIZE: 12, DATA_AT: 4 } as const)
    : ({ IN: 1, CTL_ADD: 1, AT_ONCE: 256, EVENT_SIZE: 16, DATA_AT: 8 } as const);

const SOCKET = { SOL_SOCKET: 1, SO_PEERCRED: 17, NOBODY: 0xffff_ffff } as const;

/** For datagrams to Unix sockets; a path in an address ends with a zero. */
const DATAGRAM = { AF_UNIX: 1, SOCK_DGRAM: 2, MSG_DONTWAIT: 0x40, PATH_BYTES_MAX: 107 } as const;

const ERRNO_NAMES = errnoNames();
const EINTR = osConstants.errno.EINTR;
const EINVAL = osConstants.errno.EINVAL;

const NUMBERS = {
  open_tree: 428,
  move_mount: 429,
  pidfd_open: 434,
  openat2: 437,
  mount_setattr: 442,
  quotactl_fd: 443,
  statmount: 457,
  listmount: 458,
} as const;
/** The one old call that libc does not have. */
const IOPRIO_SET = process.arch === "arm64" ? 30 : 251;

const libc = koffi.load(null);
const callOpenat2 = libc.func("syscall", "long", ["long", "int", "const char *", "void *", "size_t"]);
const callOpenTree = libc.func("syscall", "long", ["long", "int", "const char *", "uint32_t"]);
const callMountSetattr = libc.func("syscall", "long", ["long", "int", "const char *", "uint32_t", "void *", "size_t"]);
const callMoveMount = libc.func("syscall", "long", ["long", "int", "const char *", "int", "const char *", "uint32_t"]);
const callStatmount = libc.func("syscall", "long", ["long", "void *", "void *", "size_t", "uint32_t"]);
const callListmount = libc.func("syscall", "long", ["long", "void *", "void *", "size_t", "uint32_t"]);
const callIoctl = libc.func("ioctl", "int", ["int", "unsigned long", "void *"]);
const callQuotactlFd = libc.func("syscall", "long", ["long", "uint32_t", "uint32_t", "uint32_t", "void *"]);
const callMkdirat = libc.func("mkdirat", "int", ["int", "const char *", "uint32_t"]);
const callUnlinkat = libc.func("unlinkat", "int", ["int", "const char *", "int"]);
const callRenameat2 = libc.func("renameat2", "int", ["int", "const char *", "int", "const char *", "uint32_t"]);
const callSymlinkat = libc.func("symlinkat", "int", ["const char *", "int", "const char *"]);
const callReadlinkat = libc.func("readlinkat", "long", ["int", "const char *", "void *", "size_t"]);
const callFchownat = libc.func("fchownat", "int", ["int", "const char *", "uint32_t", "uint32_t", "int"]);
const callStatx = libc.func("statx", "int", ["int", "const char *", "int", "uint32_t", "void *"]);
const callMount = libc.func("mount", "int", [
  "const char *",
  "const char *",
  "const char *",
  "unsigned long",
  "const char *",
]);
const callNameToHandleAt = libc.func("name_to_handle_at", "int", ["int", "const char *", "void *", "void *", "int"]);
const callUmount2 = libc.func("umount2", "int", ["const char *", "int"]);
const callUnshare = libc.func("unshare", "int", ["int"]);
const callFlock = libc.func("flock", "int", ["int", "int"]);
const callGetsockopt = libc.func("getsockopt", "int", ["int", "int", "int", "void *", "void *"]);
const callSocket = libc.func("socket", "int", ["int", "int", "int"]);
const callSendto = libc.func("sendto", "long", ["int", "void *", "size_t", "int", "void *", "uint32_t"]);
const callFsetxattr = libc.func("fsetxattr", "int", ["int", "const char *", "void *", "size_t", "int"]);
const callFgetxattr = libc.func("fgetxattr", "long", ["int", "const char *", "void *", "size_t"]);
const callFstatfs = libc.func("fstatfs", "int", ["int", "void *"]);
const callGetdents64 = libc.func("getdents64", "long", ["int", "void *", "size_t"]);
const callSetns = libc.func("setns", "int", ["int", "int"]);
const callFchdir = libc.func("fchdir", "int", ["int"]);
const callChroot = libc.func("chroot", "int", ["const char *"]);
const callPidfdOpen = libc.func("syscall", "long", ["long", "int", "uint32_t"]);
const callEpollCreate1 = libc.func("epoll_create1", "int", ["int"]);
const callEpollCtl = libc.func("epoll_ctl", "int", ["int", "int", "int", "void *"]);
const callEpollWait = libc.func("epoll_wait", "int", ["int", "void *", "int", "int"]);
const callIoprioSet = libc.func("syscall", "long", ["long", "int", "int", "int"]);
const callGeteuid = libc.func("geteuid", "uint32_t", []);
const callExit = libc.func("_exit", "void", ["int"]);

// One set of buffers a thread: the calls are synchronous, and each copies out what it returns.
const openHow = new Uint32Array(6);
const mountAttr = new Uint32Array(8);
const epollEvents = Buffer.alloc(EPOLL.AT_ONCE * EPOLL.EVENT_SIZE);
const statxBuffer = Buffer.alloc(256);
const handleBuffer = Buffer.alloc(BTRFS.HANDLE_AT + BTRFS.HANDLE_BYTES);
const handleMountId = new Uint32Array(2);
const linkBuffer = Buffer.alloc(4096);
const statfsBuffer = Buffer.alloc(256);
const statmountRequest = Buffer.alloc(32);
/** Two words each, the lower first. */
const listmountIds = new Uint32Array(2 * MOUNTS_AT_ONCE);
const namespaceInfo = Buffer.alloc(16);
/** Grows with the longest path that a mount has. */
let statmountBuffer = Buffer.alloc(16 * 1024);
const direntBuffer = Buffer.alloc(32 * 1024);
const inodeFlags = new Uint32Array(2);
const attributeBuffer = Buffer.alloc(4096);
const credentials = new Uint32Array(3);
const credentialsLength = new Uint32Array(1);

/** Opens below a directory, scoped by the kernel (`RESOLVE`). Returns the descriptor. */
export function openat2(
  dirFd: number,
  path: PathBytes,
  how: { readonly flags: number; readonly mode?: number; readonly resolve?: number },
): number {
  const name = cPath("openat2", path);
  openHow[0] = how.flags | O.CLOEXEC;
  openHow[2] = how.mode ?? 0;
  openHow[4] = how.resolve ?? 0;
  return run("openat2", path, () => callOpenat2(NUMBERS.openat2, dirFd, name, openHow, openHow.byteLength));
}

export function mkdirat(dirFd: number, path: PathBytes, mode: number): void {
  const name = cPath("mkdirat", path);
  run("mkdirat", path, () => callMkdirat(dirFd, name, mode));
}

/** Removes a name; with `AT.REMOVEDIR` an empty directory. */
export function unlinkat(dirFd: number, path: PathBytes, flags: number): void {
  const name = cPath("unlinkat", path);
  run("unlinkat", path, () => callUnlinkat(dirFd, name, flags));
}

/** Renames; `RENAME.NOREPLACE` refuses with `EEXIST` instead of replacing. */
export function renameat2(
  oldDirFd: number,
  oldPath: PathBytes,
  newDirFd: number,
  newPath: PathBytes,
  flags: number,
): void {
  const from = cPath("renameat2", oldPath);
  const to = cPath("renameat2", newPath);
  run("renameat2", oldPath, () => callRenameat2(oldDirFd, from, newDirFd, to, flags));
}

/** Makes a symlink at `path` that says `target`. */
export function symlinkat(target: PathBytes, dirFd: number, path: PathBytes): void {
  const text = cPath("symlinkat", target);
  const name = cPath("symlinkat", path);
  run("symlinkat", path, () => callSymlinkat(text, dirFd, name));
}

/** What a symlink says; an empty path reads the symlink that `dirFd` was opened on. */
export function readlinkat(dirFd: number, path: PathBytes): string {
  const name = cPath("readlinkat", path);
  const length = run("readlinkat", path, () => callReadlinkat(dirFd, name, linkBuffer, linkBuffer.length));
  return linkBuffer.toString("utf8", 0, length);
}

/** Changes the owner; with `AT.EMPTY_PATH` and an empty path, of the descriptor itself. */
export function fchownat(dirFd: number, path: PathBytes, uid: number, gid: number, flags: number): void {
  const name = cPath("fchownat", path);
  run("fchownat", path, () => callFchownat(dirFd, name, uid, gid, flags));
}

/** Examines a name below a directory; with `AT.EMPTY_PATH` and an empty path, the descriptor itself. */
export function statx(dirFd: number, path: PathBytes, flags: number): Stat {
  const name = cPath("statx", path);
  run("statx", path, () => callStatx(dirFd, name, flags, statxMask(), statxBuffer));
  const mask = statxBuffer.readUInt32LE(0);
  const birthNs = statxBuffer.readBigInt64LE(80) * 1_000_000_000n + BigInt(statxBuffer.readUInt32LE(88));
  const stat = {
    mode: statxBuffer.readUInt16LE(28),
    uid: statxBuffer.readUInt32LE(20),
    gid: statxBuffer.readUInt32LE(24),
    nlink: statxBuffer.readUInt32LE(16),
    size: statxBuffer.readBigUInt64LE(40),
    ino: statxBuffer.readBigUInt64LE(32),
    devMajor: statxBuffer.readUInt32LE(136),
    devMinor: statxBuffer.readUInt32LE(140),
    birthNs: (mask & STATX.BTIME) === 0 ? 0n : birthNs,
    mountId: statxBuffer.readBigUInt64LE(144),
    mountIdUnique: (mask & STATX.MNT_ID_UNIQUE) !== 0,
    mountRoot: (statxBuffer.readUInt32LE(8) & STATX.ATTR_MOUNT_ROOT) !== 0,
  };
  if (stat.ino !== BTRFS.TOP_INODE) return stat;
  const told = (mask & STATX.SUBVOL) !== 0;
  const subvolume = told ? statxBuffer.readBigUInt64LE(160) : subvolumeByHandle(dirFd, name, flags);
  return subvolume === undefined ? stat : { ...stat, subvolume };
}

/** Older kernels tell the subvolume in file handles only. `undefined` on other file systems. */
export function subvolumeByHandle(dirFd: number, path: PathBytes, flags: number): bigint | undefined {
  const name = cPath("name_to_handle_at", path);
  handleBuffer.writeUInt32LE(BTRFS.HANDLE_BYTES, 0);
  const followed = (flags & AT.SYMLINK_NOFOLLOW) === 0 ? AT.SYMLINK_FOLLOW : 0;
  const how = followed | (flags & AT.EMPTY_PATH);
  try {
    run("name_to_handle_at", path, () => callNameToHandleAt(dirFd, name, handleBuffer, handleMountId, how));
  } catch (error) {
    if (isErrno(error, "ENOTSUP", "EPERM", "EOVERFLOW")) return undefined;
    throw error;
  }
  return handleBuffer.readInt32LE(4) === BTRFS.HANDLE_TYPE ? handleBuffer.readBigUInt64LE(BTRFS.ROOT_AT) : undefined;
}

let mask: number | undefined;

/** Unique mount ids are asked for only where `statmount` understands them: then the two never mix. */
function statxMask(): number {
  if (mask === undefined) {
    mask = STATX.WANTED | STATX.MNT_ID_UNIQUE;
    const { mountId, mountIdUnique } = statx(AT.FDCWD, "/", 0);
    if (!mountIdUnique || statmount(mountId) === undefined) mask = STATX.WANTED;
  }
  return mask;
}

/** Opens a mount, or with `OPEN_TREE.CLONE` a detached copy of it; `AT.EMPTY_PATH` for the descriptor itself. */
export function openTree(dirFd: number, path: PathBytes, flags: number): number {
  const name = cPath("open_tree", path);
  return run("open_tree", path, () => callOpenTree(NUMBERS.open_tree, dirFd, name, flags | O.CLOEXEC));
}

export interface MountAttributes {
  readonly attrSet: number;
  readonly attrClear?: number;
  readonly propagation?: number;
  /** For `MOUNT_ATTR.IDMAP`: the open user namespace whose ids the files have on disk. */
  readonly userNamespace?: number;
}

/** Changes flags (`MOUNT_ATTR`) and propagation (one of `MS`) of a mount. */
export function mountSetattr(dirFd: number, path: PathBytes, flags: number, attributes: MountAttributes): void {
  const name = cPath("mount_setattr", path);
  mountAttr[0] = attributes.attrSet;
  mountAttr[2] = attributes.attrClear ?? 0;
  mountAttr[4] = attributes.propagation ?? 0;
  mountAttr[6] = attributes.userNamespace ?? 0;
  run("mount_setattr", path, () =>
    callMountSetattr(NUMBERS.mount_setattr, dirFd, name, flags, mountAttr, mountAttr.byteLength),
  );
}

/** Attaches a detached mount, or moves one. */
export function moveMount(fromFd: number, fromPath: PathBytes, toFd: number, toPath: PathBytes, flags: number): void {
  const from = cPath("move_mount", fromPath);
  const to = cPath("move_mount", toPath);
  run("move_mount", toPath, () => callMoveMount(NUMBERS.move_mount, fromFd, from, toFd, to, flags));
}

/** Mounts in the old way. `flags` are `MS`; absent strings are passed as null. */
export function mount(
  source: PathBytes | null,
  target: PathBytes,
  type: string | null,
  flags: number,
  data: string | null = null,
): void {
  const from = source === null ? null : cPath("mount", source);
  const to = cPath("mount", target);
  run("mount", target, () => callMount(from, to, type, flags, data));
}

/** Unmounts what is on top at a path. `flags` are `UMOUNT`. */
export function umount2(path: PathBytes, flags: number): void {
  const name = cPath("umount2", path);
  run("umount2", path, () => callUmount2(name, flags));
}

/** Attaches a detached mount to an open directory of another namespace. */
export function moveMountAbroad(journey: Journey, fromFd: number, toFd: number): void {
  const flags = MOVE_MOUNT.F_EMPTY_PATH | MOVE_MOUNT.T_EMPTY_PATH;
  runAbroad({ call: "move_mount", subject: "", journey }, () =>
    callMoveMount(NUMBERS.move_mount, fromFd, "", toFd, "", flags),
  );
}

/** Unmounts what is on top at a name below an open directory of another namespace; "." is the directory itself. */
export function umount2Abroad(journey: Journey, dirFd: number, name: string, flags: number): void {
  const subject = cPath("umount2", name);
  runAbroad({ call: "umount2", subject: name, journey }, () =>
    callFchdir(dirFd) === -1 ? -1 : callUmount2(subject, flags),
  );
}

/** Opens an absolute path as the root of another namespace sees it. Returns the descriptor. */
export function openat2Abroad(
  journey: Journey,
  path: PathBytes,
  how: { readonly flags: number; readonly resolve?: number },
): number {
  const name = cPath("openat2", path);
  openHow[0] = how.flags | O.CLOEXEC;
  openHow[2] = 0;
  openHow[4] = how.resolve ?? 0;
  return runAbroad({ call: "openat2", subject: path, journey }, () =>
    callOpenat2(NUMBERS.openat2, AT.FDCWD, name, openHow, openHow.byteLength),
  );
}

/** Gives the calling thread its own copy of what `flags` (`CLONE`) name. */
export function unshare(flags: number): void {
  run("unshare", "", () => callUnshare(flags));
}

/** Locks an open file; throws `EAGAIN` when another holds it and `LOCK.NB` is given, otherwise blocks. */
export function flock(fd: number, operation: number): void {
  run("flock", "", () => callFlock(fd, operation));
}

/** Who connected a unix socket; `undefined` for a socket that has no such peer (TCP). */
export function peerCredentials(fd: number): PeerCredentials | undefined {
  const { SOL_SOCKET, SO_PEERCRED, NOBODY } = SOCKET;
  credentialsLength[0] = credentials.byteLength;
  run("getsockopt", "", () => callGetsockopt(fd, SOL_SOCKET, SO_PEERCRED, credentials, credentialsLength));
  const [pid = 0, uid = NOBODY, gid = NOBODY] = credentials;
  // On a TCP socket the call succeeds, with this answer.
  return pid === 0 && uid === NOBODY ? undefined : { pid, uid, gid };
}

/** The magic number of the file system that an open file is on: 0xef53 for ext4. */
export function fileSystemType(fd: number): number {
  run("fstatfs", "", () => callFstatfs(fd, statfsBuffer));
  return statfsBuffer.readUInt32LE(0);
}

/**
 * What the kernel says about a mount by its unique id; `undefined` where the kernel (before 6.8) or a seccomp filter
 * does not let us ask.
 * @throws `ENOENT` no such mount in our namespace
 */
export function statmount(uniqueId: bigint): MountStatus | undefined {
  return askStatmount(uniqueId, STATMOUNT.MNT_BASIC) ? mountStatus() : undefined;
}

/** The same with its strings, also of another namespace. */
export function mountDetails(uniqueId: bigint, elsewhere?: Elsewhere): MountDetails | undefined {
  const { SB_BASIC, MNT_BASIC, MNT_ROOT, MNT_POINT } = STATMOUNT;
  if (!askStatmount(uniqueId, SB_BASIC | MNT_BASIC | MNT_ROOT | MNT_POINT, elsewhere)) return undefined;
  return {
    ...mountStatus(),
    device: `${statmountBuffer.readUInt32LE(16)}:${statmountBuffer.readUInt32LE(20)}`,
    root: statmountString(STRING_OF.MNT_ROOT),
    mountPoint: statmountString(STRING_OF.MNT_POINT),
  };
}

/** Where a mount of another namespace is, as there in `MountDetails`. As `statmount`. */
export function mountPointOf(uniqueId: bigint, namespaceId: bigint): string | undefined {
  return askStatmount(uniqueId, STATMOUNT.MNT_POINT, { namespaceId })
    ? statmountString(STRING_OF.MNT_POINT)
    : undefined;
}

/** Which directory of its file system a mount of a namespace shows; not escaped. Throws `ENOSYS` or `EPERM` where that is not told. */
export function mountRootOf(uniqueId: bigint, namespaceId: bigint): string {
  callForMount(uniqueId, STATMOUNT.MNT_ROOT, { namespaceId });
  return statmountString(STRING_OF.MNT_ROOT);
}

function mountStatus(): MountStatus {
  return {
    parentId: statmountBuffer.readBigUInt64LE(48),
    attributes: statmountBuffer.readUInt32LE(64),
    propagation: statmountBuffer.readUInt32LE(72),
  };
}

/** An absent string reads as an empty one. */
function statmountString(offsetAt: number): string {
  const present = statmountBuffer.readBigUInt64LE(8);
  const bit = offsetAt === STRING_OF.MNT_ROOT ? STATMOUNT.MNT_ROOT : STATMOUNT.MNT_POINT;
  if ((present & bit) === 0n) return "";
  const start = STATMOUNT.STRINGS_AT + statmountBuffer.readUInt32LE(offsetAt);
  return statmountBuffer.toString("utf8", start, statmountBuffer.indexOf(0, start));
}

function askStatmount(uniqueId: bigint, wanted: bigint, elsewhere?: Elsewhere): boolean {
  try {
    callForMount(uniqueId, wanted, elsewhere);
    return true;
  } catch (error) {
    if (isErrno(error, "ENOSYS", "EPERM")) return false;
    throw error;
  }
}

function callForMount(uniqueId: bigint, wanted: bigint, elsewhere?: Elsewhere): void {
  const journey = elsewhere !== undefined && "journey" in elsewhere ? elsewhere.journey : undefined;
  const namespaceId = elsewhere !== undefined && "namespaceId" in elsewhere ? elsewhere.namespaceId : 0n;
  const invoke = () => callStatmount(NUMBERS.statmount, statmountRequest, statmountBuffer, statmountBuffer.length, 0);
  for (;;) {
    fillMountRequest(uniqueId, wanted, namespaceId);
    try {
      if (journey === undefined) run("statmount", "", invoke);
      else runAbroad({ call: "statmount", subject: "", journey }, invoke);
      return;
    } catch (error) {
      if (!isErrno(error, "EOVERFLOW") || statmountBuffer.length >= STATMOUNT_BYTES_MAX) throw error;
      statmountBuffer = Buffer.alloc(2 * statmountBuffer.length);
    }
  }
}

/**
 * The unique ids of all mounts of a namespace, ascending; as numbers, because they count from 2^31 and fit. Throws `ENOSYS`,
 * `EPERM` or `EINVAL` where the kernel cannot tell.
 */
export function listmount(namespaceId: bigint): Float64Array {
  const ids: number[] = [];
  for (let last = 0; ; last = ids.at(-1) ?? 0) {
    fillMountRequest(LSMT_ROOT, BigInt(last), namespaceId);
    const count = run("listmount", "", () =>
      callListmount(NUMBERS.listmount, statmountRequest, listmountIds, MOUNTS_AT_ONCE, 0),
    );
    for (let at = 0; at < 2 * count; at += 2) {
      // One after the other: a number of 64 bits would be made for each, only to be thrown away.
      ids.push((listmountIds[at] ?? 0) + (listmountIds[at + 1] ?? 0) * 2 ** 32);
    }
    if (count < MOUNTS_AT_ONCE) return Float64Array.from(ids);
  }
}

function fillMountRequest(mountId: bigint, parameter: bigint, namespaceId: bigint): void {
  // A kernel that knows no namespaces here knows the shorter request only.
  statmountRequest.writeUInt32LE(namespaceId === 0n ? 24 : 32, 0);
  statmountRequest.writeBigUInt64LE(mountId, 8);
  statmountRequest.writeBigUInt64LE(parameter, 16);
  statmountRequest.writeBigUInt64LE(namespaceId, 24);
}

/**
 * Opens the mount namespace behind or before an open one, in the kernel's own order of all there are.
 * @throws `ENOENT` there is none; `ENOTTY` the kernel (before 6.12) cannot tell
 */
export function neighbourNamespace(
  namespaceFd: number,
  direction: "next" | "previous",
): { readonly fd: number; readonly id: bigint } {
  namespaceInfo.fill(0);
  const request = direction === "next" ? NS_MNT.GET_NEXT : NS_MNT.GET_PREV;
  const fd = run("ioctl", "", () => callIoctl(namespaceFd, request, namespaceInfo));
  return { fd, id: namespaceInfo.readBigUInt64LE(8) };
}

/**
 * Opens the user namespace that owns an open namespace.
 * @throws `EPERM` it is none of ours, nor below it
 */
export function ownerOfNamespace(namespaceFd: number): number {
  return run("ioctl", "", () => callIoctl(namespaceFd, NS_GET_USERNS, null));
}

/** Opens a process so that its end can be waited for. Throws `ESRCH` when there is none. */
export function pidfdOpen(pid: number): number {
  return run("pidfd_open", "", () => callPidfdOpen(NUMBERS.pidfd_open, pid, 0));
}

/** Opens a set of descriptors to be waited for together. */
export function epollCreate(): number {
  return run("epoll_create1", "", () => callEpollCreate1(O.CLOEXEC));
}

/** Adds one until it is closed; `epollReady` calls it by its number. */
export function epollAdd(epollFd: number, fd: number): void {
  epollEvents.fill(0, 0, EPOLL.EVENT_SIZE);
  epollEvents.writeUInt32LE(EPOLL.IN, 0);
  epollEvents.writeInt32LE(fd, EPOLL.DATA_AT);
  run("epoll_ctl", "", () => callEpollCtl(epollFd, EPOLL.CTL_ADD, fd, epollEvents));
}

/** Those that are readable now, some hundred at most; does not wait. */
export function epollReady(epollFd: number): readonly number[] {
  const count = run("epoll_wait", "", () => callEpollWait(epollFd, epollEvents, EPOLL.AT_ONCE, 0));
  return Array.from({ length: count }, (_, index) => epollEvents.readInt32LE(index * EPOLL.EVENT_SIZE + EPOLL.DATA_AT));
}

/** The next names of an open directory, about a thousand, without `.` and `..`; none when all were read. */
export function getdents64(fd: number): DirectoryEntry[] {
  const entries: DirectoryEntry[] = [];
  // Only "." and ".." may have been left of what was read.
  while (entries.length === 0) {
    const length = run("getdents64", "", () => callGetdents64(fd, direntBuffer, direntBuffer.length));
    if (length === 0) break;
    for (let at = 0; at < length; at += direntBuffer.readUInt16LE(at + DIRENT.LENGTH)) {
      const name = direntBuffer.subarray(at + DIRENT.NAME, direntBuffer.indexOf(0, at + DIRENT.NAME));
      if (isDotOrDots(name)) continue;
      const type = direntBuffer[at + DIRENT.TYPE];
      const isDirectory = type === DIRENT.DT_UNKNOWN ? undefined : type === DIRENT.DT_DIR;
      entries.push({ name: Buffer.from(name), isDirectory });
    }
  }
  return entries;
}

function isDotOrDots(name: Buffer): boolean {
  return name.length <= 2 && name.every((byte) => byte === DOT);
}

/** The flags (`INODE` and others) of a file or directory that is open for reading. */
export function getInodeFlags(fd: number): number {
  run("ioctl", "", () => callIoctl(fd, FS_IOC.GETFLAGS, inodeFlags));
  return inodeFlags[0] ?? 0;
}

export function setInodeFlags(fd: number, flags: number): void {
  inodeFlags[0] = flags;
  run("ioctl", "", () => callIoctl(fd, FS_IOC.SETFLAGS, inodeFlags));
}

/** A request to a driver or a file system, with its name for the error. */
export interface IoctlRequest {
  readonly name: string;
  readonly number: number;
}

/** One request for the groups of calls in `syscalls-*.ts`; what the kernel answers is in `argument`. */
export function ioctl(fd: number, request: IoctlRequest, argument: Buffer | null, subject = ""): number {
  return run(request.name, subject, () => callIoctl(fd, request.number, argument));
}

/** One quota command for the file system of any open descriptor, for `syscalls-quota.ts`. Needs Linux 5.14. */
export function quotactlFd(fd: number, command: number, id: number, argument: Buffer): void {
  run("quotactl_fd", "", () => callQuotactlFd(NUMBERS.quotactl_fd, fd, command, id, argument));
}

/** Sets an extended attribute of an open file or directory. */
export function fsetxattr(fd: number, name: string, value: Buffer): void {
  const label = cPath("fsetxattr", name);
  run("fsetxattr", name, () => callFsetxattr(fd, label, value, value.length, 0));
}

/** An extended attribute of at most 4 KiB. Throws `ENODATA` when there is none. */
export function fgetxattr(fd: number, name: string): Buffer {
  const label = cPath("fgetxattr", name);
  const length = run("fgetxattr", name, () => callFgetxattr(fd, label, attributeBuffer, attributeBuffer.length));
  return Buffer.from(attributeBuffer.subarray(0, length));
}

/** Lets the disk serve the calling thread behind all others that want something of it. */
export function lowerIoPriority(): void {
  // Not the idle class: on a busy disk it may never be served, when room is needed most.
  const priority = (IOPRIO.CLASS_BEST_EFFORT << IOPRIO.CLASS_SHIFT) | IOPRIO.LEVEL_LOWEST;
  run("ioprio_set", "", () => callIoprioSet(IOPRIO_SET, IOPRIO.WHO_PROCESS, 0, priority));
}

/** Ends the process without what libraries do at exit: koffi syncs standard output there, and hangs where that fails. */
export function exitNow(status: number): void {
  callExit(status);
}

export function geteuid(): number {
  return callGeteuid();
}

/** Sends one datagram to a Unix socket and waits for nothing; `@name` is one without a file. */
export function sendDatagram(path: string, content: string | Buffer): void {
  const address = unixAddress(path);
  const data = typeof content === "string" ? Buffer.from(content) : content;
  const fd = run("socket", path, () => callSocket(DATAGRAM.AF_UNIX, DATAGRAM.SOCK_DGRAM | O.CLOEXEC, 0));
  try {
    run("sendto", path, () => callSendto(fd, data, data.length, DATAGRAM.MSG_DONTWAIT, address, address.length));
  } finally {
    closeSync(fd);
  }
}

/** `sockaddr_un`; the zero that begins a name without a file is written as `@`. */
function unixAddress(path: string): Buffer {
  const name = Buffer.from(path);
  if (name.length === 0 || name.length > DATAGRAM.PATH_BYTES_MAX || name.includes(0)) {
    throw new SystemCallError("sendto", EINVAL, path);
  }
  const family = Buffer.alloc(2);
  family.writeUInt16LE(DATAGRAM.AF_UNIX);
  if (!path.startsWith("@")) return Buffer.concat([family, name, NUL]);
  return Buffer.concat([family, NUL, name.subarray(1)]);
}

/** Whether something thrown is a failed system call with one of these errors. */
export function isErrno(error: unknown, ...names: readonly string[]): error is SystemCallError {
  return error instanceof SystemCallError && names.includes(error.errno);
}

function run(call: string, subject: PathBytes, invoke: () => number): number {
  for (;;) {
    const result = invoke();
    if (result !== -1) return result;
    const number = koffi.errno();
    if (number !== EINTR) throw new SystemCallError(call, number, subject.toString());
  }
}

/**
 * Makes one call in another mount namespace, with everything that it takes at hand: whatever else this thread did
 * there, it would do to the container's files. A thread that cannot come home ends, and is replaced.
 */
function runAbroad(
  { call, subject, journey }: { readonly call: string; readonly subject: PathBytes; readonly journey: Journey },
  invoke: () => number,
): number {
  // A thread may leave only with a root and working directory of its own; it costs nothing when it has.
  unshare(CLONE.FS);
  run("setns", "", () => callSetns(journey.namespace, CLONE.NEWNS));
  let result = -1;
  let number = EINTR;
  try {
    while (result === -1 && number === EINTR) {
      result = invoke();
      if (result === -1) number = koffi.errno();
    }
  } finally {
    if (!comeHome(journey.home)) process.exit(1);
  }
  if (result === -1) throw new SystemCallError(call, number, subject.toString());
  return result;
}

/** Entering a namespace leads to its root, which need not be ours. */
function comeHome({ namespace, root, directory }: Journey["home"]): boolean {
  return (
    callSetns(namespace, CLONE.NEWNS) === 0 &&
    callFchdir(root) === 0 &&
    callChroot(".") === 0 &&
    callFchdir(directory) === 0
  );
}

/** Ends a buffer with the NUL that C wants; koffi does it for strings. */
function cPath(call: string, path: PathBytes): PathBytes {
  // C would stop at the first NUL and act on another path.
  const hasNul = typeof path === "string" ? path.includes("\0") : path.includes(0);
  if (hasNul) throw new SystemCallError(call, EINVAL, path.toString());
  return typeof path === "string" ? path : Buffer.concat([path, NUL]);
}

/** Where two names share a number, the first in alphabetical order, as in libuv. */
function errnoNames(): ReadonlyMap<number, string> {
  const names = new Map<number, string>();
  for (const [name, number] of Object.entries(osConstants.errno).sort()) {
    if (!names.has(number)) names.set(number, name);
  }
  return names;
}
