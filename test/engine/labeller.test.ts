import { describe, expect, test } from "vitest";
import type { Role, VolumeId } from "../../src/domain/units.ts";
import { disk, mb, reservedFor, volume } from "../domain/world.ts";
import { ADS, BROKEN, creating, destroying, gateAt, outcomeOf, PEER, reserving, settle, startRig } from "./rig.ts";

const SHRINK = { type: "SHRINK_VOLUME", volume: volume("db", 100, ADS), subtract: mb(10) } as const;

describe("labels", () => {
  test("an operation that is refused or whose commit fails leaves none", async () => {
    const rig = await startRig();
    await outcomeOf(rig.perform(creating("db")));
    rig.store.failCommit(1);
    await outcomeOf(rig.perform(reserving(100), creating("db")));
    expect((await rig.disk.list(() => false)).volumes).toEqual([]);
  });

  test("a label that cannot be written does not fail its operation, and the next start writes it", async () => {
    const rig = await startRig();
    rig.disk.failNext("writeLabel", BROKEN);
    const db = await rig.create("db");
    expect(rig.disk.label(db.uuid)).toBeUndefined();
    await rig.syncLabels();
    await rig.restart();
    await settle();
    expect(rig.disk.label(db.uuid)).toEqual(db);
  });

  test("a label that cannot be written in a start never makes its directory a spare", async () => {
    const rig = await startRig();
    rig.disk.failNext("writeLabel", BROKEN);
    rig.disk.failNext("writeLabel", BROKEN);
    const db = await rig.create("db");
    await rig.restart();
    const logs = await rig.create("logs");
    expect(logs.uuid).not.toBe(db.uuid);
  });

  test("label and symlink are there when CREATE answers", async () => {
    const rig = await startRig();
    const db = await rig.create("db");
    expect(rig.disk.label(db.uuid)).toEqual(db);
    expect(rig.disk.link(db)).toBe(db.uuid);
  });

  test("show the new size when a resize answers", async () => {
    const rig = await startRig();
    const { uuid } = await rig.create("db");
    await rig.perform(SHRINK);
    expect(rig.disk.label(uuid)).toMatchObject({ size: mb(90) });
  });

  test("DESTROY takes the symlink away", async () => {
    const rig = await startRig();
    const db = await rig.create("db");
    await rig.destroy("db");
    expect(rig.disk.link(db)).toBeUndefined();
  });

  test("a volume that is created, resized and destroyed in one list leaves no symlink", async () => {
    const rig = await startRig();
    await rig.perform(reserving(100), creating("db"), SHRINK, destroying("db", 90));
    expect(rig.disk.link({ role: "ads" as Role, id: "db" as VolumeId })).toBeUndefined();
  });
});

