import { describe, expect, test } from "vitest";
import { HoldfastError } from "../../src/domain/error.ts";
import type { Actor } from "../../src/domain/operation.ts";
import type { Volume } from "../../src/domain/records.ts";
import type { Incarnation, Principal, WallMs } from "../../src/domain/units.ts";
import type { CollectRequest, CollectView } from "../../src/engine/engine.ts";
import { disk } from "../domain/world.ts";
import { MemoryDisk } from "../fakes/memory-disk.ts";
import {
  BROKEN,
  GC,
  gateAt,
  outcomeOf,
  PEER,
  type Rig,
  type RigOptions,
  refusalOf,
  settle,
  startRig,
  WEB,
  wanted,
} from "./rig.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const GB = 1024 * 1024 * 1024;
const EVE: Actor = { kind: "principal", principal: "eve" as Principal };
const UNKNOWN = "0b7f2c1e-5d3a-4c55-9a54-1f6f0c7d2e11" as Incarnation;

/** A volume that was destroyed just now. */
async function destroyed(rig: Rig, id: string): Promise<Volume> {
  const volume = await rig.create(id);
  await rig.destroy(id);
  await rig.perform({ type: "UNRESERVE", resources: [disk(100, volume.reservations)] });
  return volume;
}

const gc = (rig: Rig, request: Partial<CollectRequest> = {}, actor = PEER) =>
  rig.engine.collect(actor, { dryRun: false, ...request });

/** Lets time pass, and what it sets off go to its end. */
async function pass(rig: Rig, ms: number): Promise<void> {
  rig.clock.advance(ms);
  for (let turn = 0; turn < 20; turn += 1) await settle();
}

/** The disk is that full: a part of 100 GB. */
function fill(rig: Rig, usage: number): void {
  rig.disk.capacity = { totalBytes: 100 * GB, freeBytes: Math.round((1 - usage) * 100 * GB) };
}

async function stored(rig: Rig, uuid: Incarnation): Promise<Volume | undefined> {
  return (await rig.store.reload()).records.volumes.get(uuid);
}

const idsOf = (views: readonly CollectView[]): readonly string[] => views.map(({ volume }) => volume.id);

async function startEmpty(options: RigOptions = {}): Promise<Rig> {
  const rig = await startRig(options);
  fill(rig, 0);
  return rig;
}

