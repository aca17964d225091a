/**
 * Sequences of requests over every door at once, against one model of what was promised: after each of them the answer
 * and every list must be what the model says, also across restarts, reboots, power cuts and clocks that jump.
 */
import fc from "fast-check";
import { House } from "./model/node.ts";
import { play } from "./model/play.ts";
import { starts } from "./model/wishes.ts";
import type { Evidence, Protocol, Trial } from "./protocol.ts";

/** Sequences that are one run of fast-check: it shrinks what it finds among them. */
const SEQUENCES_AT_ONCE = 50;
const SHRINK_MS = 30_000;
const VIOLATIONS_MAX = 3;

export const model: Protocol = {
  name: "model",
  title: "sequences over every door at once against one model of what is promised",
  unit: "sequences",
  target: 10_000,
  share: 2,
  run: playAll,
};

async function playAll({ seed, budgetMs, count, interruption, progress }: Trial): Promise<Evidence> {
  const endMs = performance.now() + budgetMs;
  const tally = { requests: 0, refused: 0, restarts: 0 };
  const violations: string[] = [];
  const house = await House.open();
  let sequences = 0;
  try {
    for (let round = 0; sequences < count && performance.now() < endMs && !interruption.aborted; round += 1) {
      const roundSeed = (seed + round) | 0;
      const found = await fc.check(
        fc.asyncProperty(starts, (start) => play(house, roundSeed, start, tally)),
        {
          seed: roundSeed,
          numRuns: SEQUENCES_AT_ONCE,
          interruptAfterTimeLimit: endMs - performance.now() + SHRINK_MS,
        },
      );
      sequences += found.numRuns;
      if (found.failed) {
        const reason = found.errorInstance instanceof Error ? found.errorInstance.message : String(found.errorInstance);
        violations.push(`seed ${roundSeed}, path ${found.counterexamplePath}: ${reason}`);
      }
      if (violations.length >= VIOLATIONS_MAX) break;
      if (round % 20 === 19) progress(`${sequences} sequences, ${tally.requests} requests`);
    }
  } finally {
    await house.close();
  }
  return { count: sequences, violations, figures: { ...tally } };
}
