import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { WallMs } from "../../src/domain/units.ts";
import type { StoreContents } from "../../src/ports/store.ts";
import { type RebuildOptions, rebuildCheckpoint } from "../../src/store/rebuild.ts";
import { SAMPLE_HEADER, sampleVolume, setVolume } from "../contract/samples.ts";
import { type CheckpointPlace, makeCheckpointPlace } from "./place.ts";

const KEPT = "checkpoint.before-rebuild.20251122T131000.500Z";
const VOLUME = sampleVolume(2);

describe("rebuildCheckpoint", () => {
  let place: CheckpointPlace;
  let options: RebuildOptions;

  beforeEach(() => {
    place = makeCheckpointPlace();
    options = {
      directory: place.directory,
      header: SAMPLE_HEADER,
      records: {
        reservations: new Map(),
        volumes: new Map([[VOLUME.uuid, VOLUME]]),
        containers: new Map(),
        operations: new Map(),
        disks: new Map(),
        sandboxes: new Map(),
        apps: new Map(),
      },
      at: Date.UTC(2025, 10, 22, 13, 10, 0, 500) as WallMs,
    };
  });

  afterEach(() => place.remove());

  async function makeSound(): Promise<void> {
    const store = place.store();
    await store.open();
    await store.commit([setVolume(1)], { durable: true });
    await store.close();
  }

  async function read(): Promise<StoreContents> {
    const store = place.store();
    const contents = await store.open();
    await store.close();
    return contents;
  }

  it("refuses while a daemon has the checkpoint open", async () => {
    const store = place.store();
    await store.open();
    expect(() => rebuildCheckpoint({ ...options, replace: true })).toThrow(
      expect.objectContaining({ code: "conflict" }),
    );
    await store.commit([setVolume(1)], { durable: true });
    await store.close();
  });

  it("refuses a readable checkpoint unless it is asked to replace it", async () => {
    await makeSound();
    expect(() => rebuildCheckpoint(options)).toThrow(
      `Cannot rebuild the checkpoint ${place.checkpoint}: it is there and readable, ask to replace it`,
    );
    expect((await read()).records.volumes.size).toBe(1);
  });

  it("replaces a readable checkpoint that it was asked to, and keeps the old one", async () => {
    await makeSound();
    const old = readFileSync(place.checkpoint);
    expect(rebuildCheckpoint({ ...options, replace: true })).toBe(join(place.directory, KEPT));
    expect(readFileSync(join(place.directory, KEPT)).equals(old)).toBe(true);
    expect([...(await read()).records.volumes.values()]).toEqual([VOLUME]);
  });

  it("writes anew what cannot be read, and keeps it", async () => {
    writeFileSync(place.checkpoint, "not SQLite");
    expect(rebuildCheckpoint(options)).toBe(join(place.directory, KEPT));
    expect(readFileSync(join(place.directory, KEPT), "utf8")).toBe("not SQLite");
    expect([...(await read()).records.volumes.values()]).toEqual([VOLUME]);
  });

  it("never applies a log that was left without its checkpoint, and keeps it", async () => {
    writeFileSync(`${place.checkpoint}-wal`, "its log");
    expect(rebuildCheckpoint(options)).toBe(join(place.directory, KEPT));
    expect(readFileSync(join(place.directory, `${KEPT}-wal`), "utf8")).toBe("its log");
    expect(existsSync(`${place.checkpoint}-wal`)).toBe(false);
    expect([...(await read()).records.volumes.values()]).toEqual([VOLUME]);
  });

  it("writes the first one where nothing is, not even the directory", async () => {
    rmSync(place.directory, { recursive: true });
    expect(rebuildCheckpoint(options)).toBeUndefined();
    expect(readdirSync(place.directory)).toEqual(["checkpoint.db"]);
    expect(await read()).toMatchObject({ header: SAMPLE_HEADER, labelledThrough: 0 });
  });
});
