/**
 * Ways into directories that others may write to. A path is resolved once, by the kernel, without following a symlink;
 * from then on only the descriptor is used, and one name below it at a time.
 */
import { closeSync, lstatSync, realpathSync } from "node:fs";
import { posix } from "node:path";
import { HoldfastError } from "../domain/error.ts";
import type { DirectoryIdentity, DirectoryThisBoot } from "../domain/records.ts";
import type { MountTarget } from "../ports/mounter.ts";
import { identityOf } from "./identity.ts";
import { AT, isErrno, O, openat2, RESOLVE, type Stat, type SystemCallError, statx } from "./syscalls.ts";

// Without O_NOFOLLOW: it would open a symlink itself and call it no directory, before RESOLVE_NO_SYMLINKS names it.
const DIRECTORY = O.PATH | O.DIRECTORY;
export const NO_LINKS = RESOLVE.NO_SYMLINKS | RESOLVE.NO_MAGICLINKS;
/** What the kernel says about a path that leads to no directory. */
export const NO_DIRECTORY = ["ENOENT", "ENOTDIR", "ELOOP", "EACCES", "ENAMETOOLONG", "EINVAL"];
const INSIDE = NO_LINKS | RESOLVE.BENEATH | RESOLVE.NO_XDEV;

/** Takes charge of a descriptor, and returns it. */
export type Keep = (fd: number) => number;

/** Runs work, then closes the descriptors that it kept, also when it throws. */
export function withDescriptors<Result>(work: (keep: Keep) => Result): Result {
  const fds: number[] = [];
  try {
    return work((fd) => {
      fds.push(fd);
      return fd;
    });
  } finally {
    for (const fd of fds) closeSync(fd);
  }
}

/**
 * Opens a sandbox for paths below it. The caller closes the descriptor.
 * @throws `invalid` when the path is not absolute, has a symlink in it (the message says where, and the real path), or
 *   is not an existing directory
 */
export function openSandbox(path: string): number {
  if (!path.startsWith("/")) throw new HoldfastError("invalid", `Cannot use sandbox "${path}": not an absolute path`);
  try {
    return openat2(AT.FDCWD, path, { flags: DIRECTORY, resolve: NO_LINKS });
  } catch (error) {
    if (!isErrno(error, ...NO_DIRECTORY)) throw error;
    throw new HoldfastError("invalid", `Cannot use sandbox "${path}": ${whyUnreachable(path, error)}`, {
      cause: error,
    });
  }
}

/**
 * The same below a container's root, from which no path leads out.
 * @param pid the container's process, for messages
 */
export function openSandboxBelow(rootFd: number, path: string, pid: number): number {
  const sandbox = `"${path}" in the container of process ${pid}`;
  if (!path.startsWith("/")) throw new HoldfastError("invalid", `Cannot use sandbox ${sandbox}: not an absolute path`);
  try {
    return openat2(rootFd, path, { flags: DIRECTORY, resolve: NO_LINKS | RESOLVE.IN_ROOT });
  } catch (error) {
    if (!isErrno(error, ...NO_DIRECTORY)) throw error;
    throw new HoldfastError("invalid", `Cannot use sandbox ${sandbox}: ${reasonOf(error)}`, { cause: error });
  }
}

/** Opens a sandbox, `undefined` when there is no such directory (any more) or its path now has a symlink. */
export function openSandboxIfPresent(path: string): number | undefined {
  return ifPresent(() => openSandbox(path));
}

export function openSandboxIfPresentBelow(rootFd: number, path: string, pid: number): number | undefined {
  return ifPresent(() => openSandboxBelow(rootFd, path, pid));
}

function ifPresent(open: () => number): number | undefined {
  try {
    return open();
  } catch (error) {
    if (error instanceof HoldfastError && isErrno(error.cause, "ENOENT", "ENOTDIR", "ELOOP")) return undefined;
    throw error;
  }
}

/**
 * Opens a directory directly below an open one. The caller closes the descriptor.
 * @throws `SystemCallError`: `EXDEV` something is mounted there, `ELOOP` a symlink, `ENOTDIR`, `ENOENT`
 */
export function openChildDirectory(fd: number, name: string): number {
  assertComponent(name);
  return openat2(fd, name, { flags: DIRECTORY, resolve: INSIDE });
}

/**
 * Opens the content of a live volume, after checking that it is the recorded directory. The caller closes the
 * descriptor.
 * @throws `damaged` when it is missing or another one
 */
