import { expect, test } from "vitest";
import { LIVES, simulate } from "./run.ts";

const STATES = Number(process.env["HOLDFAST_STATES"] ?? 5_000);
const SEED = process.env["HOLDFAST_SEED"];
const BUDGET_MS = 30_000 + STATES * 20;

test(
  "every recovery keeps what was acknowledged, and leaves nothing half done",
  async () => {
    const first = SEED === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(SEED);
    const worlds = SEED === undefined ? Math.ceil(STATES / LIVES) : 1;
    const startedMs = performance.now();
    for (let seed = first; seed < first + worlds; seed += 1) await simulate(seed);
    const seconds = ((performance.now() - startedMs) / 1_000).toFixed(1);
    console.log(`Simulation: ${worlds * LIVES} crash states in ${seconds} s, seeds from ${first} on`);
    expect(worlds).toBeGreaterThan(0);
  },
  BUDGET_MS,
);
