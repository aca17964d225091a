/** The whole engine on fake disk, mounts, processes and clock: killed after any step, any unsynced write lost, recovered. */
import { setImmediate } from "node:timers/promises";
import { LIVES, simulate } from "../simulation/run.ts";
import type { Protocol } from "./protocol.ts";

export const simulation: Protocol = {
  name: "simulation",
  title: "the engine on a fake world: a death after any step, recovery",
  unit: "crash states",
  target: 200_000,
  share: 2,
  run: async ({ seed, budgetMs, count, interruption, progress }) => {
    const endMs = performance.now() + budgetMs;
    const violations: string[] = [];
    let states = 0;
    const isOver = () => interruption.aborted || performance.now() >= endMs;
    for (let world = seed; states < count && !isOver(); world += 1) {
      // Lets a signal come in.
      await setImmediate();
      try {
        await simulate(world);
      } catch (error) {
        violations.push(error instanceof Error ? error.message : String(error));
      }
      states += LIVES;
      if (states % 10_000 === 0) progress(`${states} crash states`);
    }
    return { count: states, violations };
  },
};
