/**
 * Copies the content of volumes and gives it to groups, in a thread of its own that starts with the first one. Several
 * at a time take turns.
 */
import { Worker } from "node:worker_threads";
import { HoldfastError } from "../domain/error.ts";
import { CallThread } from "./call-thread.ts";
import type { TreeOrder } from "./copy-tree.ts";
import type { COPY_METHODS, Slice } from "./copy-worker.ts";
import type { GroupOrder } from "./group-tree.ts";
import type { SnapshotOrder } from "./snapshot.ts";

/** A step takes milliseconds; the sync at the end of a copy as long as a slow disk needs for all of it. */
const TIMEOUT_MS = 30 * 60_000;

interface CopierOptions {
  readonly signal?: AbortSignal | undefined;
  /** How far it is, several times a second. */
  readonly onBytes?: ((copiedBytes: number) => void) | undefined;
}

/** All descriptors are to be kept open until the answer comes. */
export interface Copier {
  /**
   * Copies everything below one directory into another, which is empty and out of everybody's reach; durable.
   * @throws `insufficient` more than it may take; `in_use` something is mounted in it; `unsupported` some of it may not
   *   be read; `unavailable` interrupted; else the kernel's answer is in `details.errno`
   */
  copy(order: TreeOrder, options?: CopierOptions): Promise<void>;
  /** See `takeSnapshot`. */
  snapshot(order: SnapshotOrder): Promise<boolean>;
  /** See `giveToGroup`. Throws as `copy`. */
  giveToGroup(order: GroupOrder, options?: CopierOptions): Promise<void>;
  /** Interrupts what is under way. */
  close(): Promise<void>;
}

export function createCopier(): Copier {
  const thread = new CallThread<typeof COPY_METHODS>({
    action: "go through the content of volumes",
    timeoutMs: TIMEOUT_MS,
    start: () =>
      new Worker(new URL("./copy-worker.ts", import.meta.url), {
        name: "copy",
        // Descriptors are closed by number; by default Node would close at exit numbers that others use by then.
        trackUnmanagedFds: false,
      }),
  });
  const closing = new AbortController();
  const underWay = new Set<Promise<void>>();
  let lastId = 0;

  async function inSlices(slice: (id: number) => Promise<Slice>, { signal, onBytes }: CopierOptions): Promise<void> {
    lastId += 1;
    const id = lastId;
    const stop = signal === undefined ? closing.signal : AbortSignal.any([signal, closing.signal]);
    while (!stop.aborted) {
      const { isDone, bytes } = await slice(id);
      onBytes?.(bytes);
      if (isDone) return;
    }
    await thread.call("interrupt", id);
    throw new HoldfastError("unavailable", "Cannot go through the content: interrupted");
  }

  function track(work: Promise<void>): Promise<void> {
    underWay.add(work);
    return work.finally(() => underWay.delete(work));
  }

  return {
    copy: (order, options = {}) => track(inSlices((id) => thread.call("copy", id, order), options)),
    snapshot: (order) => thread.call("snapshot", order),
    giveToGroup: (order, options = {}) => track(inSlices((id) => thread.call("group", id, order), options)),
    async close() {
      closing.abort();
      await Promise.allSettled(underWay);
      await thread.close();
    },
  };
}
