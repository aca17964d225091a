/**
 * The port `processes` on /proc and pidfds. All pidfds hang on one epoll descriptor, which is asked ten times a second
 * while something is watched, without waiting: a thread that waits would have to be woken to end, and one of Node's own
 * pool would keep the daemon from ending. Asking costs about a microsecond, however many are watched.
 */
import { closeSync } from "node:fs";
import { HoldfastError } from "../domain/error.ts";
import type { ContainerProcess, RootDirectory } from "../domain/records.ts";
import type { Processes, ProcessRequest } from "../ports/processes.ts";
import { rootDirectory } from "./container-namespace.ts";
import { hasExited, linkOf, statOf } from "./processes.ts";
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
  const mountNamespace = /\d+/.exec(linkOf(`/proc/${pid}/ns/mnt`) ?? "")?.[0] ?? "unknown";
  const root = rootfs === undefined ? {} : { rootfs: identifyRoot(rootfs, seenBy) };
  // Otherwise this may be said of another process.
  if (startTimeOf(pid) !== startTime) throw noSuchProcess(pid);
  return { pid, startTime, mountNamespace, ...root };
}

function hasEnded({ pid, startTime }: ContainerProcess): boolean {
  return startTimeOf(pid) !== startTime;
}

/** `undefined` when there is none, or it has ended. */
function startTimeOf(pid: number): string | undefined {
  const stat = Number.isSafeInteger(pid) && pid > 0 ? statOf(pid) : undefined;
  return stat === undefined || hasExited(stat) ? undefined : stat.startTime;
}

/** Symlinks in the path are the runtime's; below a process's root they stay there. */
function identifyRoot(path: string, seenBy: number | undefined): RootDirectory {
  if (!path.startsWith("/")) throw new HoldfastError("invalid", `Cannot use rootfs "${path}": not an absolute path`);
  return withDescriptors((keep) => {
    const below = seenBy === undefined ? AT.FDCWD : keep(openRootOf(seenBy));
    const resolve = RESOLVE.NO_MAGICLINKS | (seenBy === undefined ? 0 : RESOLVE.IN_ROOT);
    try {
      return rootDirectory(path, keep(openat2(below, path, { flags: O.PATH | O.DIRECTORY, resolve })));
    } catch (cause) {
      if (!isErrno(cause, "ENOENT", "ENOTDIR", "ELOOP", "EACCES", "ENAMETOOLONG", "EINVAL")) throw cause;
      throw new HoldfastError("invalid", `Cannot use rootfs "${path}": not a directory (${cause.errno})`, { cause });
    }
  });
}

function openRootOf(pid: number): number {
  try {
    return openat2(AT.FDCWD, `/proc/${pid}/root`, { flags: O.PATH | O.DIRECTORY });
  } catch (error) {
    throw isErrno(error, "ENOENT", "ESRCH") ? noSuchProcess(pid, error) : error;
  }
}

function noSuchProcess(pid: number, cause?: unknown): HoldfastError {
  return new HoldfastError("no_such_process", `Cannot use process ${pid}: there is none, or it has ended`, { cause });
}

interface Watch {
  readonly process: ContainerProcess;
  readonly onEnd: () => void;
  /** Absent when it has ended already, or the kernel gives none: it is then looked for in /proc. */
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

  #open(process: ContainerProcess): number | undefined {
    let pidfd: number | undefined;
    try {
      this.#epoll ??= epollCreate();
      pidfd = pidfdOpen(process.pid);
      epollAdd(this.#epoll, pidfd);
      // The number may have been given to another process before it was opened.
      if (!hasEnded(process)) return pidfd;
    } catch (error) {
      if (!isErrno(error, "ESRCH", "ENOSYS", "EPERM", "EINVAL", "EMFILE", "ENFILE", "ENOSPC")) throw error;
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
