/**
 * The port `processes` on /proc and pidfds. All pidfds hang on one epoll descriptor, which is asked ten times a second
 * while something is watched, without waiting: a thread that waits would have to be woken to end, and one of Node's own
 * pool would keep the daemon from ending. Asking costs about a microsecond, however many are watched.
 */
import { closeSync } from "node:fs";
import { posix } from "node:path";
import { codeOf, HoldfastError } from "../domain/error.ts";
import type { ContainerProcess, RootDirectory } from "../domain/records.ts";
import type { Processes, ProcessRequest } from "../ports/processes.ts";
import { LOOKING_IN, rootDirectory } from "./container-namespace.ts";
import { hasExited, linkOf, statOf, survivorIn, textOf } from "./processes.ts";
import { AT, epollAdd, epollCreate, epollReady, isErrno, O, openat2, pidfdOpen, RESOLVE } from "./syscalls.ts";
import { withDescriptors } from "./walk.ts";

const POLL_MS = 100;

export function createProcesses(): Processes {
  const watcher = new Watcher();
  return {
    identify,
    hasEnded,
    watch: (process, onEnd) => watcher.watch(process, onEnd),
    close: () => watcher.close(),
  };
}

function identify({ pid, rootfs, seenBy }: ProcessRequest): ContainerProcess {
  const startTime = startTimeOf(pid);
  if (startTime === undefined) throw noSuchProcess(pid);
  refuseThread(pid);
  const mountNamespace = /\d+/.exec(linkOf(`/proc/${pid}/ns/mnt`) ?? "")?.[0] ?? "unknown";
  const root = rootfs === undefined ? {} : { rootfs: identifyRoot(rootfs, seenBy) };
  // Otherwise this may be said of another process.
  if (startTimeOf(pid) !== startTime) throw noSuchProcess(pid);
  return { pid, startTime, mountNamespace, ...root };
}

/** /proc shows a thread by its own number too, as if it were a process; it ends by itself, and nothing tells when. */
function refuseThread(pid: number): void {
  const group = /^Tgid:\s*(\d+)$/m.exec(textOf(`/proc/${pid}/status`) ?? "")?.[1];
  if (group === undefined || Number(group) === pid) return;
  throw new HoldfastError("invalid", `Cannot use process ${pid}: it is a thread of process ${group}, use that one`);
}

function hasEnded(process: ContainerProcess): boolean {
  try {
    return isOver(process);
  } catch (error) {
    // As long as it cannot be told, its volumes stay in use.
    if (codeOf(error) === "unavailable") return false;
    throw error;
  }
}

/** @throws `unavailable` it cannot be told */
function isOver({ pid, startTime }: ContainerProcess): boolean {
  return startTimeOf(pid) !== startTime;
}

/** `undefined` when there is none, or it has ended: all its threads. */
function startTimeOf(pid: number): string | undefined {
  const stat = Number.isSafeInteger(pid) && pid > 0 ? statOf(pid) : undefined;
  if (stat === undefined || (hasExited(stat) && survivorIn(`/proc/${pid}`) === undefined)) return undefined;
  return stat.startTime;
}

/**
 * Symlinks in the path are the runtime's; below a process's root they stay there. A `..` behind one is the kernel's to
 * some runtimes, while others take it out of the text before: the path must mean the same to both.
 */
function identifyRoot(path: string, seenBy: number | undefined): RootDirectory {
  if (!path.startsWith("/")) throw new HoldfastError("invalid", `Cannot use rootfs "${path}": not an absolute path`);
  return withDescriptors((keep) => {
    const below = seenBy === undefined ? undefined : keep(openRootOf(seenBy));
    const root = rootAt(posix.resolve(path), below);
    const { ino, device } = rootAt(path, below);
    if (ino === root.ino && device === root.device) return root;
    const reason = 'root.path means different directories to different runtimes, name it without ".."';
    throw new HoldfastError("invalid", `Cannot use rootfs "${path}": ${reason}`);
  });
}