describe("labels on disk", () => {
  const written = (rig: Awaited<ReturnType<typeof startRig>>) => {
    const uuids: string[] = [];
    const writeLabel = rig.disk.writeLabel.bind(rig.disk);
    rig.disk.writeLabel = (one) => {
      uuids.push(one.uuid);
      writeLabel(one);
    };
    return uuids;
  };

  test("are noted, so that a start rewrites none", async () => {
    const rig = await startRig();
    await rig.create("db");
    await rig.syncLabels();
    const uuids = written(rig);
    await rig.restart();
    expect(uuids).toEqual([]);
  });

  test("are noted when they were written twice before they were on disk, so that a start rewrites none", async () => {
    const rig = await startRig();
    await rig.create("db");
    await rig.perform(SHRINK);
    await rig.syncLabels();
    const uuids = written(rig);
    await rig.restart();
    expect(uuids).toEqual([]);
  });

  test("are rewritten where the note is missing, and only there", async () => {
    const rig = await startRig();
    await rig.create("db");
    await rig.syncLabels();
    const { uuid } = await rig.create("logs");
    const uuids = written(rig);
    await rig.powerCut();
    expect(uuids).toEqual([uuid]);
    expect(rig.disk.label(uuid)).toBeDefined();
  });

  test("of a volume that was destroyed before its label was on disk are rewritten too", async () => {
    const rig = await startRig();
    const { uuid } = await rig.create("db");
    await rig.destroy("db");
    await rig.powerCut();
    expect(rig.disk.label(uuid)).toMatchObject({ uuid, phase: "retained" });
    expect(rig.disk.link({ role: "ads" as Role, id: "db" as VolumeId })).toBeUndefined();
  });

  test("are not noted when the sync fails", async () => {
    const rig = await startRig();
    rig.disk.failNext("syncLabels", BROKEN);
    const { uuid } = await rig.create("db");
    await rig.syncLabels();
    await rig.perform(reserving(1));
    await rig.powerCut();
    expect(rig.disk.label(uuid)).toBeDefined();
  });

  test("are not noted as long as one before them is missing", async () => {
    const rig = await startRig();
    rig.disk.failNext("writeLabel", BROKEN);
    const { uuid } = await rig.create("db");
    await rig.create("logs");
    await rig.syncLabels();
    await rig.restart();
    await settle();
    expect(rig.disk.label(uuid)).toBeDefined();
  });

  test("are not noted by a sync that began before they were written again", async () => {
    const rig = await startRig();
    const after = gateAt("after");
    const syncLabels = rig.disk.syncLabels.bind(rig.disk);
    rig.disk.syncLabels = async (uuids) => {
      await syncLabels(uuids);
      await after.pause("after");
    };
    const { uuid } = await rig.create("db");
    after.shut();
    await rig.syncLabels();
    rig.store.failCommit(1);
    await outcomeOf(rig.perform(reserving(1)));
    await settle();
    after.open();
    await settle();
    await rig.perform(reserving(1));
    await rig.powerCut();
    expect(rig.disk.label(uuid)).toBeDefined();
  });

  test("never fall behind the volume while a start rewrites them", async () => {
    const rig = await startRig({ declared: [disk(20_000)] });
    const ids = Array.from({ length: 60 }, (_, index) => `v${index}`);
    await rig.perform(reserving(6_000), creating(...ids));
    const last = ids.at(-1) ?? "";
    await rig.restart();
    const named = volume(last, 100, ADS);
    await rig.engine.perform(PEER, [{ type: "SHRINK_VOLUME", volume: named, subtract: mb(10) }]);
    for (let turn = 0; turn < 5; turn += 1) await settle();
    const { uuid, revision } = await rig.live(last);
    expect(rig.disk.label(uuid)?.revision).toBe(revision);
  });
});

describe("the disk's own label", () => {
  test("lists the reservations with the agent's id, and follows them", async () => {
    const rig = await startRig();
    await rig.create("db");
    await rig.syncLabels();
    const sizes = () => rig.disk.nodeLabel?.reservations.map(({ size }) => size);
    expect(rig.disk.nodeLabel?.agentId).toBe(rig.engine.agentId);
    expect(sizes()).toEqual([mb(100)]);
    await rig.perform({ type: "RESERVE", resources: [disk(50, [reservedFor("eng")])] });
    await rig.syncLabels();
    expect(sizes()).toEqual([mb(100), mb(50)]);
  });

  test("that could not be written is written by the next start", async () => {
    const rig = await startRig();
    await rig.syncLabels();
    rig.disk.failNext("writeNodeLabel", BROKEN);
    await rig.perform(reserving(100));
    await rig.syncLabels();
    await rig.restart();
    await rig.syncLabels();
    expect(rig.disk.nodeLabel?.reservations).toHaveLength(1);
  });

  test("is on disk when stop answers", async () => {
    const rig = await startRig();
    await rig.perform(reserving(100));
    await rig.engine.stop();
    expect(rig.disk.nodeLabel?.reservations).toHaveLength(1);
  });
});
