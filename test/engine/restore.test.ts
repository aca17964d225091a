import { describe, expect, test } from "vitest";
import type { Incarnation, Principal, Role, VolumeId } from "../../src/domain/units.ts";
import { disk, reservedFor } from "../domain/world.ts";
import {
  ADS,
  BROKEN,
  creating,
  destroying,
  gateAt,
  OPS,
  outcomeOf,
  PEER,
  type Rig,
  type RigOptions,
  refusalOf,
  reserving,
  settle,
  startRig,
  wanted,
} from "./rig.ts";

const DB = { role: "ads" as Role, id: "db" as VolumeId };
const AS_OLD = { ...DB, as: "old" as VolumeId };

/** A volume `db` that was written to and destroyed, on a node of 1000 MB. */
async function retained(options: RigOptions = {}): Promise<{ rig: Rig; uuid: Incarnation }> {
  const rig = await startRig(options);
  const { uuid } = await rig.create("db");
  rig.disk.fill(uuid);
  await rig.destroy("db");
  return { rig, uuid };
}

const unreserve = (rig: Rig, sizeMb = 100) => rig.perform({ type: "UNRESERVE", resources: [disk(sizeMb, ADS)] });

describe("restore", () => {
  test("that fails when the directory was moved already leaves it in trash, at once", async () => {
    const { rig, uuid } = await retained();
    const restore = rig.disk.restore.bind(rig.disk);
    rig.disk.restore = async (volume) => {
      await restore(volume);
      throw BROKEN;
    };
    expect(await outcomeOf(rig.engine.restore(PEER, DB))).not.toBe("done");
    expect(rig.disk.examineTrash(uuid).state).toBe("present");
  });

  test("a volume that nobody knows is refused", async () => {
    const { rig } = await retained();
    const missing = { role: "ads" as Role, id: "none" as VolumeId };
    expect(await outcomeOf(rig.engine.restore(PEER, missing))).toBe("no_such_volume");
    const uuid = "00000000-0000-4000-8000-00000000dead" as Incarnation;
    expect(await outcomeOf(rig.engine.restore(PEER, { uuid }))).toBe("no_such_volume");
  });

  test("a live volume is refused", async () => {
    const { rig, uuid } = await retained();
    await rig.engine.restore(PEER, DB);
    expect(await outcomeOf(rig.engine.restore(PEER, { uuid }))).toBe("duplicate_volume");
  });

  test("a name that a live volume has is refused, and another id is taken", async () => {
    const { rig, uuid } = await retained();
    await rig.create("db");
    expect((await refusalOf(rig.engine.restore(PEER, DB))).code).toBe("duplicate_volume");
    const view = await rig.engine.restore(PEER, AS_OLD);
    expect(view).toMatchObject({ state: "detached", volume: { uuid, id: "old" } });
    expect(rig.disk.link({ role: DB.role, id: AS_OLD.as })).toBe(uuid);
    expect(rig.disk.link(DB)).toBe((await rig.live("db")).uuid);
  });

  test("is refused while the directory is still on its way to trash", async () => {
    const { rig } = await retained();
    await rig.create("logs");
    rig.disk.failNext("drop", BROKEN);
    await rig.destroy("logs");
    const logs = (await rig.view("logs")).volume;
    expect(await outcomeOf(rig.engine.restore(PEER, { uuid: logs.uuid }))).toBe("busy");
  });

  test("takes the role's reserved disk", async () => {
    const { rig, uuid } = await retained();
    const view = await rig.engine.restore(PEER, DB);
    expect(view).toMatchObject({ state: "detached", volume: { uuid, phase: "live" } });
    expect(rig.disk.examine(uuid).state).toBe("present");
    expect(rig.disk.files(uuid)).toBe(1);
    expect(rig.disk.link(DB)).toBe(uuid);
    expect((await rig.engine.resources(PEER)).resources.map(({ size }) => size)).toEqual([900_000, 100_000]);
  });

  test("takes unreserved disk where the reservation was given up", async () => {
    const { rig } = await retained();
    await unreserve(rig);
    expect(await outcomeOf(rig.engine.restore(PEER, DB))).toBe("done");
    const { resources } = await rig.engine.resources(PEER);
    expect(resources.map(({ size }) => size)).toEqual([900_000, 100_000]);
  });

  test("takes from unreserved disk what the reservation lacks", async () => {
    const { rig } = await retained();
    await unreserve(rig, 60);
    await rig.engine.restore(PEER, DB);
    const { resources } = await rig.engine.resources(PEER);
    expect(resources.map(({ size }) => size)).toEqual([900_000, 100_000]);
  });

  test("is insufficient, with the figures, when the disk has been taken", async () => {
    const { rig, uuid } = await retained();
    await rig.create("big", { sizeMb: 870 });
    await unreserve(rig, 30);
    await rig.perform({ type: "RESERVE", resources: [disk(60, [reservedFor("eng")])] });
    const refusal = await refusalOf(rig.engine.restore(PEER, DB));
    expect(refusal).toMatchObject({ code: "insufficient", details: { wantedMb: 100, freeMb: 70 } });
    expect(rig.disk.examineTrash(uuid).state).toBe("present");
    expect(await rig.states()).toContain("db retained");
  });

  test("takes no new reservation on a disk that takes none", async () => {
    const { rig } = await retained();
    await unreserve(rig);
    rig.disk.capacity = { totalBytes: 2 ** 20, freeBytes: 2 ** 10 };
    await rig.engine.reconcile();
    expect(await outcomeOf(rig.engine.restore(PEER, DB))).toBe("insufficient");
    await rig.engine.reconcile();
  });

  test("the newest of several incarnations is meant, an older one by its uuid", async () => {
    const { rig, uuid: older } = await retained();
    rig.clock.advance(1_000);
    await rig.perform(creating("db"));
    const newer = (await rig.live("db")).uuid;
    await rig.destroy("db");
    expect((await rig.engine.restore(PEER, DB)).volume.uuid).toBe(newer);
    expect((await rig.engine.restore(PEER, { uuid: older, as: AS_OLD.as })).volume.uuid).toBe(older);
  });

  test("the newest is the one that was destroyed last, also when the clock was set back in between", async () => {
    const { rig } = await retained();
    rig.clock.jump(-86_400_000);
    rig.clock.advance(1_000);
    await rig.perform(creating("db"));
    const { uuid: newest } = await rig.live("db");
    await rig.destroy("db");
    expect((await rig.engine.restore(PEER, DB)).volume.uuid).toBe(newest);
  });

  test("twice at once restores once", async () => {
    const { rig } = await retained();
    const outcomes = await Promise.all([1, 2].map(() => outcomeOf(rig.engine.restore(PEER, DB))));
    expect(outcomes).toEqual(["done", "duplicate_volume"]);
  });

  test("a directory that cannot be moved back leaves the volume retained", async () => {
    const { rig } = await retained();
    rig.disk.failNext("restore", BROKEN);
    expect(await outcomeOf(rig.engine.restore(PEER, DB))).toBe("internal");
    expect(await rig.states()).toEqual(["db retained"]);
  });

  test("its label is written and synced", async () => {
    const { rig, uuid } = await retained();
    const { volume } = await rig.engine.restore(PEER, AS_OLD);
    expect(rig.disk.label(uuid)).toEqual(volume);
    await rig.syncLabels();
    await rig.powerCut();
    expect(rig.disk.label(uuid)).toEqual(volume);
  });
});

