/** The thread that looks at volumes' content, behind all others that want something of the machine. Started by `census.ts`. */
import { setPriority } from "node:os";
import { answerCalls } from "./call-thread.ts";
import { type CensusOrder, type Tally, takeCensus } from "./census-tree.ts";
import { isErrno, lowerIoPriority } from "./syscalls.ts";

/** So long a caller waits before it may change its mind. */
const SLICE_MS = 25;
/** Looking at the clock after every name would take a twentieth of the time. */
const NAMES_BETWEEN_LOOKS = 8;
const NICE_LOWEST = 19;

const begun = new Map<number, Generator<undefined, Tally>>();

/** Goes on with a walk for a while. `tally` once it is at its end; `busyMs` is for how long. */
function walk(id: number, order: CensusOrder): { readonly busyMs: number; readonly tally?: Tally } {
  const startMs = performance.now();
  const steps = begun.get(id) ?? takeCensus(order);
  begun.set(id, steps);
  try {
    for (let names = 1; ; names += 1) {
      const { done, value } = steps.next();
      if (done === true) {
        begun.delete(id);
        return { busyMs: performance.now() - startMs, tally: value };
      }
      if (names % NAMES_BETWEEN_LOOKS !== 0) continue;
      const busyMs = performance.now() - startMs;
      if (busyMs >= SLICE_MS) return { busyMs };
    }
  } catch (error) {
    begun.delete(id);
    throw error;
  }
}

/** Gives up a walk. */
function interrupt(id: number): void {
  begun.get(id)?.return({} as Tally);
  begun.delete(id);
}

export const CENSUS_METHODS = { walk, interrupt };

// On Linux this is the calling thread's alone.
setPriority(NICE_LOWEST);
try {
  lowerIoPriority();
} catch (error) {
  // A container's filter may forbid it: then it is done with the daemon's own priority.
  if (!isErrno(error, "EPERM", "ENOSYS")) throw error;
}
answerCalls(CENSUS_METHODS);