describe("collect by itself", () => {
  test("deletes what is old enough, and nothing before", async () => {
    const rig = await startEmpty();
    const { uuid } = await destroyed(rig, "db");
    await pass(rig, 0.9 * GC.delayMs - GC.intervalMs);
    expect(await rig.states()).toEqual(["db retained"]);
    await pass(rig, 2 * GC.intervalMs);
    expect(await rig.states()).toEqual([]);
    expect(rig.disk.examineTrash(uuid)).toEqual({ state: "missing" });
    expect(await stored(rig, uuid)).toBeUndefined();
  });

  test("commits that it begins, durably, before it deletes anything", async () => {
    const gate = gateAt("purge");
    const rig = await startEmpty({ disk: { pause: gate.pause } });
    const { uuid } = await destroyed(rig, "db");
    gate.shut();
    await pass(rig, GC.delayMs);
    expect(await stored(rig, uuid)).toMatchObject({ phase: "collecting" });
    expect(rig.disk.examineTrash(uuid).state).toBe("present");
    const begun = rig.store.commits.find(({ changes }) =>
      changes.some(({ value }) => value !== undefined && "phase" in value && value.phase === "collecting"),
    );
    expect(begun?.options).toMatchObject({ durable: true, releases: true });
    gate.open();
    await settle();
  });

  test("on a full disk takes the oldest, and only as many as make room", async () => {
    const rig = await startEmpty();
    rig.disk.bytesPerFile = 20 * GB;
    for (const id of ["first", "second", "third"]) {
      rig.disk.fill((await destroyed(rig, id)).uuid);
      await pass(rig, HOUR);
    }
    await pass(rig, DAY);
    expect(await rig.states()).toEqual(["first retained", "second retained", "third retained"]);
    fill(rig, 0.85);
    await pass(rig, GC.intervalMs);
    expect(await rig.states()).toEqual(["second retained", "third retained"]);
  });

  test("a full disk takes nothing that is younger than the least age", async () => {
    const rig = await startEmpty();
    await destroyed(rig, "db");
    fill(rig, 1);
    await pass(rig, GC.minAgeMs - GC.intervalMs);
    expect(await rig.states()).toEqual(["db retained"]);
    await pass(rig, 2 * GC.intervalMs);
    expect(await rig.states()).toEqual([]);
  });

  test("a jump of the wall clock collects nothing", async () => {
    const rig = await startEmpty();
    await destroyed(rig, "db");
    rig.clock.jump(52 * GC.delayMs);
    await pass(rig, 2 * GC.intervalMs);
    expect(await rig.states()).toEqual(["db retained"]);
  });

  test("neither does a jump while the node was off; the age before it counts", async () => {
    const rig = await startEmpty();
    await destroyed(rig, "db");
    for (let hours = 0; hours < 24; hours += 1) await pass(rig, HOUR);
    rig.clock.jump(52 * GC.delayMs);
    await rig.powerCut();
    await pass(rig, DAY);
    expect(await rig.states()).toEqual(["db retained"]);
    await pass(rig, 0.9 * GC.delayMs - 2 * DAY + 2 * HOUR);
    expect(await rig.states()).toEqual([]);
  });

  test("what somebody holds stays, is shown, and goes when it is let go", async () => {
    const rig = await startEmpty();
    const held = await destroyed(rig, "held");
    const sat = await destroyed(rig, "sat");
    await destroyed(rig, "free");
    rig.holders.holdElsewhere(held.uuid);
    rig.holders.sitIn(sat.uuid);
    await pass(rig, GC.delayMs);
    expect(await rig.states()).toEqual(["held retained", "sat retained"]);
    expect((await rig.view("held")).problem).toContain("it is mounted at /data (process 4711");
    expect((await rig.view("sat")).problem).toContain("it is used by process 4712");
    rig.holders.letGo();
    await pass(rig, 6 * 60_000);
    expect(await rig.states()).toEqual([]);
  });

  test("what cannot be ruled out to be held stays", async () => {
    const rig = await startEmpty();
    await destroyed(rig, "db");
    rig.holders.failure = new HoldfastError("unavailable", "Cannot look into process 99");
    await pass(rig, GC.delayMs);
    expect(await rig.states()).toEqual(["db retained"]);
    expect((await rig.view("db")).problem).toContain("Cannot look into process 99");
  });

  test("one that fails is shown and tried again later, and keeps no other waiting", async () => {
    const rig = await startEmpty();
    await destroyed(rig, "bad");
    await destroyed(rig, "good");
    rig.disk.failNext("purge", BROKEN);
    await pass(rig, GC.delayMs);
    expect(await rig.states()).toEqual(["bad collecting"]);
    rig.disk.failNext("purge", BROKEN);
    await pass(rig, GC.intervalMs);
    expect(await rig.states()).toEqual(["bad collecting"]);
    expect((await rig.view("bad")).problem).toMatch(
      /Told to fail by the test \(tried \d+ times, will be tried again\)/,
    );
  });

  test("another directory in its place is left alone", async () => {
    const rig = await startEmpty();
    const { uuid } = await destroyed(rig, "db");
    rig.disk.swap(uuid);
    await pass(rig, GC.delayMs);
    expect(rig.disk.examineTrash(uuid).state).toBe("present");
    expect((await rig.view("db")).problem).toContain("another directory is in its place");
  });

  test("a disk that cannot be measured keeps no other waiting", async () => {
    const other = new MemoryDisk({ source: { type: "PATH", root: "/other" }, root: "/other" });
    other.failAlways(BROKEN);
    const rig = await startEmpty({ otherDisks: [other] });
    await destroyed(rig, "db");
    await pass(rig, GC.delayMs);
    expect(await rig.states()).toEqual([]);
  });

  test("a failed commit deletes nothing, and may be asked for again", async () => {
    const rig = await startEmpty();
    const { uuid } = await destroyed(rig, "db");
    rig.store.failCommit(1);
    const { kept } = await gc(rig, { uuids: [uuid] });
    expect(kept[0]?.reason).toBe("Cannot commit: told to fail by the test");
    expect(rig.disk.examineTrash(uuid).state).toBe("present");
    expect(await rig.states()).toEqual(["db retained"]);
    expect((await gc(rig, { uuids: [uuid] })).kept).toEqual([]);
  });
});