export function openContent(diskRoot: string, uuid: string, directory: DirectoryIdentity): number {
  const fd = withDescriptors((keep) => openBelow(keep(openDisk(diskRoot)), diskRoot, contentBelow(uuid)));
  if (!isRecordedDirectory(directory, statx(fd, "", AT.EMPTY_PATH))) {
    closeSync(fd);
    throw new HoldfastError(
      "damaged",
      `Cannot use ${diskRoot}/${contentBelow(uuid)}: it is not the recorded directory`,
    );
  }
  return fd;
}

/**
 * Opens the root of a disk. The caller closes the descriptor.
 * @throws `damaged` when it is not there
 */
export function openDisk(diskRoot: string): number {
  try {
    // The operator may have put symlinks into this path; containers cannot.
    return openat2(AT.FDCWD, diskRoot, { flags: O.PATH | O.DIRECTORY, resolve: RESOLVE.NO_MAGICLINKS });
  } catch (error) {
    if (!isErrno(error, "ENOENT", "ENOTDIR", "ELOOP", "EACCES")) throw error;
    throw new HoldfastError("damaged", `Cannot open disk ${diskRoot}: ${error.errno}`, { cause: error });
  }
}

/** The path of a place in a sandbox, for people: from outside it may lead elsewhere. */
export function pathOf({ sandbox, containerPath }: MountTarget): string {
  return posix.join(sandbox, containerPath);
}

/** Where a live volume's content is below its disk's root. */
export function contentBelow(uuid: string): string {
  return `volumes/${uuid}/content`;
}

/** Examines a name below an open directory without following it; `undefined` when there is nothing. */
export function examineChild(fd: number, name: string): Stat | undefined {
  assertComponent(name);
  try {
    return statx(fd, name, AT.SYMLINK_NOFOLLOW | AT.NO_AUTOMOUNT);
  } catch (error) {
    if (isErrno(error, "ENOENT")) return undefined;
    throw error;
  }
}

/** Whether this is the recorded directory; a birth time counts only where the file system keeps one. */
export function isRecordedDirectory(
  recorded: DirectoryIdentity,
  stat: Pick<Stat, "ino" | "subvolume" | "birthNs">,
): boolean {
  const { ino, birthNs } = identityOf(stat);
  const birthUnknown = recorded.birthNs === "0" || birthNs === "0";
  return recorded.ino === ino && (birthUnknown || recorded.birthNs === birthNs);
}

/** What is recorded about a directory for as long as the boot lasts. */
export function directoryThisBoot({ ino, devMajor, devMinor }: Stat): DirectoryThisBoot {
  return { ino: String(ino), device: `${devMajor}:${devMinor}` };
}

/** Whether this is the very directory that was recorded. */
export function isDirectoryThisBoot(recorded: DirectoryThisBoot, stat: Stat): boolean {
  const { ino, device } = directoryThisBoot(stat);
  return ino === recorded.ino && device === recorded.device;
}

function openBelow(diskFd: number, diskRoot: string, path: string): number {
  try {
    return openat2(diskFd, path, { flags: DIRECTORY, resolve: INSIDE });
  } catch (error) {
    if (!isErrno(error, "ENOENT", "ENOTDIR", "ELOOP", "EXDEV")) throw error;
    const found = error.errno === "ENOENT" ? "it is missing" : "something else is in its place";
    throw new HoldfastError("damaged", `Cannot use ${diskRoot}/${path}: ${found}`, { cause: error });
  }
}

function assertComponent(name: string): void {
  if (name === "" || name === "." || name === ".." || name.includes("/")) {
    throw new HoldfastError("invalid", `Cannot use "${name}" below a sandbox: expected one path component`);
  }
}

/** Why a path that may have no symlinks could not be opened, for people; where there is one, and the real path. */
export function whyUnreachable(path: string, error: SystemCallError): string {
  return error.errno === "ELOOP" ? symlinkReason(path) : reasonOf(error);
}

function reasonOf(error: SystemCallError): string {
  switch (error.errno) {
    case "ENOENT":
      return "no such directory";
    case "ENOTDIR":
      return "not a directory";
    case "ELOOP":
      return "a symlink is in its path";
    default:
      return error.errno;
  }
}

/** For people only: the path may have changed since it was refused. */
function symlinkReason(path: string): string {
  const components = path.split("/").slice(1);
  const prefixes = components.map((_, index) => `/${components.slice(0, index + 1).join("/")}`);
  const link = prefixes.find((prefix) => lstatSync(prefix, { throwIfNoEntry: false })?.isSymbolicLink());
  if (link === undefined) return "a symlink was in its path";
  return `${link} is a symlink; ${realPathAdvice(path)}`;
}

function realPathAdvice(path: string): string {
  try {
    return `use ${realpathSync(path)}`;
  } catch {
    return "it leads nowhere";
  }
}