describe("restore whose commit fails", () => {
  test("puts the directory back into trash", async () => {
    const { rig, uuid } = await retained();
    rig.store.failCommit(1);
    expect(await outcomeOf(rig.engine.restore(PEER, AS_OLD))).toBe("unavailable");
    expect(rig.disk.examineTrash(uuid).state).toBe("present");
    expect(await rig.states()).toEqual(["db retained"]);
  });

  test("leaves no symlink", async () => {
    const { rig } = await retained();
    rig.store.failCommit(1);
    await outcomeOf(rig.engine.restore(PEER, AS_OLD));
    expect(rig.disk.link({ role: DB.role, id: AS_OLD.as })).toBeUndefined();
    expect(rig.disk.link(DB)).toBeUndefined();
  });

  test("is answered with why, though the directory cannot be put back; the reconcile does it", async () => {
    const { rig, uuid } = await retained();
    rig.store.failCommit(1);
    rig.disk.failNext("drop", BROKEN);
    expect(await outcomeOf(rig.engine.restore(PEER, DB))).toBe("unavailable");
    await rig.engine.reconcile();
    expect(rig.disk.examineTrash(uuid).state).toBe("present");
  });

  test("leaves the directory where it is when the store kept the commit after all", async () => {
    const { rig, uuid } = await retained();
    const commit = rig.store.commit;
    rig.store.commit = async (changes, options) => {
      await commit(changes, options);
      rig.store.commit = commit;
      rig.store.failCommit(1);
      await commit([], { durable: false });
    };
    expect(await outcomeOf(rig.engine.restore(PEER, DB))).toBe("unavailable");
    expect(await rig.states()).toEqual(["db detached"]);
    expect(rig.disk.examine(uuid).state).toBe("present");
  });
});

