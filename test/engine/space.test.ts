import { describe, expect, test } from "vitest";
import { HoldfastError } from "../../src/domain/error.ts";
import type { Volume } from "../../src/domain/records.ts";
import { type MilliMb, toBytes } from "../../src/domain/units.ts";
import { disk, mb, volume } from "../domain/world.ts";
import {
  ADS,
  destroying,
  PEER,
  RECONCILE_MS,
  type Rig,
  type RigOptions,
  refusalOf,
  settle,
  startRig,
  wanted,
} from "./rig.ts";

const MB = 1024 * 1024;
const HELD: RigOptions = { disk: { enforcement: "project-quota" } };

const grow = (from: number, by: number) =>
  ({ type: "GROW_VOLUME", volume: volume("db", from, ADS), addition: disk(by, ADS) }) as const;
const shrink = (from: number, by: number) =>
  ({ type: "SHRINK_VOLUME", volume: volume("db", from, ADS), subtract: mb(by) }) as const;

/** Lets the accountant make some passes. */
async function account(rig: Rig, passes = 1): Promise<void> {
  for (let pass = 0; pass < passes; pass += 1) {
    rig.clock.advance(30_000);
    for (let turn = 0; turn < 30; turn += 1) await settle();
  }
}

async function problemsOf(rig: Rig): Promise<readonly string[]> {
  return (await rig.engine.status(PEER)).problems;
}

function limitMb(rig: Rig, { uuid }: Volume): number {
  return (rig.disk.limitOf(uuid) ?? Number.NaN) / MB;
}

