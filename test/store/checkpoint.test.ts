import { existsSync, readdirSync, renameSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Metrics } from "../../src/ports/metrics.ts";
import type { Store } from "../../src/ports/store.ts";
import { sampleUuid, sampleVolume, setVolume } from "../contract/samples.ts";
import { storeContract } from "../contract/store.ts";
import { runCommitter } from "./committer.ts";
import { type CheckpointPlace, makeCheckpointPlace } from "./place.ts";

storeContract("the checkpoint", async () => makeCheckpointPlace());

const DURABLE = { durable: true };

describe("the checkpoint", () => {
  let place: CheckpointPlace;
  let store: Store;

  beforeEach(() => {
    place = makeCheckpointPlace();
    store = place.store();
  });

  afterEach(async () => {
    await store.close();
    await place.remove();
  });

  it("refuses a directory without a checkpoint unless it may make one", async () => {
    store = makeCheckpointPlace(place.directory).store({ create: undefined as never });
    await expect(store.open()).rejects.toMatchObject({
      code: "damaged",
      message: `Cannot open the checkpoint ${place.checkpoint}: the file is missing or empty, run holdfast rebuild`,
    });
    expect(readdirSync(place.directory)).toEqual([]);
  });

  it("refuses a second opener in the same process", async () => {
    await store.open();
    const second = place.store();
    await expect(second.open()).rejects.toMatchObject({
      code: "conflict",
      message: `Cannot open the checkpoint ${place.checkpoint}: another process has it open, stop that one first`,
    });
    await second.close();
    await store.commit([setVolume(1)], DURABLE);
  });

  it("refuses a second opener in another process", async () => {
    await store.open();
    const { lines } = await runCommitter({ directory: place.directory, count: 1 });
    expect(lines).toEqual(["refused conflict"]);
  });

  it("refuses what is not open", async () => {
    const refusal = { code: "unavailable", message: "Cannot commit: the store is closed" };
    await expect(store.commit([], DURABLE)).rejects.toMatchObject(refusal);
    await expect(store.reload()).rejects.toMatchObject({ code: "unavailable" });
  });

  it("can be opened after a refused opening, once the cause is gone", async () => {
    writeFileSync(place.checkpoint, "");
    await expect(store.open()).rejects.toMatchObject({ code: "damaged" });
    renameSync(place.checkpoint, join(place.directory, "elsewhere"));
    expect((await store.open()).records.volumes.size).toBe(0);
  });

  it("syncs commits that wait together only once", async () => {
    const groups: number[] = [];
    const metrics: Metrics = {
      operation: () => undefined,
      reconciled: () => undefined,
      commit: (count) => groups.push(count),
    };
    store = place.store({ metrics });
    await store.open();
    await Promise.all(Array.from({ length: 100 }, (_, number) => store.commit([setVolume(number)], DURABLE)));
    expect(groups.reduce((sum, count) => sum + count)).toBe(100);
    expect(groups.length).toBeLessThan(50);
  });

  it("keeps the log short over many commits", async () => {
    await store.open();
    for (let round = 0; round < 6; round += 1) {
      const commits = Array.from({ length: 1000 }, (_, number) =>
        store.commit([setVolume(round * 1000 + number)], { durable: false }),
      );
      await Promise.all(commits);
    }
    expect(statSync(`${place.checkpoint}-wal`).size).toBeLessThan(16 * 1024 * 1024);
    await store.close();
    store = place.store();
    expect((await store.open()).records.volumes.size).toBe(6000);
  });

  it("loads fifty thousand volumes without blocking for long", async () => {
    await store.open();
    const changes = Array.from({ length: 50_000 }, (_, number) => setVolume(number));
    await store.commit(changes, DURABLE);
    const pause = longestPause();
    const { records, damaged } = await store.reload();
    expect(await pause.stop()).toBeLessThan(200);
    expect(damaged).toEqual([]);
    expect(records.volumes.size).toBe(50_000);
    expect(records.volumes.get(sampleUuid(49_999))).toEqual(sampleVolume(49_999));
  });

  it("ends its thread when it is closed, also twice", async () => {
    await store.open();
    await Promise.all([store.close(), store.close()]);
    expect(place.fatal).toEqual([]);
    expect(existsSync(`${place.checkpoint}-wal`)).toBe(false);
  });
});

/** The longest time that the event loop did not come round, in milliseconds. */
function longestPause(): { stop(): Promise<number> } {
  let longestMs = 0;
  let lastMs = performance.now();
  const timer = setInterval(() => {
    const nowMs = performance.now();
    longestMs = Math.max(longestMs, nowMs - lastMs);
    lastMs = nowMs;
  }, 1);
  return {
    stop: async () => {
      await sleep(5);
      clearInterval(timer);
      return longestMs;
    },
  };
}