function rootAt(path: string, below: number | undefined): RootDirectory {
  const resolve = RESOLVE.NO_MAGICLINKS | (below === undefined ? 0 : RESOLVE.IN_ROOT);
  try {
    return withDescriptors((keep) =>
      rootDirectory(path, keep(openat2(below ?? AT.FDCWD, path, { flags: O.PATH | O.DIRECTORY, resolve }))),
    );
  } catch (cause) {
    if (!isErrno(cause, "ENOENT", "ENOTDIR", "ELOOP", "EACCES", "ENAMETOOLONG", "EINVAL")) throw cause;
    throw new HoldfastError("invalid", `Cannot use rootfs "${path}": not a directory (${cause.errno})`, { cause });
  }
}

function openRootOf(pid: number): number {
  try {
    return openat2(AT.FDCWD, `/proc/${pid}/root`, { flags: O.PATH | O.DIRECTORY });
  } catch (error) {
    if (isErrno(error, "ENOENT", "ESRCH")) throw noSuchProcess(pid, error);
    if (!isErrno(error, "EACCES", "EPERM")) throw error;
    throw new HoldfastError("unsupported", `Cannot use what process ${pid} sees: ${LOOKING_IN}`, { cause: error });
  }
}

function noSuchProcess(pid: number, cause?: unknown): HoldfastError {
  return new HoldfastError("no_such_process", `Cannot use process ${pid}: there is none, or it has ended`, { cause });
}

interface Watch {
  readonly process: ContainerProcess;
  readonly onEnd: () => void;
  /** Absent when it has ended already, or there is none to have: it is then looked for in /proc. */
  readonly pidfd: number | undefined;
}

class Watcher {
  readonly #watches = new Set<Watch>();
  readonly #byPidfd = new Map<number, Watch>();
  #epoll: number | undefined;
  #timer: NodeJS.Timeout | undefined;

  watch(process: ContainerProcess, onEnd: () => void): () => void {
    const watch: Watch = { process, onEnd, pidfd: this.#open(process) };
    this.#watches.add(watch);
    if (watch.pidfd !== undefined) this.#byPidfd.set(watch.pidfd, watch);
    this.#timer ??= setInterval(() => this.#poll(), POLL_MS).unref();
    return () => this.#forget(watch);
  }

  close(): void {
    for (const watch of [...this.#watches]) this.#forget(watch);
    if (this.#epoll !== undefined) closeSync(this.#epoll);
    this.#epoll = undefined;
  }

  /** Never throws: whoever cannot be waited for is asked for, which takes no more than /proc. */
  #open(process: ContainerProcess): number | undefined {
    let pidfd: number | undefined;
    try {
      this.#epoll ??= epollCreate();
      pidfd = pidfdOpen(process.pid);
      epollAdd(this.#epoll, pidfd);
      // The number may have been given to another process before it was opened.
      if (!isOver(process)) return pidfd;
    } catch {
      // No descriptors or memory for one, an old kernel, or the number of a thread.
    }
    if (pidfd !== undefined) closeSync(pidfd);
    return undefined;
  }

  #poll(): void {
    for (const watch of [...this.#watches]) {
      if (watch.pidfd === undefined && hasEnded(watch.process)) this.#end(watch);
    }
    for (let ready = this.#ready(); ready.length > 0; ready = this.#ready()) {
      for (const watch of ready) this.#end(watch);
    }
  }

  #ready(): readonly Watch[] {
    const ready = this.#epoll === undefined || this.#byPidfd.size === 0 ? [] : epollReady(this.#epoll);
    return ready.map((pidfd) => this.#byPidfd.get(pidfd)).filter((watch) => watch !== undefined);
  }

  #end(watch: Watch): void {
    // It may have been cancelled by another one's end.
    if (!this.#watches.has(watch)) return;
    this.#forget(watch);
    watch.onEnd();
  }

  #forget(watch: Watch): void {
    if (!this.#watches.delete(watch)) return;
    if (watch.pidfd !== undefined) {
      this.#byPidfd.delete(watch.pidfd);
      // Which also takes it from the epoll descriptor.
      closeSync(watch.pidfd);
    }
    if (this.#watches.size === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
    }
  }
}
