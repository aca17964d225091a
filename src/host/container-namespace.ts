/**
 * A container through its first process: its root and its mount namespace, as open descriptors. `/proc/PID` is opened
 * once and the process's start time is read below it: from then on, another process that gets the same number is not
 * reached. Everything that can be done from our own namespace, by descriptor, is done there; only the calls that the
 * kernel takes from inside alone go there (`Journey`).
 *
 * None of these descriptors may stay open: they keep the container's mounts alive, and unmounting busy.
 */
import { closeSync, fstatSync, readFileSync } from "node:fs";
import { codeOf, HoldfastError } from "../domain/error.ts";
import type { ContainerProcess, RootDirectory } from "../domain/records.ts";
import { errnoOf } from "./disk-error.ts";
import { hasExited, parseStat, survivorIn } from "./processes.ts";
import { AT, isErrno, type Journey, O, openat2, ownerOfNamespace, RESOLVE, statx } from "./syscalls.ts";
import { directoryThisBoot, isDirectoryThisBoot, type Keep } from "./walk.ts";

export interface ContainerNamespace {
  readonly pid: number;
  /** `/proc/PID`, or that of a thread which survived the first. */
  readonly processDirectory: number;
  readonly journey: Journey;
  /** The user namespace that owns it; absent when it is ours. */
  readonly owner?: number;
}

export interface Container {
  readonly namespace: ContainerNamespace;
  /** The root of its process, which need not be its own yet. */
  readonly processRoot: number;
}

const DIRECTORY = O.PATH | O.DIRECTORY;

/** Why a process's root or namespace is not shown to us. */
export const LOOKING_IN =
  "we may not look into it: the daemon lacks CAP_SYS_PTRACE, or the process is protected from it";

/**
 * @param action for messages: "Cannot attach volume 4f1c… at /data"
 * @throws `no_such_process` it has ended
 * @throws `unsupported` its mount namespace is our own, or we may not look into it
 */
export function openContainer(process: ContainerProcess, action: string, keep: Keep): Container {
  const { pid } = process;
  const { processDirectory, processRoot, mounts } = openProcess(process, action, keep);
  const journey = { namespace: mounts, home: openHome(keep) };
  if (isSameFile(mounts, journey.home.namespace)) throw ownNamespace(pid, action);
  const owner = openForeignOwner(mounts, action, keep);
  return { processRoot, namespace: { pid, processDirectory, journey, ...(owner === undefined ? {} : { owner }) } };
}

/** The same, `undefined` when its process has ended. */
export function openContainerIfRunning(process: ContainerProcess, action: string, keep: Keep): Container | undefined {
  return unlessEnded(
    () => openContainer(process, action, keep),
    () => undefined,
  );
}

/** What is true of a container; `otherwise` when its process ends meanwhile. */
export function unlessEnded<Answer>(ask: () => Answer, otherwise: () => Answer): Answer {
  try {
    return ask();
  } catch (error) {
    if (codeOf(error) === "no_such_process") return otherwise();
    throw error;
  }
}

/**
 * Opens the root that a container has, or will have: then it lies below its process's root, which is still its
 * runtime's. `undefined` when neither is the recorded directory. A container may show itself its own root once more by
 * the runtime's path, so the root that it has comes first.
 */
export function openContainerRoot(
  processRoot: number,
  rootfs: RootDirectory | undefined,
  keep: Keep,
): ContainerRoot | undefined {
  if (rootfs === undefined || isRoot(processRoot, rootfs)) return { fd: processRoot, bound: true };
  const named = openNamed(processRoot, rootfs.path);
  if (named === undefined || !isRoot(keep(named), rootfs)) return undefined;
  return { fd: named, bound: statx(named, "", AT.EMPTY_PATH).mountRoot };
}

export interface ContainerRoot {
  readonly fd: number;
  /** Whether its runtime has bound it there: what is mounted below a root that is bound later is not seen. */
  readonly bound: boolean;
}

/** What is recorded about an open directory, to know it again. */
export function rootDirectory(path: string, fd: number): RootDirectory {
  return { path, ...directoryThisBoot(statx(fd, "", AT.EMPTY_PATH)) };
}

/** Opens the root that its runtime had named, as our own namespace sees it; `undefined` when it is not there. */
export function openRootfs(rootfs: RootDirectory, keep: Keep): number | undefined {
  const named = openNamed(undefined, rootfs.path);
  return named !== undefined && isRoot(keep(named), rootfs) ? named : undefined;
}

/**
 * What the kernel says about the process in a file of this name.
 * @throws `no_such_process` it has ended
 */