describe("a volume on a disk that holds volumes to their sizes", () => {
  test("is held to its size from its creation on", async () => {
    const rig = await startRig(HELD);
    const created = await rig.create("db");
    expect(limitMb(rig, created)).toBe(100);
    expect(rig.disk.write(created.uuid, 101 * MB)).toBe(false);
    expect(await rig.view("db")).toMatchObject({ enforced: true, volume: { projectId: created.projectId } });
  });

  test("has a project id that is its own, recorded and on its label", async () => {
    const rig = await startRig(HELD);
    const [one, two] = [await rig.create("one"), await rig.create("two")];
    expect(one.projectId).toBe(rig.disk.projectOf(one.uuid));
    expect(two.projectId).not.toBe(one.projectId);
    expect(rig.disk.label(one.uuid)?.projectId).toBe(one.projectId);
  });

  test("grows and shrinks while a container has it", async () => {
    const rig = await startRig(HELD);
    const created = await rig.create("db");
    await rig.attach({ volumes: [wanted("db")] });
    await rig.perform({ type: "RESERVE", resources: [disk(50, ADS)] }, grow(100, 50));
    expect(limitMb(rig, created)).toBe(150);
    await rig.perform(shrink(150, 100));
    expect(limitMb(rig, created)).toBe(50);
  });

  test("is not shrunk below what is used, and the refusal has the figures", async () => {
    const rig = await startRig(HELD);
    const created = await rig.create("db");
    rig.disk.use(created.uuid, 60.5 * MB);
    expect(await refusalOf(rig.perform(shrink(100, 40)))).toMatchObject({
      code: "insufficient",
      message: "Cannot shrink volume ads/db to 60 MB: 61 MB of it are used",
      details: { wantedMb: 60, usedMb: 61 },
    });
    expect(limitMb(rig, created)).toBe(100);
    await rig.perform(shrink(100, 39));
    expect(limitMb(rig, created)).toBe(61);
  });

  test("shows what it uses at once", async () => {
    const rig = await startRig(HELD);
    const { uuid } = await rig.create("db");
    rig.disk.use(uuid, 7 * MB);
    expect((await rig.view("db")).usage).toMatchObject({ usedBytes: 7 * MB });
    const { disks } = await rig.engine.status(PEER);
    expect(disks[0]).toMatchObject({ usedByVolumes: 7 * MB, usedByRetained: 0, promised: 93 * MB, unmeasured: 0 });
    await rig.destroy("db");
    expect((await rig.engine.status(PEER)).disks[0]).toMatchObject({ usedByVolumes: 0, usedByRetained: 7 * MB });
  });

  test("is created all the same when the kernel does not take the limit, is shown, and held by the next reconcile", async () => {
    const rig = await startRig(HELD);
    rig.disk.failNext("limit", new HoldfastError("unavailable", "Cannot limit: told to fail"));
    const created = await rig.create("db");
    expect((await rig.view("db")).enforced).toBe(false);
    expect(await problemsOf(rig)).toEqual(["Volume ads/db: it is not held to its size: Cannot limit: told to fail"]);
    await rig.engine.reconcile();
    expect(limitMb(rig, created)).toBe(100);
    expect(await problemsOf(rig)).toEqual([]);
  });

  test("gets its limit back when somebody took it away", async () => {
    const rig = await startRig(HELD);
    const created = await rig.create("db");
    rig.disk.loosen(created.uuid, "its limit is none", "limit");
    rig.clock.advance(RECONCILE_MS);
    await settle();
    expect(limitMb(rig, created)).toBe(100);
    expect((await rig.view("db")).enforced).toBe(true);
  });

  test("that escaped from its quota is shown, and its files are taken into it again", async () => {
    const rig = await startRig(HELD);
    const { uuid } = await rig.create("db");
    rig.disk.loosen(uuid, "its project id is 0", "enlist");
    await rig.engine.reconcile();
    expect(await problemsOf(rig)).toEqual(["Volume ads/db: it is not held to its size: its project id is 0"]);
    await account(rig);
    await rig.engine.reconcile();
    expect(await problemsOf(rig)).toEqual([]);
    expect((await rig.view("db")).enforced).toBe(true);
  });

  test("that was there before quotas were gets a project id, which is recorded before any file has it", async () => {
    const rig = await startRig();
    const { uuid } = await rig.create("db");
    rig.disk.enforcement = { by: "project-quota" };
    rig.disk.unenlist(uuid);
    await rig.restart();
    rig.disk.failNext("enlist", new HoldfastError("unavailable", "Cannot look: told to fail"));
    await account(rig, 2);
    const recorded = (await rig.store.reload()).records.volumes.get(uuid)?.projectId;
    expect(recorded).toBeGreaterThan(0);
    await account(rig, 15);
    expect(rig.disk.projectOf(uuid)).toBe(recorded);
    expect(rig.disk.limitOf(uuid)).toBe(100 * MB);
  });

  test("keeps its project id through destruction and restore, and gives it away with its content", async () => {
    const rig = await startRig(HELD);
    const { uuid, projectId } = await rig.create("db");
    await rig.destroy("db");
    expect(rig.disk.projectOf(uuid)).toBe(projectId);
    await rig.engine.restore(PEER, { uuid });
    expect((await rig.live("db")).projectId).toBe(projectId);
    expect(rig.disk.limitOf(uuid)).toBe(100 * MB);
    await rig.destroy("db");
    await rig.engine.collect(PEER, { dryRun: false, uuids: [uuid] });
    const ids = await Promise.all(["a", "b", "c"].map(async (id) => (await rig.create(id)).projectId));
    expect(new Set(ids).size).toBe(3);
  });

  test("of another directory keeps its project id while the directory is missing", async () => {
    const rig = await startRig(HELD);
    const lost = await rig.create("db");
    rig.disk.lose(lost.uuid);
    await rig.restart();
    const ids = await Promise.all(["a", "b", "c", "d"].map(async (id) => (await rig.create(id)).projectId));
    expect(ids).not.toContain(lost.projectId);
  });
});

