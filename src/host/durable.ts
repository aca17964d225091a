/** What makes changes of a file system durable without holding the event loop: syncs run in the thread pool. */
import { closeSync, fsync } from "node:fs";
import { promisify } from "node:util";
import { isErrno, O, openat2, type PathBytes } from "./syscalls.ts";

/** Syncs that wait together share the disk's flushes. More would fill the thread pool's queue for everybody else. */
const SYNCS_AT_ONCE = 8;
const SLICE_MS = 2;

/** Syncs an open file or directory. */
export const syncDescriptor: (fd: number) => Promise<void> = promisify(fsync);

/** Opens and syncs what is at a path below a directory; `false` when it is gone. */
export async function syncAt(
  dirFd: number,
  path: PathBytes,
  how: { readonly directory: boolean; readonly resolve: number },
): Promise<boolean> {
  const fd = openIfPresent(dirFd, path, how);
  if (fd === undefined) return false;
  try {
    await syncDescriptor(fd);
  } finally {
    closeSync(fd);
  }
  return true;
}

function openIfPresent(
  dirFd: number,
  path: PathBytes,
  how: { readonly directory: boolean; readonly resolve: number },
): number | undefined {
  const flags = O.RDONLY | O.NONBLOCK | (how.directory ? O.DIRECTORY : 0);
  try {
    return openat2(dirFd, path, { flags, resolve: how.resolve });
  } catch (error) {
    if (isErrno(error, "ENOENT")) return undefined;
    throw error;
  }
}

/**
 * Shares work among everyone who asks for it: who comes while it runs gets the next run, together with all the others
 * that wait, because the running one may have begun before what they did.
 */
export function shared(work: () => Promise<void>): () => Promise<void> {
  let running: Promise<unknown> = Promise.resolve();
  let waiting: Promise<void> | undefined;
  const start = (): Promise<void> => {
    waiting = undefined;
    const run = work();
    running = run.catch(() => {});
    return run;
  };
  return () => {
    waiting ??= running.then(start);
    return waiting;
  };
}

/** Does the syncing `work` for every item, a few at a time. Throws the first failure when none runs any more. */
export async function syncEach<T>(items: Iterable<T>, work: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items].values();
  const drain = async (): Promise<void> => {
    for (const item of queue) await work(item);
  };
  await allEnded(Array.from({ length: SYNCS_AT_ONCE }, drain));
}

/** Like `Promise.all`, but throws the first failure only when none runs any more. */
export async function allEnded(work: readonly Promise<unknown>[]): Promise<void> {
  const outcomes = await Promise.allSettled(work);
  const failed = outcomes.find((outcome) => outcome.status === "rejected");
  if (failed !== undefined) throw failed.reason;
}

/** Does short synchronous `work` for every item and lets the event loop run in between. */
export async function inSlices<T>(items: Iterable<T>, work: (item: T) => void): Promise<void> {
  let endMs = performance.now() + SLICE_MS;
  for (const item of items) {
    work(item);
    if (performance.now() < endMs) continue;
    await new Promise((resolve) => setImmediate(resolve));
    endMs = performance.now() + SLICE_MS;
  }
}
