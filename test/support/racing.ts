/** Runs work while a container exchanges things under it, as fast as it can. */
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { STOP, SWAPS, type SwapOrder } from "../linux/swap-order.ts";

export async function racing(order: Omit<SwapOrder, "shared">, work: () => Promise<void>): Promise<void> {
  const shared = new Int32Array(new SharedArrayBuffer(8));
  const worker = new Worker(new URL("../linux/swap-worker.ts", import.meta.url), {
    workerData: { ...order, shared } satisfies SwapOrder,
    trackUnmanagedFds: false,
  });
  const ended = once(worker, "exit");
  try {
    const before = await swapsBeyond(shared, 0);
    await work();
    await swapsBeyond(shared, before);
  } finally {
    Atomics.store(shared, STOP, 1);
    await ended;
  }
}

/** Waits until the racer has won so often. */
async function swapsBeyond(shared: Int32Array, count: number): Promise<number> {
  while (Atomics.load(shared, SWAPS) <= count) await sleep(1);
  return Atomics.load(shared, SWAPS);
}