describe("restore beside the reconcile", () => {
  test("a reconcile does not take away what is being moved back", async () => {
    const { rig, uuid } = await retained();
    const gate = gateAt("sync");
    const restore = rig.disk.restore.bind(rig.disk);
    rig.disk.restore = async (volume) => {
      await restore(volume);
      await gate.pause("sync");
    };
    gate.shut();
    const restoring = rig.engine.restore(PEER, DB);
    await settle();
    const reconciling = rig.engine.reconcile();
    await settle();
    gate.open();
    await Promise.all([restoring, reconciling]);
    expect(await rig.states()).toEqual(["db detached"]);
    expect(rig.disk.examine(uuid).state).toBe("present");
  });

  test("a reconcile that finishes a destroy does not take away what was restored meanwhile", async () => {
    const gate = gateAt("drop");
    const rig = await startRig({ disk: { pause: gate.pause } });
    const { uuid } = await rig.create("db");
    gate.shut();
    const first = rig.destroy("db");
    await settle();
    const openFirst = gate.open;
    const drop = rig.disk.drop.bind(rig.disk);
    const second = gateAt("drop");
    second.shut();
    rig.disk.drop = async (volume) => {
      await second.pause("drop");
      await drop(volume);
    };
    const reconciling = rig.engine.reconcile();
    await settle();
    openFirst();
    await first;
    const restoring = outcomeOf(rig.engine.restore(PEER, DB));
    await settle();
    second.open();
    await Promise.all([restoring, reconciling]);
    expect(await rig.states()).toEqual(["db detached"]);
    expect(rig.disk.examine(uuid).state).toBe("present");
  });
});

describe("restore under ACLs", () => {
  test("needs to create volumes of the role, before everything about the node", async () => {
    const { rig } = await retained();
    rig.setAcls({ permissive: false });
    const none = { role: "ads" as Role, id: "none" as VolumeId };
    expect(await outcomeOf(rig.engine.restore(OPS, none))).toBe("forbidden");
    expect(await outcomeOf(rig.engine.restore(OPS, DB))).toBe("forbidden");
    const uuid = "00000000-0000-4000-8000-00000000dead" as Incarnation;
    expect(await outcomeOf(rig.engine.restore(OPS, { uuid }))).toBe("forbidden");
  });

  test("needs to reserve where it takes unreserved disk", async () => {
    const { rig } = await retained();
    rig.setAcls({ reserve_resources: [{ principals: { values: ["ops"] }, roles: { type: "NONE" } }] });
    expect(await outcomeOf(rig.engine.restore(OPS, DB))).toBe("done");
    await rig.destroy("db");
    await unreserve(rig);
    expect(await outcomeOf(rig.engine.restore(OPS, DB))).toBe("forbidden");
  });

  test("keeps the creator", async () => {
    const rig = await startRig();
    await rig.engine.perform(OPS, [reserving(100), creating("db")]);
    await rig.engine.perform(OPS, [destroying("db")]);
    const { volume } = await rig.engine.restore(PEER, DB);
    expect(volume.principal).toBe("ops" as Principal);
  });
});

describe("restored volumes", () => {
  test("can be attached, with their content", async () => {
    const { rig, uuid } = await retained();
    await rig.engine.restore(PEER, DB);
    await rig.attach({ volumes: [wanted("db")] });
    expect(rig.mounter.places()).toEqual(["/sandbox/data"]);
    expect(rig.disk.files(uuid)).toBe(1);
  });
});
