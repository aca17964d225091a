import { HoldfastError } from "../../src/domain/error.ts";
import type { ContainerProcess } from "../../src/domain/records.ts";
import type { Processes, ProcessRequest } from "../../src/ports/processes.ts";

interface Watch {
  readonly process: ContainerProcess;
  readonly onEnd: () => void;
}

/** Processes that live until they are ended; a pid that is started again is another process. */
export class MemoryProcesses implements Processes {
  readonly #alive = new Map<number, ContainerProcess>();
  readonly #watches = new Set<Watch>();
  readonly #mistaken = new Set<number>();
  #ticks = 0;

  /** Starts a process with a mount namespace of its own. */
  start(pid: number, startTime?: string): ContainerProcess {
    this.#ticks += 1;
    const mountNamespace = `ns-of-${pid}-${this.#ticks}`;
    const process = { pid, startTime: startTime ?? String(this.#ticks), mountNamespace };
    this.#alive.set(pid, process);
    return process;
  }

  /** Ends a process and tells those who wait for it. */
  end(pid: number): void {
    this.#alive.delete(pid);
    for (const watch of [...this.#watches]) {
      if (watch.process.pid !== pid) continue;
      this.#watches.delete(watch);
      queueMicrotask(watch.onEnd);
    }
  }

  /** A process that lives reads as ended, as when it cannot be looked at. */
  pretendEnded(pid: number, ended: boolean): void {
    if (ended) this.#mistaken.add(pid);
    else this.#mistaken.delete(pid);
  }

  reboot(): void {
    this.#alive.clear();
    this.#watches.clear();
  }

  /** Nobody waits any more: the daemon is gone, the processes are not. */
  forgetWatches(): void {
    this.#watches.clear();
  }

  get watched(): number {
    return this.#watches.size;
  }

  identify({ pid, rootfs }: ProcessRequest): ContainerProcess {
    const process = this.#alive.get(pid);
    if (process === undefined) {
      throw new HoldfastError("no_such_process", `Cannot use process ${pid}: there is none, or it has ended`);
    }
    return rootfs === undefined ? process : { ...process, rootfs: { path: rootfs, ino: "2", device: "254:0" } };
  }

  hasEnded({ pid, startTime }: ContainerProcess): boolean {
    return this.#mistaken.has(pid) || this.#alive.get(pid)?.startTime !== startTime;
  }

  watch(process: ContainerProcess, onEnd: () => void): () => void {
    const watch: Watch = { process, onEnd };
    if (this.hasEnded(process)) queueMicrotask(onEnd);
    else this.#watches.add(watch);
    return () => this.#watches.delete(watch);
  }

  close(): void {
    this.#watches.clear();
  }
}
