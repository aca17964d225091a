/**
 * Opens damaged checkpoints one after the other, in a process of its own: SQLite is C, and may crash or hang. Says the
 * number of every state before it, and what became of it after it.
 *
 * Arguments: a directory to work in, the seed, the first state, and the one to end before.
 */
import { mkdtempSync } from "node:fs";
import { join } from "node:path";
import { Chance } from "../../simulation/chance.ts";
import { tell } from "../telling.ts";
import { damageOf } from "./damage.ts";
import { makeHistory } from "./history.ts";
import { judge, type Verdict } from "./judge.ts";
import { placeCheckpoint } from "./place.ts";

/** One line of what the worker says. */
export interface Said {
  readonly number: number;
  readonly verdict?: Verdict;
  readonly what?: string;
}

const [parent = "", ...numbers] = process.argv.slice(2);
const [seed = 0, first = 0, end = 0] = numbers.map(Number);
const directory = mkdtempSync(join(parent, "states-"));
const history = await makeHistory();
for (let number = first; number < end; number += 1) {
  tell({ number } satisfies Said);
  const damage = damageOf(number, history, new Chance(seed + number));
  placeCheckpoint(directory, damage);
  tell({ number, verdict: judge(directory, history), what: damage.what } satisfies Said);
}
