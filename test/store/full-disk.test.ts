import { execFileSync } from "node:child_process";
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Change } from "../../src/domain/records.ts";
import type { Store } from "../../src/ports/store.ts";
import { sampleUuid, sampleVolume, setVolume } from "../contract/samples.ts";
import { type CheckpointPlace, makeCheckpointPlace, temporaryDirectory } from "./place.ts";

const BALLAST_BYTES = 128 * 1024;
const DURABLE = { durable: true };

/** A volume whose record needs so many bytes. */
function bigVolume(number: number, bytes: number): Change {
  const value = { ...sampleVolume(number), createdBy: "x".repeat(bytes) };
  return { table: "volumes", key: value.uuid, value };
}

describe.skipIf(process.getuid?.() !== 0)("a full disk (root: mounts a tmpfs)", () => {
  let place: CheckpointPlace;
  let store: Store;

  beforeEach(async () => {
    const directory = temporaryDirectory();
    execFileSync("/usr/bin/mount", ["-t", "tmpfs", "-o", "size=1m", "holdfast-test", directory]);
    place = makeCheckpointPlace(directory);
    store = place.store({ ballastBytes: BALLAST_BYTES });
    await store.open();
    await store.commit([setVolume(1)], DURABLE);
  });

  afterEach(async () => {
    await store.close();
    execFileSync("/usr/bin/umount", [place.directory]);
    await place.remove();
  });

  function fillDisk(): void {
    for (const bytes of [64 * 1024, 4096]) {
      for (let number = 0; ; number += 1) {
        try {
          writeFileSync(join(place.directory, `filler-${bytes}-${number}`), Buffer.alloc(bytes));
        } catch {
          break;
        }
      }
    }
  }

  it("rejects what does not fit and all that was decided on top of it, until reload", async () => {
    fillDisk();
    const big = store.commit([bigVolume(2, 60_000)], DURABLE);
    const behind = store.commit([setVolume(3)], DURABLE);
    await expect(big).rejects.toMatchObject({
      code: "disk_full",
      message: "Cannot commit: the checkpoint's disk is full, nothing was stored",
    });
    await expect(behind).rejects.toMatchObject({ code: "disk_full" });
    await expect(store.commit([setVolume(4)], DURABLE)).rejects.toMatchObject({ code: "disk_full" });

    expect([...(await store.reload()).records.volumes.keys()]).toEqual([sampleUuid(1)]);
    rmSync(join(place.directory, "filler-65536-0"));
    await store.commit([bigVolume(5, 30_000)], DURABLE);
    expect((await store.reload()).records.volumes.size).toBe(2);
    expect(place.fatal).toEqual([]);
  });

  it("stores nothing of a group that shares a transaction with what does not fit", async () => {
    fillDisk();
    const outcomes = await Promise.allSettled([
      store.commit([bigVolume(2, 60_000)], DURABLE),
      ...[3, 4, 5].map((number) => store.commit([setVolume(number)], DURABLE)),
    ]);
    expect(outcomes.map(({ status }) => status)).toEqual(Array(4).fill("rejected"));
    expect((await store.reload()).records.volumes.size).toBe(1);
  });

  it("gives up the ballast only for what releases something", async () => {
    const ballast = join(place.directory, "ballast");
    fillDisk();
    await expect(store.commit([bigVolume(2, 60_000)], DURABLE)).rejects.toMatchObject({ code: "disk_full" });
    await store.reload();
    expect(existsSync(ballast)).toBe(true);
    await store.commit([bigVolume(2, 60_000)], { durable: true, releases: true });
    expect(existsSync(ballast)).toBe(false);
    expect((await store.reload()).records.volumes.size).toBe(2);
    expect(place.lines).toContain("warn The checkpoint's disk is full: gave up the ballast");
  });

  it("opens a checkpoint without room for a new log", async () => {
    await store.close();
    fillDisk();
    store = place.store({ ballastBytes: BALLAST_BYTES });
    expect((await store.open()).records.volumes.size).toBe(1);
    await store.commit([{ table: "volumes", key: sampleUuid(1), value: undefined }], { durable: true, releases: true });
    expect((await store.reload()).records.volumes.size).toBe(0);
  });
});
