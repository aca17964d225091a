/**
 * Deletes destroyed volumes in a thread of its own, which starts with the first one. It has the disk and the processor
 * behind all others, and rests most of the time while the daemon has something else to do: those who attach shall not
 * notice that somebody's million files are going.
 */
import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { HoldfastError } from "../domain/error.ts";
import type { Incarnation } from "../domain/units.ts";
import { CallThread } from "./call-thread.ts";
import type { Trash } from "./purge-tree.ts";
import type { PURGE_METHODS } from "./purge-worker.ts";

/** One name may take long on a busy disk; a slice that takes so long is on one that hangs. */
const TIMEOUT_MS = 60_000;
/** So long it deletes at a stretch, and rests behind it. A request that meets a slice may have to wait for its end. */
const PACE = { quiet: { sliceMs: 50, restMs: 0 }, busy: { sliceMs: 2, restMs: 18 } } as const;
/** The part of its time that the daemon's main thread works from which on it is busy; idle it is near nothing. */
const BUSY_PART = 0.05;
/** What was done longer ago says nothing about now. */
const RECENT_MS = 500;

export interface Purger {
  /** Deletes `<trash>/<uuid>`; see `Disk.purge`. */
  purge(trash: Trash, uuid: Incarnation, signal?: AbortSignal): Promise<{ readonly entries: number }>;
  close(): Promise<void>;
}

export interface PurgerOptions {
  /** Whether there was other work since it was last asked; by default, whether the calling thread had any. */
  readonly isBusy?: () => boolean;
}

export function createPurger({ isBusy = watchThisThread() }: PurgerOptions = {}): Purger {
  const thread = new CallThread<typeof PURGE_METHODS>({
    action: "delete destroyed volumes",
    timeoutMs: TIMEOUT_MS,
    start: () =>
      new Worker(new URL("./purge-worker.ts", import.meta.url), {
        name: "purge",
        // Descriptors are closed by number; by default Node would close at exit numbers that others use by then.
        trackUnmanagedFds: false,
      }),
  });
  return {
    async purge(trash, uuid, signal) {
      for (;;) {
        if (signal?.aborted === true) {
          await thread.call("interrupt", uuid);
          throw new HoldfastError("unavailable", `Cannot delete ${trash.path}/${uuid}: interrupted, it goes on later`);
        }
        const { sliceMs, restMs } = isBusy() ? PACE.busy : PACE.quiet;
        const { entries } = await thread.call("purge", trash, uuid, sliceMs);
        if (entries !== undefined) return { entries };
        if (restMs > 0) await sleep(restMs);
      }
    },
    close: () => thread.close(),
  };
}

/** Every request that the daemon serves passes through its main thread, which hands deletion itself next to nothing. */
function watchThisThread(): () => boolean {
  let before = performance.eventLoopUtilization();
  let beforeMs = performance.now();
  return () => {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, before);
    const isRecent = performance.now() - beforeMs <= RECENT_MS;
    before = now;
    beforeMs = performance.now();
    return isRecent && utilization > BUSY_PART;
  };
}