export function readProcessFile({ processDirectory, pid }: ContainerNamespace, name: string, action: string): string {
  try {
    return readBelow(processDirectory, name);
  } catch (error) {
    throw isGone(error) ? ended(pid, action, error) : error;
  }
}

function readBelow(directory: number, name: string): string {
  const fd = openat2(directory, name, { flags: O.RDONLY });
  try {
    return readFileSync(fd, "latin1");
  } finally {
    closeSync(fd);
  }
}

interface OpenProcess {
  readonly processDirectory: number;
  readonly processRoot: number;
  /** Its mount namespace. */
  readonly mounts: number;
}

function openProcess(process: ContainerProcess, action: string, keep: Keep): OpenProcess {
  const { pid } = process;
  try {
    const first = keep(openat2(AT.FDCWD, `/proc/${pid}`, { flags: DIRECTORY }));
    const alive = aliveIn(first, process);
    if (alive === undefined) throw ended(pid, action);
    const processDirectory = alive === "." ? first : keep(openat2(first, alive, { flags: DIRECTORY }));
    const processRoot = keep(openat2(processDirectory, "root", { flags: DIRECTORY }));
    const mounts = keep(openat2(processDirectory, "ns/mnt", { flags: O.RDONLY }));
    return { processDirectory, processRoot, mounts };
  } catch (error) {
    if (isGone(error)) throw ended(pid, action, error);
    if (isErrno(error, "EACCES", "EPERM")) throw hidden(pid, action, error);
    throw error;
  }
}

/** Where below `/proc/PID` a thread of this very process still runs: what has exited has no root or namespace to show. */
function aliveIn(processDirectory: number, { startTime }: ContainerProcess): string | undefined {
  const stat = parseStat(readBelow(processDirectory, "stat"));
  if (stat === undefined || stat.startTime !== startTime) return undefined;
  if (!hasExited(stat)) return ".";
  const survivor = survivorIn(`/proc/self/fd/${processDirectory}`);
  return survivor && `task/${survivor}`;
}

/** What /proc answers about a process that is no more; anything else proves nothing. */
function isGone(error: unknown): boolean {
  return ["ENOENT", "ESRCH"].includes(errnoOf(error) ?? "");
}

function openHome(keep: Keep): Journey["home"] {
  return {
    namespace: keep(openat2(AT.FDCWD, "/proc/thread-self/ns/mnt", { flags: O.RDONLY })),
    root: keep(openat2(AT.FDCWD, "/", { flags: DIRECTORY })),
    directory: keep(openat2(AT.FDCWD, ".", { flags: DIRECTORY })),
  };
}

/** The user namespace that owns a mount namespace, unless it is ours. */
function openForeignOwner(mounts: number, action: string, keep: Keep): number | undefined {
  const ours = keep(openat2(AT.FDCWD, "/proc/thread-self/ns/user", { flags: O.RDONLY }));
  const owner = keep(openOwner(mounts, action));
  return isSameFile(owner, ours) ? undefined : owner;
}

function openOwner(mounts: number, action: string): number {
  try {
    return ownerOfNamespace(mounts);
  } catch (cause) {
    if (!isErrno(cause, "EPERM")) throw cause;
    const message = `${action}: the mount namespace belongs to a user namespace above ours`;
    throw new HoldfastError("unsupported", message, { cause });
  }
}

function isSameFile(left: number, right: number): boolean {
  const [one, other] = [fstatSync(left), fstatSync(right)];
  return one.ino === other.ino && one.dev === other.dev;
}

/** Symlinks in it are the runtime's; below a process's root they stay there. */
function openNamed(below: number | undefined, path: string): number | undefined {
  const scope = below === undefined ? 0 : RESOLVE.IN_ROOT;
  try {
    return openat2(below ?? AT.FDCWD, path, { flags: DIRECTORY, resolve: RESOLVE.NO_MAGICLINKS | scope });
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR", "ELOOP", "EACCES")) return undefined;
    throw error;
  }
}

function isRoot(fd: number, recorded: RootDirectory): boolean {
  return isDirectoryThisBoot(recorded, statx(fd, "", AT.EMPTY_PATH));
}

function ended(pid: number, action: string, cause?: unknown): HoldfastError {
  return new HoldfastError("no_such_process", `${action}: process ${pid} has ended`, { cause });
}

function hidden(pid: number, action: string, cause: unknown): HoldfastError {
  return new HoldfastError("unsupported", `${action}: process ${pid}: ${LOOKING_IN}`, { cause });
}

function ownNamespace(pid: number, action: string): HoldfastError {
  const advice = "attach without a pid, by the path that we see";
  return new HoldfastError("unsupported", `${action}: process ${pid} is in the daemon's mount namespace, ${advice}`);
}
