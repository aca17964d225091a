/** The thread that copies content and gives it to groups. Started by `copier.ts`. */
import { setPriority } from "node:os";
import { HoldfastError } from "../domain/error.ts";
import { answerCalls } from "./call-thread.ts";
import { type CopyTally, copyTree, type TreeOrder } from "./copy-tree.ts";
import { errnoOf } from "./disk-error.ts";
import { type GroupOrder, giveToGroup } from "./group-tree.ts";
import { type SnapshotOrder, takeSnapshot } from "./snapshot.ts";

/** So long a caller waits before it may change its mind. */
const SLICE_MS = 25;
/** Looking at the clock after every step would take a part of the time. */
const STEPS_BETWEEN_LOOKS = 8;
/** What containers do goes first. */
const NICE = 5;

interface Work {
  readonly steps: Generator<undefined, void>;
  readonly tally: CopyTally;
}

/** How far it is after a slice, and whether that is the end. */
export interface Slice extends CopyTally {
  readonly isDone: boolean;
}

const begun = new Map<number, Work>();

/** Begins a copy, or goes on with it for a while. */
function copy(id: number, order: TreeOrder): Slice {
  return goOn(id, (tally) => copyTree(order, tally));
}

function group(id: number, order: GroupOrder): Slice {
  return goOn(id, () => giveToGroup(order));
}

function goOn(id: number, begin: (tally: CopyTally) => Generator<undefined, void>): Slice {
  const endMs = performance.now() + SLICE_MS;
  const work = begun.get(id) ?? started(begin);
  begun.set(id, work);
  try {
    for (let steps = 1; ; steps += 1) {
      if (work.steps.next().done === true) break;
      if (steps % STEPS_BETWEEN_LOOKS === 0 && performance.now() >= endMs) return { ...work.tally, isDone: false };
    }
  } catch (error) {
    begun.delete(id);
    throw asFailure(error);
  }
  begun.delete(id);
  return { ...work.tally, isDone: true };
}

function started(begin: (tally: CopyTally) => Generator<undefined, void>): Work {
  const tally = { bytes: 0, names: 0 };
  return { steps: begin(tally), tally };
}

/** Gives up what was begun, and closes what it had open. */
function interrupt(id: number): void {
  begun.get(id)?.steps.return();
  begun.delete(id);
}

function snapshot(order: SnapshotOrder): boolean {
  return asWhole(() => takeSnapshot(order));
}

function asWhole<Result>(work: () => Result): Result {
  try {
    return work();
  } catch (error) {
    throw asFailure(error);
  }
}

/** What the kernel says survives the way to the other thread as an error's details alone. */
function asFailure(error: unknown): unknown {
  if (error instanceof HoldfastError) return error;
  const errno = errnoOf(error);
  if (errno === undefined) return error;
  return new HoldfastError("internal", String(error), { cause: error, details: { errno } });
}

export const COPY_METHODS = { copy, group, interrupt, snapshot };

// On Linux this is the calling thread's alone.
setPriority(NICE);
answerCalls(COPY_METHODS);
