/**
 * Mount adversary: root on the same machine mounts, unmounts, moves, covers and keeps what a real daemon mounts, and
 * kills it. Each volume is there exactly once or the daemon says what is wrong; what somebody has is never deleted; and
 * once it is over everything can be taken away.
 */
import { mayMount } from "../e2e/privileges.ts";
import { play } from "./mount-adversary/game.ts";
import { Node } from "./mount-adversary/node.ts";
import type { Protocol } from "./protocol.ts";

const VIOLATIONS_ENOUGH = 20;
const TOLD_EVERY = 20;

export const mountAdversary: Protocol = {
  name: "mount-adversary",
  title: "mounts stacked, moved, covered, kept in namespaces and removed behind a real daemon's back",
  unit: "iterations",
  target: 10_000,
  share: 3,
  unavailable: () => (mayMount ? undefined : "it needs root with CAP_SYS_ADMIN"),
  async run({ seed, budgetMs, count, interruption, progress }) {
    const endMs = performance.now() + budgetMs;
    const sum = { games: 0, kills: 0, attaches: 0, collected: 0 };
    let steps = 0;
    const node = await Node.start();
    try {
      const isOver = () => interruption.aborted || performance.now() >= endMs;
      while (!isOver() && steps < count && node.violations.length < VIOLATIONS_ENOUGH) {
        const played = await play(node, seed + sum.games);
        sum.games += 1;
        steps += played.steps;
        for (const name of ["kills", "attaches", "collected"] as const) sum[name] += played[name];
        if (sum.games % TOLD_EVERY === 0) progress(`${steps} iterations`);
      }
    } finally {
      await node.close();
    }
    return { count: steps, violations: node.violations, figures: sum };
  },
};