describe("a volume on a disk that enforces nothing", () => {
  test("is measured behind everybody else, and shown with that", async () => {
    const rig = await startRig();
    const { uuid } = await rig.create("db");
    rig.disk.use(uuid, 30 * MB);
    expect((await rig.engine.status(PEER)).disks[0]).toMatchObject({ unmeasured: 1 });
    await account(rig);
    expect(await rig.view("db")).toMatchObject({ enforced: false, usage: { usedBytes: 30 * MB } });
    expect((await rig.engine.status(PEER)).disks[0]).toMatchObject({ usedByVolumes: 30 * MB, unmeasured: 0 });
  });

  test("is a problem as soon as it takes more than its size", async () => {
    const rig = await startRig();
    const { uuid } = await rig.create("db");
    rig.disk.use(uuid, 130 * MB);
    await account(rig);
    expect(await problemsOf(rig)).toEqual([
      "Volume ads/db: it takes 130 MB and has 100 MB: grow it, or see to what writes there",
    ]);
  });

  test("is measured again, and not all the time", async () => {
    const rig = await startRig();
    const { uuid } = await rig.create("db");
    await account(rig);
    rig.disk.use(uuid, 30 * MB);
    await account(rig, 2);
    expect((await rig.view("db")).usage?.usedBytes).toBe(0);
    await account(rig, 10);
    expect((await rig.view("db")).usage?.usedBytes).toBe(30 * MB);
  });

  test("that cannot be measured keeps nobody else from it", async () => {
    const rig = await startRig();
    const lost = await rig.create("lost");
    const { uuid } = await rig.create("db");
    rig.disk.lose(lost.uuid);
    rig.disk.use(uuid, 30 * MB);
    await account(rig);
    expect((await rig.view("db")).usage?.usedBytes).toBe(30 * MB);
    expect((await rig.view("lost")).usage).toBeUndefined();
  });
});

describe("a disk with less room than its volumes were promised", () => {
  const GB = 1024 * MB;
  const sizeMb = 4_000;
  const bytes = toBytes((sizeMb * 1_000) as MilliMb);

  /** A live volume and a destroyed one, and so much free. */
  async function startFull(freeBytes: number): Promise<Rig> {
    const rig = await startRig({ ...HELD, declared: [disk(20_000)] });
    rig.disk.capacity = { totalBytes: 100 * GB, freeBytes: 90 * GB };
    await rig.create("db", { sizeMb });
    const { uuid } = await rig.create("old", { sizeMb });
    rig.disk.bytesPerFile = 3 * GB;
    rig.disk.fill(uuid);
    await rig.perform(destroying("old", sizeMb));
    rig.disk.capacity = { totalBytes: 100 * GB, freeBytes };
    return rig;
  }

  test("collects what was destroyed a moment ago, and says so", async () => {
    const rig = await startFull(bytes - 2 * GB);
    await account(rig);
    expect((await problemsOf(rig)).join()).toContain("its volumes may still fill 4000 MB");
    await account(rig, 4);
    expect(await rig.states()).toEqual(["db detached"]);
    expect(await problemsOf(rig)).toEqual([]);
  });

  test("keeps what was destroyed while there is room for what was promised", async () => {
    const rig = await startFull(bytes + GB);
    await account(rig, 4);
    expect(await rig.states()).toEqual(["db detached", "old retained"]);
  });

  test("whose declared size was never there collects nothing early", async () => {
    const rig = await startFull(bytes - 2 * GB);
    rig.disk.capacity = { totalBytes: 5 * GB, freeBytes: 2 * GB };
    await rig.engine.reconcile();
    await account(rig, 4);
    expect(await rig.states()).toEqual(["db detached", "old retained"]);
  });

  test("does not collect what is pinned", async () => {
    const rig = await startFull(bytes - 2 * GB);
    const [old] = (await rig.engine.volumes(PEER, { state: "retained" })).map((view) => view.volume);
    await rig.engine.mark(PEER, { uuid: old?.uuid as Volume["uuid"], mark: "pin" });
    await account(rig, 4);
    expect(await rig.states()).toEqual(["db detached", "old retained"]);
  });
});