describe("an interrupted collection", () => {
  test("is gone on with by the next start, however young the volume", async () => {
    const gate = gateAt("purge");
    const rig = await startEmpty({ disk: { pause: gate.pause } });
    const { uuid } = await destroyed(rig, "db");
    gate.shut();
    void gc(rig, { uuids: [uuid] });
    for (let turn = 0; turn < 20; turn += 1) await settle();
    expect(await rig.states()).toEqual(["db collecting"]);
    rig.store.powerCut();
    await rig.restart();
    gate.open();
    for (let turn = 0; turn < 20; turn += 1) await settle();
    expect(await rig.states()).toEqual([]);
  });

  test("stays while somebody holds it, and can be neither restored nor attached", async () => {
    const rig = await startEmpty();
    const { uuid } = await destroyed(rig, "db");
    rig.disk.failNext("purge", BROKEN);
    expect((await gc(rig, { uuids: [uuid] })).kept).toHaveLength(1);
    rig.holders.holdElsewhere(uuid);
    await rig.restart();
    await pass(rig, DAY);
    expect(await rig.states()).toEqual(["db collecting"]);
    expect(await outcomeOf(rig.engine.restore(PEER, { uuid }))).toBe("busy");
    expect(await outcomeOf(rig.attach({ volumes: [wanted("db")] }))).toBe("no_such_volume");
  });

  test("stop interrupts what is being deleted, waits for it, and begins nothing more", async () => {
    const gate = gateAt("purge");
    const rig = await startEmpty({ disk: { pause: gate.pause } });
    const first = await destroyed(rig, "first");
    const second = await destroyed(rig, "second");
    gate.shut();
    const asked = gc(rig, { uuids: [first.uuid, second.uuid] });
    for (let turn = 0; turn < 20; turn += 1) await settle();
    const stopped = rig.engine.stop();
    gate.open();
    await stopped;
    expect((await asked).kept).toHaveLength(2);
    await rig.restart();
    await settle();
    expect(await rig.states()).not.toContain("second collecting");
    expect(rig.disk.examineTrash(second.uuid).state).toBe("present");
  });

  test("nothing is collected any more after a stop", async () => {
    const rig = await startEmpty();
    const { uuid } = await destroyed(rig, "db");
    await rig.engine.stop();
    await pass(rig, GC.delayMs);
    expect(rig.disk.examineTrash(uuid).state).toBe("present");
  });
});

