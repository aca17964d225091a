/**
 * Eight want one work root at once, under several names and over all kinds of leftovers: one gets it, whatever happens
 * to the one that has it. Most rounds are played by small processes with the daemon's own lock, some by whole daemons.
 */

import { makeProgram } from "../e2e/bundled-program.ts";
import { makePlace } from "../e2e/place.ts";
import { mayMount } from "../e2e/privileges.ts";
import { Chance } from "../simulation/chance.ts";
import type { Evidence, Protocol, Trial } from "./protocol.ts";
import { playContenders } from "./two-daemons/contenders.ts";
import { playDaemons } from "./two-daemons/daemons.ts";
import type { Tally } from "./two-daemons/tally.ts";

/** So many rounds of a hundred are played by whole daemons. */
const DAEMONS_PERCENT = 10;
const DAEMON_ROUNDS_AT_ONCE = 2;

export const twoDaemons: Protocol = {
  name: "two-daemons",
  title: "eight starts at once on one work root, its owner stopped, killed, paused and resumed",
  unit: "rounds",
  target: 1_000,
  share: 1,
  unavailable: () => (mayMount ? undefined : "it needs root with CAP_SYS_ADMIN"),
  run: tryRounds,
};

async function tryRounds({ seed, budgetMs, count, interruption, progress }: Trial): Promise<Evidence> {
  const endMs = performance.now() + budgetMs;
  const chance = new Chance(seed);
  const tally: Tally = { seed, rounds: 0, ends: {}, takeOversMs: [], daemonTakeOversMs: [], violations: [] };
  const place = await makePlace("two-daemons");
  try {
    const program = await makeProgram(place.dir);
    const isOver = () => interruption.aborted || tally.rounds >= count || performance.now() > endMs;
    const together = (DAEMON_ROUNDS_AT_ONCE * 100) / DAEMONS_PERCENT;
    while (!isOver()) {
      // Counted on both sides, so that an early end has some of each.
      await playDaemons({ place, program, chance, tally, isOver, rounds: DAEMON_ROUNDS_AT_ONCE });
      await playContenders({ place, chance, tally, isOver, rounds: together - DAEMON_ROUNDS_AT_ONCE });
      progress(`${tally.rounds} rounds`);
    }
  } finally {
    await place.remove();
  }
  const { rounds, ends, takeOversMs, daemonTakeOversMs, violations } = tally;
  const figures = {
    ...ends,
    "ms to take over at most": longest(takeOversMs),
    "ms until the next daemon was ready at most": longest(daemonTakeOversMs),
  };
  return { count: rounds, violations, figures };
}

function longest(timesMs: readonly number[]): number {
  return Math.ceil(Math.max(0, ...timesMs));
}
