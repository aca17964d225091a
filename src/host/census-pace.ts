/** Holds work that comes in slices to a share of a core: after each slice it rests for as long as that takes. */
import { setTimeout as sleep } from "node:timers/promises";

export interface Pace {
  /** Waits until the next slice may begin. `false` when the signal ended the wait. */
  turn(signal: AbortSignal): Promise<boolean>;
  /** Says how long a slice took. */
  worked(busyMs: number): void;
}

/** @param share of a core, over 0; with 1 it never rests */
export function createPace(share: number): Pace {
  if (!(share > 0 && share <= 1)) throw new RangeError(`A share is over 0 and at most 1, not ${share}`);
  let freeAtMs = 0;
  return {
    async turn(signal) {
      try {
        for (let waitMs = 1; waitMs > 0 && !signal.aborted; ) {
          waitMs = freeAtMs - performance.now();
          if (waitMs > 0) await sleep(waitMs, undefined, { signal });
        }
      } catch (error) {
        if (!signal.aborted) throw error;
      }
      return !signal.aborted;
    },
    worked(busyMs) {
      // A slice that began before another's rest was over puts its end off.
      freeAtMs = Math.max(freeAtMs + busyMs, performance.now()) + busyMs * (1 / share - 1);
    },
  };
}
