/** The thread that deletes destroyed volumes, behind all others that want something of the disk. Started by `purge.ts`. */
import type { Incarnation } from "../domain/units.ts";
import { answerCalls } from "./call-thread.ts";
import { purgeTree, type Trash } from "./purge-tree.ts";
import { isErrno, lowerIoPriority } from "./syscalls.ts";
import { lowerCpuPriority } from "./syscalls-purge.ts";

/** A tenth of what others get of a processor that is short, so that it still comes to an end. */
const NICE = 10;

const begun = new Map<Incarnation, Generator<undefined, number>>();

/** Deletes for a while. `entries`, of all calls together, once nothing is left. */
function purge(trash: Trash, uuid: Incarnation, sliceMs: number): { readonly entries?: number } {
  const steps = begun.get(uuid) ?? purgeTree(trash, uuid);
  begun.set(uuid, steps);
  try {
    const endMs = performance.now() + sliceMs;
    for (;;) {
      const { done, value } = steps.next();
      if (done === true) {
        begun.delete(uuid);
        return { entries: value };
      }
      if (performance.now() >= endMs) return {};
    }
  } catch (error) {
    begun.delete(uuid);
    throw error;
  }
}

/** Gives up what was begun. */
function interrupt(uuid: Incarnation): void {
  begun.get(uuid)?.return(0);
  begun.delete(uuid);
}

export const PURGE_METHODS = { purge, interrupt };

/** A container's filter may forbid it: then it is done with the daemon's own priority. */
function tryTo(lowerPriority: () => void): void {
  try {
    lowerPriority();
  } catch (error) {
    if (!isErrno(error, "EPERM", "ENOSYS")) throw error;
  }
}

tryTo(() => lowerIoPriority());
tryTo(() => lowerCpuPriority(NICE));
answerCalls(PURGE_METHODS);
