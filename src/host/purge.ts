/** Deletes destroyed volumes in a thread of its own, which starts with the first one. */
import { Worker } from "node:worker_threads";
import { HoldfastError } from "../domain/error.ts";
import type { Incarnation } from "../domain/units.ts";
import { CallThread } from "./call-thread.ts";
import type { Trash } from "./purge-tree.ts";
import type { PURGE_METHODS } from "./purge-worker.ts";

/** One name may take long on a busy disk; a slice that takes so long is on one that hangs. */
const TIMEOUT_MS = 60_000;

export interface Purger {
  /** Deletes `<trash>/<uuid>`; see `Disk.purge`. */
  purge(trash: Trash, uuid: Incarnation, signal?: AbortSignal): Promise<{ readonly entries: number }>;
  close(): Promise<void>;
}

export function createPurger(): Purger {
  const thread = new CallThread<typeof PURGE_METHODS>({
    action: "delete destroyed volumes",
    timeoutMs: TIMEOUT_MS,
    start: () =>
      new Worker(new URL("./purge-worker.ts", import.meta.url), {
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
        const { entries } = await thread.call("purge", trash, uuid);
        if (entries !== undefined) return { entries };
      }
    },
    close: () => thread.close(),
  };
}
