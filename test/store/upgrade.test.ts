import { copyFileSync, existsSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { CheckpointFile } from "../../src/store/checkpoint-file.ts";
import { UPGRADES, type Upgrade } from "../../src/store/upgrade.ts";
import {
  SAMPLE_HEADER,
  sampleVolume,
  setAdoptedVolume,
  setApp,
  setContainer,
  setCopyingVolume,
  setDisk,
  setMarkedVolume,
  setNotedVolume,
  setOperation,
  setReservation,
  setSandbox,
  setSnapshot,
} from "../contract/samples.ts";
import { type CheckpointPlace, makeCheckpointPlace } from "./place.ts";

const addColumn: Upgrade = (database) => database.exec("alter table volumes add column colour text");
const dropColumn: Upgrade = (database) => database.exec("alter table volumes drop column colour");
const failing: Upgrade = (database) => {
  database.exec("delete from volumes");
  throw new Error("told to fail");
};

let place: CheckpointPlace;

beforeEach(() => {
  place = makeCheckpointPlace();
  putGolden(1);
});

afterEach(() => place.remove());

function putGolden(version: number): void {
  rmSync(place.checkpoint, { force: true });
  const database = new DatabaseSync(place.checkpoint);
  database.exec(readFileSync(`${import.meta.dirname}/golden/checkpoint-v${version}.sql`, "utf8"));
  database.close();
}

/** Opens with the upgrades that there are and these behind them. */
function openWith(...more: readonly Upgrade[]): { readonly version: unknown; readonly volumes: number } {
  const file = new CheckpointFile({ directory: place.directory, ballastBytes: 0, upgrades: [...UPGRADES, ...more] });
  const volumes = [...file.rows("volumes")].length;
  file.close();
  return { version: versionOf(place.checkpoint), volumes };
}

function versionOf(path: string): unknown {
  const database = new DatabaseSync(path);
  const version = database.prepare("pragma user_version").get()?.["user_version"];
  database.close();
  return version;
}

describe("a checkpoint of version 1", () => {
  it("can be read for ever", async () => {
    const store = place.store();
    const { header, records, damaged, labelledThrough } = await store.open();
    await store.close();
    expect(damaged).toEqual([]);
    expect(header).toEqual(SAMPLE_HEADER);
    expect(labelledThrough).toBe(2);
    expect([...records.volumes.values()]).toEqual([sampleVolume(1), sampleVolume(2)]);
    for (const { table, key, value } of [setReservation(), setContainer(), setOperation()]) {
      expect([...records[table]]).toEqual([[key, value]]);
    }
  });

  it("stays as it was, with its rows, when an upgrade fails", () => {
    expect(() => openWith(addColumn, failing)).toThrow(
      expect.objectContaining({
        code: "unavailable",
        message: `Cannot upgrade the checkpoint ${place.checkpoint} from version 1 to 6: nothing changed`,
      }),
    );
    expect(versionOf(place.checkpoint)).toBe(1);
    expect(openWith()).toEqual({ version: 4, volumes: 2 });
  });

  it("is upgraded once, through every version, and its copy puts it back", () => {
    const copy = join(place.directory, "checkpoint.v1");
    expect(openWith(addColumn, dropColumn)).toEqual({ version: 6, volumes: 2 });
    expect(openWith(addColumn, dropColumn)).toEqual({ version: 6, volumes: 2 });
    expect(versionOf(copy)).toBe(1);
    expect(existsSync(join(place.directory, "checkpoint.v2"))).toBe(false);

    copyFileSync(copy, `${copy}.again`);
    renameSync(`${copy}.again`, place.checkpoint);
    expect(openWith()).toEqual({ version: 4, volumes: 2 });
  });
});

describe("a checkpoint of version 2", () => {
  it("can be read for ever", async () => {
    putGolden(2);
    const store = place.store();
    const { records, damaged } = await store.open();
    await store.close();
    expect(damaged).toEqual([]);
    for (const { table, key, value } of [setMarkedVolume(), setAdoptedVolume(), setDisk(), setSandbox()]) {
      expect(records[table].get(key)).toEqual(value);
    }
  });
});

describe("a checkpoint of version 3", () => {
  it("can be read for ever", async () => {
    putGolden(3);
    const store = place.store();
    const { records, damaged } = await store.open();
    await store.close();
    expect(damaged).toEqual([]);
    for (const { table, key, value } of [setMarkedVolume(), setNotedVolume(), setApp()]) {
      expect(records[table].get(key)).toEqual(value);
    }
  });
});

describe("a checkpoint of version 4", () => {
  it("can be read for ever", async () => {
    putGolden(4);
    const store = place.store();
    const { records, damaged } = await store.open();
    await store.close();
    expect(damaged).toEqual([]);
    for (const { table, key, value } of [setSnapshot(), setCopyingVolume(), setApp()]) {
      expect(records[table].get(key)).toEqual(value);
    }
  });
});
