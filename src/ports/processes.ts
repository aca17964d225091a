/**
 * The first processes of containers: which one a pid means, and when it ends. A pid alone may be another process by the
 * time it is used; with its start time it is not.
 */
import type { ContainerProcess } from "../domain/records.ts";

export interface ProcessRequest {
  readonly pid: number;
  /** The container's root as an absolute path, as its runtime was given it: not resolved, nor cleaned of `..`. */
  readonly rootfs?: string;
  /** A process that sees `rootfs` as the runtime does; default: the daemon itself. */
  readonly seenBy?: number;
}

export interface Processes {
  /**
   * @throws `no_such_process` there is none, or it has ended, or `seenBy` has
   * @throws `invalid` the pid is that of a thread; `rootfs` is not a directory, or which one depends on who resolves `..`
   * @throws `unsupported` we may not see what `seenBy` sees
   */
  identify(request: ProcessRequest): ContainerProcess;
  /**
   * Whether it has ended with all its threads, asked of the kernel now; a zombie has. One of which it cannot be told, for
   * want of descriptors or memory, has not.
   */
  hasEnded(process: ContainerProcess): boolean;
  /** Calls `onEnd` once, within 200 ms of its end, also if it has ended already. Returns a way to stop waiting. */
  watch(process: ContainerProcess, onEnd: () => void): () => void;
  close(): void;
}
