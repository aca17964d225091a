/** Damaged checkpoints by the thousand, opened in another process. */
import { mkdtempSync, rmSync } from "node:fs";
import path from "node:path";
import type { Trial } from "../protocol.ts";
import { watch } from "../watched.ts";
import type { Said } from "./states-worker.ts";

export interface States {
  readonly count: number;
  /** How many of each verdict. */
  readonly verdicts: Readonly<Record<string, number>>;
  readonly violations: readonly string[];
}

/** A single one takes two milliseconds. */
const SILENCE_MS_MAX = 10_000;
const WORKER = path.join(import.meta.dirname, "states-worker.ts");
/** In memory: the states are many and worth nothing. */
const MEMORY = "/dev/shm";
const VIOLATIONS_MAX = 100;
const SHOWN_CHARACTERS = 500;
const PROGRESS = 5_000;

/** Tries one state after the other until the time or the count is up. */
export async function tryStates({ seed, count, progress }: Trial, isOver: () => boolean): Promise<States> {
  const directory = mkdtempSync(path.join(MEMORY, "holdfast-corruption-"));
  const verdicts: Record<string, number> = {};
  const violations: string[] = [];
  let next = 0;
  let current = 0;
  const heard = ({ number, verdict, what }: Said): void => {
    current = number;
    if (verdict === undefined) return;
    next = number + 1;
    const kind = verdict.split(":", 1)[0] ?? verdict;
    verdicts[kind] = (verdicts[kind] ?? 0) + 1;
    if (kind === "wrong")
      violations.push(`${what} (seed ${seed}, state ${number}): ${verdict.slice(0, SHOWN_CHARACTERS)}`);
    if (next % PROGRESS === 0) progress(`${next} damaged checkpoints`);
  };
  try {
    while (next < count && !isOver() && violations.length < VIOLATIONS_MAX) {
      const args = [directory, seed, next, Math.min(count, Number.MAX_SAFE_INTEGER)].map(String);
      const fault = await watch({ script: WORKER, args, silenceMsMax: SILENCE_MS_MAX, isOver }, heard);
      if (fault === undefined) continue;
      violations.push(`opening state ${current} of seed ${seed}: ${fault}`);
      next = current + 1;
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
  return { count: next, verdicts, violations };
}
