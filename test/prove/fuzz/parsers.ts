/** Strange inputs for every parser, given in another process. */
import path from "node:path";
import type { Trial } from "../protocol.ts";
import { watch } from "../watched.ts";
import type { Said } from "./parsers-worker.ts";

export interface Tried {
  readonly count: number;
  readonly violations: readonly string[];
}

const WORKER = path.join(import.meta.dirname, "parsers-worker.ts");
/** Inputs in a batch: what the worker makes at a time. */
export const BATCH = 200;
/** A batch takes some tens of milliseconds. */
const SILENCE_MS_MAX = 30_000;
const VIOLATIONS_MAX = 100;
const PROGRESS = 100_000;

/** Tries batches until the time or the count is up. */
export async function tryParsers({ seed, count, progress }: Trial, isOver: () => boolean): Promise<Tried> {
  const batches = Math.min(Math.ceil(count / BATCH), Number.MAX_SAFE_INTEGER);
  const violations: string[] = [];
  let current: Said = { batch: 0, target: "" };
  let next = 0;
  const story = ({ batch, target }: Said): string => `${target} (seed ${seed}, batch ${batch})`;
  const heard = (said: Said): void => {
    current = said;
    next = said.batch;
    if (said.fault !== undefined) violations.push(`${story(said)}: ${said.fault}`);
    else if ((said.batch * BATCH) % PROGRESS === 0) progress(`${said.batch * BATCH} inputs for parsers`);
  };
  while (next < batches && !isOver() && violations.length < VIOLATIONS_MAX) {
    const args = [seed, next, batches].map(String);
    const fault = await watch({ script: WORKER, args, silenceMsMax: SILENCE_MS_MAX, isOver }, heard);
    if (fault === undefined && !isOver()) next = batches;
    if (fault === undefined) continue;
    violations.push(`${story(current)}: ${fault}`);
    next = current.batch + 1;
  }
  return { count: next * BATCH, violations };
}
