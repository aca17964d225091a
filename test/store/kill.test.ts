import { existsSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { sampleUuid } from "../contract/samples.ts";
import { runCommitter } from "./committer.ts";
import { type CheckpointPlace, makeCheckpointPlace } from "./place.ts";

const STRACE = "/usr/bin/strace";

describe("a killed process", () => {
  let place: CheckpointPlace;

  beforeEach(() => {
    place = makeCheckpointPlace();
  });

  afterEach(() => place.remove());

  it.each(["durable", "soft"] as const)("leaves every acknowledged %s commit behind", async (kind) => {
    let acknowledged = 0;
    for (const killAfterMs of [10, 50, 150]) {
      const outcome = await runCommitter({
        directory: place.directory,
        count: 1_000_000,
        kind,
        killAfterMs,
      });
      acknowledged = Math.max(acknowledged, ...outcome.acknowledged);
      await expectVolumes(place, acknowledged);
    }
    expect(acknowledged).toBeGreaterThan(0);
  });

  // What a first start writes, syncs and renames, by the number of the call.
  const points = Object.entries({ pwrite64: [1, 3, 6], fsync: [1, 2, 3], rename: [1, 2] }).flatMap(([call, numbers]) =>
    numbers.map((at) => [call, at] as const),
  );

  it.skipIf(!existsSync(STRACE)).each(points)(
    "in its first start, at %s number %i, leaves a first start",
    async (call, at) => {
      const under = [STRACE, "-f", "-qq", "-e", `trace=${call}`, "-e", `inject=${call}:signal=KILL:when=${at}`];
      const killed = await runCommitter({ directory: place.directory, count: 0, under });
      expect(killed.lines).toEqual([]);
      const next = await runCommitter({ directory: place.directory, count: 3 });
      expect(next.acknowledged).toEqual([1, 2, 3]);
      await expectVolumes(place, 3);
    },
  );
});

/** The commits are numbered, so what is there must be all of them up to some number, at least to the last acknowledged. */
async function expectVolumes(place: CheckpointPlace, acknowledged: number): Promise<void> {
  const store = place.store();
  const { records, damaged } = await store.open();
  await store.close();
  expect(damaged).toEqual([]);
  expect(records.volumes.size).toBeGreaterThanOrEqual(acknowledged);
  for (let number = 1; number <= records.volumes.size; number += 1) {
    expect(records.volumes.has(sampleUuid(number))).toBe(true);
  }
}
