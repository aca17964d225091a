import { existsSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { crc32 } from "node:zlib";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { codeOf, type HoldfastError } from "../../src/domain/error.ts";
import { type Change, TABLES } from "../../src/domain/records.ts";
import type { StoreContents } from "../../src/ports/store.ts";
import { CheckpointFile } from "../../src/store/checkpoint-file.ts";
import { ContentsBuilder } from "../../src/store/contents.ts";
import { addToSeal, NO_ROWS } from "../../src/store/seal.ts";
import {
  removeVolume,
  sampleUuid,
  sampleVolume,
  setApp,
  setContainer,
  setMarkedVolume,
  setVolume,
} from "../contract/samples.ts";
import { type CheckpointPlace, makeCheckpointPlace } from "./place.ts";

const VOLUMES = 40;
const PAGE_BYTES = 4096;

describe("a damaged checkpoint", () => {
  let place: CheckpointPlace;

  beforeEach(async () => {
    place = makeCheckpointPlace();
    const store = place.store();
    await store.open();
    await store.commit(
      Array.from({ length: VOLUMES }, (_, number) => setVolume(number)),
      { durable: true },
    );
    await store.close();
  });

  afterEach(() => place.remove());

  async function open(): Promise<StoreContents> {
    const store = place.store();
    try {
      return await store.open();
    } finally {
      await store.close();
    }
  }

  async function commit(...changes: readonly Change[]): Promise<void> {
    const store = place.store();
    await store.open();
    await store.commit(changes, { durable: true });
    await store.close();
  }

  /** The log of a store that was killed after a commit. */
  async function killedAfter(...changes: readonly Change[]): Promise<{ readonly log: Buffer }> {
    const store = place.store();
    await store.open();
    await store.commit(changes, { durable: true });
    const log = readFileSync(`${place.checkpoint}-wal`);
    await store.close();
    return { log };
  }

  function edit(sql: string, ...values: (string | number)[]): void {
    const database = new DatabaseSync(place.checkpoint);
    database.prepare(sql).run(...values);
    database.close();
  }

  it.each([
    ["is empty", () => truncateSync(place.checkpoint, 0), "the file is missing or empty, run holdfast rebuild"],
    [
      "is cut short",
      () => truncateSync(place.checkpoint, 5000),
      "database disk image is malformed, run holdfast rebuild",
    ],
    [
      "is something else",
      () => writeFileSync(place.checkpoint, "x".repeat(9000)),
      "file is not a database, run holdfast rebuild",
    ],
    [
      "is another program's",
      () => edit("pragma user_version = 0"),
      "it is not a checkpoint of Holdfast, run holdfast rebuild",
    ],
    ["lacks a table", () => edit("drop table operations"), "a table is missing, run holdfast rebuild"],
    [
      "has lost its header",
      () => edit("delete from header"),
      "its header is lost (agentId: expected text like /./s), run holdfast rebuild",
    ],
    [
      "is of a newer version",
      () => edit("pragma user_version = 7"),
      "it has schema version 7 and this program knows 4, start the newer program or run holdfast rebuild",
    ],
    [
      "calls itself older than its tables",
      () => edit("pragma user_version = 2"),
      "its tables are not those of its schema version 2, run holdfast rebuild",
    ],
    [
      "has an impossible version",
      () => edit("pragma user_version = -2147483645"),
      "its tables are not those of its schema version -2147483645, run holdfast rebuild",
    ],
  ])("that %s is refused with the way out, and left alone", async (_, damage, reason) => {
    damage();
    const before = readFileSync(place.checkpoint);
    await expect(open()).rejects.toMatchObject({
      code: "damaged",
      message: `Cannot open the checkpoint ${place.checkpoint}: ${reason}`,
    });
    expect(readFileSync(place.checkpoint).equals(before)).toBe(true);
  });

  it("whose pages are scrambled is refused in one line", async () => {
    const bytes = readFileSync(place.checkpoint);
    bytes.fill(0xa5, 2 * PAGE_BYTES, 3 * PAGE_BYTES);
    writeFileSync(place.checkpoint, bytes);
    const { code, message } = await open().then(
      () => expect.unreachable("it opens"),
      (error: HoldfastError) => error,
    );
    expect(code).toBe("damaged");
    expect(message).toMatch(/^Cannot open the checkpoint \S+: SQLite's check says "[^\n]+", run holdfast rebuild$/);
  });

  it("of which only the beginning of a table is there is refused with the way out", async () => {
    rmSync(place.checkpoint);
    await commit(setApp());
    truncateSync(place.checkpoint, statSync(place.checkpoint).size - PAGE_BYTES + 100);
    await expect(open()).rejects.toMatchObject({
      code: "damaged",
      message: expect.stringMatching(/^Cannot read the checkpoint: it is shorter .*, run holdfast rebuild$/),
    });
  });

  it("that is gone while its log is there is no first start", async () => {
    rmSync(place.checkpoint);
    writeFileSync(`${place.checkpoint}-wal`, "log");
    await expect(open()).rejects.toMatchObject({ code: "damaged" });
    expect(existsSync(place.checkpoint)).toBe(false);
  });

  it.each([
    ["a wrong checksum", JSON.stringify(sampleVolume(3)), 1, "the checksum is wrong"],
    ["no JSON", "{", undefined, "it is not JSON"],
    ["an unknown field", JSON.stringify({ ...sampleVolume(3), colour: "red" }), undefined, "colour: unknown"],
    ["another volume's record", JSON.stringify(sampleVolume(4)), undefined, "it lies under another record's key"],
  ])("costs a row with %s only this row", async (_, value, crc, reason) => {
    const key = sampleUuid(3);
    edit("update volumes set value = ?, crc = ? where key = ?", value, crc ?? crc32(value, crc32(key)), key);
    const { records, damaged } = await open();
    expect(damaged).toEqual([{ table: "volumes", key, reason }]);
    expect(records.volumes.size).toBe(VOLUMES - 1);
    expect(records.volumes.get(sampleUuid(4))).toEqual(sampleVolume(4));
  });

  it("whose file is of an earlier time than its log is refused", async () => {
    const earlier = readFileSync(place.checkpoint);
    await commit(removeVolume(1), setContainer());
    const { log } = await killedAfter(setVolume(VOLUMES));
    writeFileSync(place.checkpoint, earlier);
    writeFileSync(`${place.checkpoint}-wal`, log);
    await expect(open()).rejects.toMatchObject({
      code: "damaged",
      message: expect.stringContaining("different times"),
    });
  });

  it("of which a page is of an earlier time is refused", async () => {
    const earlier = readFileSync(place.checkpoint);
    await commit(setMarkedVolume());
    const later = readFileSync(place.checkpoint);
    let refused = 0;
    for (let at = 0; at < earlier.length; at += PAGE_BYTES) {
      const page = earlier.subarray(at, at + PAGE_BYTES);
      if (page.equals(later.subarray(at, at + PAGE_BYTES))) continue;
      const bytes = Buffer.from(later);
      page.copy(bytes, at);
      writeFileSync(place.checkpoint, bytes);
      await expect(open(), `the page at ${at}`).rejects.toMatchObject({ code: "damaged" });
      refused += 1;
    }
    expect(refused).toBeGreaterThan(1);
  });

  it("opens again after its damaged row was told, written anew and removed", async () => {
    const key = sampleUuid(3);
    edit("update volumes set crc = crc + 1 where key = ?", key);
    expect((await open()).damaged).toHaveLength(1);
    await commit(setVolume(3));
    expect(await open()).toMatchObject({ damaged: [] });
    await commit(removeVolume(3));
    expect((await open()).records.volumes.size).toBe(VOLUMES - 1);
  });

  it("that was never sealed is sealed at its first opening", async () => {
    edit("delete from header where key = 'seal'");
    expect((await open()).records.volumes.size).toBe(VOLUMES);
    edit("delete from volumes where key = ?", sampleUuid(3));
    await expect(open()).rejects.toMatchObject({ code: "damaged" });
  });

  it("keeps its volumes when only labelledThrough is lost", async () => {
    edit("update header set value = '12' where key = 'labelledThrough'");
    const contents = await open();
    expect(contents.labelledThrough).toBe(0);
    expect(contents.records.volumes.size).toBe(VOLUMES);
  });

  it("with one flipped bit anywhere never shows a wrong volume, and never loses one silently", () => {
    const sound = readFileSync(place.checkpoint);
    const verdicts = { refused: 0, isolated: 0, harmless: 0 };
    for (let at = 0; at < sound.length; at += 61) {
      const bytes = Buffer.from(sound);
      bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << (at % 8)), at);
      writeFileSync(place.checkpoint, bytes);
      verdicts[judge(place.directory, at)] += 1;
    }
    expect(verdicts.isolated).toBeGreaterThan(0);
    expect(verdicts.refused).toBeGreaterThan(0);
  });
});

/** Opens without a thread, to try many. */
function judge(directory: string, at: number): "refused" | "isolated" | "harmless" {
  let file: CheckpointFile | undefined;
  try {
    file = new CheckpointFile({ directory, ballastBytes: 0 });
    const builder = new ContentsBuilder(file.path);
    let seal = NO_ROWS;
    for (const table of TABLES) {
      for (const row of file.rows(table)) {
        seal = addToSeal(seal, 1, row.crc);
        if (row.sound) builder.add(table, [row.key, row.value]);
        else builder.refuse(table, row.key, "checksum");
      }
    }
    const { records, damaged } = builder.finish(file.header(), seal);
    expect(records.volumes.size + damaged.length, `volumes after a flip at ${at}`).toBe(VOLUMES);
    for (const volume of records.volumes.values()) expect(volume).toEqual(sampleVolume(volume.revision));
    return damaged.length > 0 ? "isolated" : "harmless";
  } catch (error) {
    expect(codeOf(error), `the refusal of a flip at ${at}: ${String(error)}`).toBe("damaged");
    return "refused";
  } finally {
    file?.close();
  }
}