describe("collect on request", () => {
  test("takes named ones however young, and leaves the others", async () => {
    const rig = await startEmpty();
    const young = await destroyed(rig, "young");
    await destroyed(rig, "other");
    const { collected, kept } = await gc(rig, { uuids: [young.uuid, young.uuid] });
    expect([idsOf(collected), kept]).toEqual([["young"], []]);
    expect(await rig.states()).toEqual(["other retained"]);
  });

  test("first ends the destruction of a named one that a failure has stopped", async () => {
    const rig = await startEmpty();
    rig.disk.failNext("drop", new Error("No space left on device"));
    const { uuid } = await destroyed(rig, "db");
    expect(await rig.states()).toEqual(["db destroying"]);
    const { collected } = await gc(rig, { uuids: [uuid] });
    expect(idsOf(collected)).toEqual(["db"]);
    expect(await rig.states()).toEqual([]);
  });

  test("keeps a named one whose destruction fails again, with the reason", async () => {
    const rig = await startEmpty();
    const { uuid } = await rig.create("db");
    rig.disk.failAlways(new Error("No space left on device"));
    await rig.destroy("db");
    const { collected, kept } = await gc(rig, { uuids: [uuid] });
    expect(collected).toEqual([]);
    expect(kept[0]?.reason).toContain("it is not in trash yet: Cannot move volume ads/db to trash: No space left");
  });

  test("keeps a named one that is held, with the reason", async () => {
    const rig = await startEmpty();
    const { uuid } = await destroyed(rig, "db");
    rig.holders.holdElsewhere(uuid);
    const { collected, kept } = await gc(rig, { uuids: [uuid] });
    expect([collected, kept[0]?.reason]).toEqual([[], expect.stringContaining("it is mounted at /data")]);
    expect((await rig.view("db")).problem).toBeUndefined();
  });

  test("refuses a live one and an unknown one, and then touches none", async () => {
    const rig = await startEmpty();
    const retained = await destroyed(rig, "old");
    const live = await rig.create("db");
    expect(await outcomeOf(gc(rig, { uuids: [retained.uuid, live.uuid] }))).toBe("in_use");
    expect(await outcomeOf(gc(rig, { uuids: [retained.uuid, UNKNOWN] }))).toBe("no_such_volume");
    expect(await rig.states()).toEqual(["db detached", "old retained"]);
  });

  test("without names takes what is due, and says of the others when they will be", async () => {
    const rig = await startEmpty();
    await destroyed(rig, "old");
    await pass(rig, 0.9 * GC.delayMs - 1_000);
    await destroyed(rig, "young");
    rig.clock.advance(1_000);
    const { collected, kept } = await gc(rig);
    expect(idsOf(collected)).toEqual(["old"]);
    expect(idsOf(kept)).toEqual(["young"]);
    expect(kept[0]).toMatchObject({
      reason: "its time has not come",
      dueAt: (rig.clock.now() + 0.9 * GC.delayMs - 1_000) as WallMs,
    });
  });

  test("a dry run says the same and deletes nothing", async () => {
    const rig = await startEmpty();
    const held = await destroyed(rig, "held");
    const due = await destroyed(rig, "due");
    rig.holders.holdElsewhere(held.uuid);
    rig.clock.advance(10_000);
    const named = await gc(rig, { dryRun: true, uuids: [held.uuid, due.uuid] });
    expect([idsOf(named.collected), idsOf(named.kept)]).toEqual([["due"], ["held"]]);
    fill(rig, 1);
    const young = await gc(rig, { dryRun: true });
    expect([idsOf(young.collected), young.kept.length]).toEqual([[], 2]);
    expect(await rig.states()).toEqual(["due retained", "held retained"]);
  });

  test("a principal needs destroy_volumes on the stored creator, which comes before everything else", async () => {
    const rig = await startEmpty();
    const { uuid } = await destroyed(rig, "db");
    rig.setAcls({
      permissive: false,
      destroy_volumes: [{ principals: { values: ["eve"] }, creator_principals: { values: ["eve"] } }],
      view_roles: [{ principals: { type: "ANY" }, roles: { type: "ANY" } }],
    });
    for (const one of [uuid, UNKNOWN]) {
      const refusal = await refusalOf(gc(rig, { uuids: [one] }, EVE));
      expect([refusal.code, refusal.message]).toEqual(["forbidden", expect.stringContaining("destroy_volumes to eve")]);
    }
    await pass(rig, 0.9 * GC.delayMs - 1_000);
    rig.clock.advance(1_000);
    const { collected, kept } = await gc(rig, {}, EVE);
    expect([collected, kept[0]?.reason]).toEqual([[], "the ACLs do not allow destroy_volumes to eve"]);
    expect(await rig.states()).toEqual(["db retained"]);
  });

  test("does not tell of roles that may not be viewed", async () => {
    const rig = await startEmpty();
    await destroyed(rig, "db");
    rig.setAcls({ permissive: true, view_roles: [{ principals: { type: "ANY" }, roles: { type: "NONE" } }] });
    expect(await gc(rig, { dryRun: true }, EVE)).toEqual({ collected: [], kept: [] });
  });

  test("and a restore at the same time: one of them wins, never half", async () => {
    const rig = await startEmpty();
    const { uuid } = await destroyed(rig, "db");
    rig.disk.fill(uuid);
    const [restored, { collected }] = await Promise.all([
      outcomeOf(rig.engine.restore(PEER, { uuid })),
      gc(rig, { uuids: [uuid] }),
    ]);
    expect([restored === "done", collected.length === 1]).toEqual([true, false]);
    expect(await rig.states()).toEqual(["db detached"]);
    expect(rig.disk.files(uuid)).toBe(1);
  });

  test("the name is free for a new volume meanwhile", async () => {
    const rig = await startEmpty();
    const old = await destroyed(rig, "db");
    const next = await rig.create("db");
    await rig.attach({ volumes: [wanted("db")] });
    await gc(rig, { uuids: [old.uuid] });
    expect(await rig.states()).toEqual(["db attached"]);
    expect(await rig.attachments(WEB)).toEqual(["db at data: attached"]);
    expect((await rig.live("db")).uuid).toBe(next.uuid);
  });
});

describe("a retained volume's view", () => {
  test("says when it is collected by itself, sooner on a fuller disk", async () => {
    const rig = await startEmpty();
    await rig.create("db");
    expect((await rig.view("db")).dueAt).toBeUndefined();
    await rig.destroy("db");
    await rig.engine.reconcile();
    expect((await rig.view("db")).dueAt).toBe(rig.clock.now() + 0.9 * GC.delayMs);
    fill(rig, 0.4);
    await rig.engine.reconcile();
    expect((await rig.view("db")).dueAt).toBe(rig.clock.now() + 0.5 * GC.delayMs);
  });

  test("one that is restored while its collection waits for it has none either", async () => {
    const rig = await startEmpty();
    const { uuid } = await destroyed(rig, "db");
    let restored: Promise<Volume> | undefined;
    rig.holders.afterLook = () => {
      restored ??= rig.engine.restore(PEER, { uuid }).then(({ volume }) => volume);
    };
    await pass(rig, GC.delayMs);
    expect(await restored).toMatchObject({ uuid, phase: "live" });
    expect((await rig.view("db")).problem).toBeUndefined();
  });

  test("a restored one has no failure of a collection any more", async () => {
    const rig = await startEmpty();
    const { uuid } = await destroyed(rig, "db");
    rig.holders.holdElsewhere(uuid);
    await pass(rig, GC.delayMs);
    rig.holders.letGo();
    await rig.engine.restore(PEER, { uuid });
    expect((await rig.view("db")).problem).toBeUndefined();
  });
});
