import { describe, expect, test } from "vitest";
import { HoldfastError } from "../../src/domain/error.ts";
import type { Actor, Operation } from "../../src/domain/operation.ts";
import type { DiskSource } from "../../src/domain/resource.ts";
import type { Principal } from "../../src/domain/units.ts";
import { disk, mb, reservedFor, volume } from "../domain/world.ts";
import { createFailingStore } from "../fakes/failing-store.ts";
import { MemoryDisk } from "../fakes/memory-disk.ts";
import {
  ADS,
  BROKEN,
  creating,
  destroying,
  gateAt,
  OPS,
  outcomeOf,
  PEER,
  Rig,
  refusalOf,
  reserving,
  settle,
  startRig,
  WEB,
  wanted,
} from "./rig.ts";

const EVE: Actor = { kind: "principal", principal: "eve" as Principal };
const FAST: DiskSource = { type: "PATH", root: "/fast" };

async function totalMb(rig: Rig): Promise<number> {
  const { resources } = await rig.engine.resources(PEER);
  return resources.reduce((sum, { size }) => sum + size, 0) / 1000;
}

describe("perform", () => {
  test("what was answered survives a power cut", async () => {
    const rig = await startRig();
    const { uuid } = await rig.create("db");
    await rig.powerCut();
    expect((await rig.live("db")).uuid).toBe(uuid);
    await rig.destroy("db");
    await rig.powerCut();
    expect(await rig.states()).toEqual(["db retained"]);
  });

  test("is unavailable before recovery is through", async () => {
    const rig = new Rig();
    expect(await outcomeOf(rig.perform(reserving(10)))).toBe("unavailable");
  });

  test("is unavailable, and changes nothing, on a store that always fails", async () => {
    const rig = await startRig();
    rig.useStore(createFailingStore());
    await rig.engine.start();
    expect(await outcomeOf(rig.perform(reserving(10)))).toBe("unavailable");
    expect(await outcomeOf(rig.engine.resources(PEER))).toBe("unavailable");
  });

  test("a failed commit leaves nothing, and the next call sees the store's truth", async () => {
    const rig = await startRig();
    rig.store.failCommit(1);
    expect(await outcomeOf(rig.perform(reserving(100), creating("db")))).toBe("unavailable");
    expect(await rig.states()).toEqual([]);
    await rig.create("db");
    expect(await rig.states()).toEqual(["db detached"]);
  });

  test("nothing is answered or listed before its commit", async () => {
    const rig = await startRig();
    const release = rig.store.hold();
    const seen: string[] = [];
    const performing = rig.create("db").then(() => seen.push("answered"));
    await settle();
    const listing = rig.states().then((states) => seen.push(`listed ${states}`));
    await settle();
    expect(seen).toEqual([]);
    release();
    await Promise.all([performing, listing]);
    expect(seen).toContain("listed db detached");
  });

  test("a list is refused as a whole, with the index of the operation that was", async () => {
    const rig = await startRig();
    const refusal = await refusalOf(rig.perform(reserving(150), creating("db"), creating("logs")));
    expect(refusal).toMatchObject({ code: "insufficient", details: { index: 2 } });
    expect((await rig.engine.resources(PEER)).resources).toHaveLength(1);
  });

  test("a refused list gives its directories back", async () => {
    const rig = await startRig();
    await outcomeOf(rig.perform(creating("db")));
    const [first] = await rig.disk.take(1);
    rig.disk.giveBack(first === undefined ? [] : [first]);
    expect(await outcomeOf(rig.perform(creating("db", "logs")))).toBe("insufficient");
    expect((await rig.create("db")).uuid).toBe(first?.uuid);
  });

  test("directories of one disk are given back when those of another cannot be had", async () => {
    const fast = new MemoryDisk({ source: FAST, root: "/fast" });
    const rig = await startRig({ declared: [disk(1_000), disk(1_000, [], FAST)], otherDisks: [fast] });
    const [first] = await rig.disk.take(1);
    rig.disk.giveBack(first === undefined ? [] : [first]);
    fast.failNext("take", BROKEN);
    const both: Operation = {
      type: "CREATE",
      volumes: [volume("db", 100, ADS), volume("logs", 100, ADS, { source: FAST })],
    };
    expect(await outcomeOf(rig.perform(reserving(100), both))).toBe("internal");
    expect((await rig.create("db")).uuid).toBe(first?.uuid);
  });

  test("a disk that this node does not have is unsupported", async () => {
    const rig = await startRig();
    const elsewhere: Operation = { type: "CREATE", volumes: [volume("db", 100, ADS, { source: FAST })] };
    expect(await outcomeOf(rig.perform(elsewhere))).toBe("unsupported");
  });

  test("a directory whose CREATE was not committed never becomes two volumes'", async () => {
    const rig = await startRig();
    rig.store.failCommit(1);
    await outcomeOf(rig.perform(reserving(100), creating("db")));
    const db = await rig.create("db");
    const logs = await rig.create("logs");
    expect(db.uuid).not.toBe(logs.uuid);
  });

  test("neither loses nor invents disk", async () => {
    const rig = await startRig();
    await rig.create("db");
    await rig.perform({
      type: "SHRINK_VOLUME",
      volume: volume("db", 100, ADS),
      subtract: mb(30),
    });
    await rig.perform(destroying("db", 70));
    expect(await totalMb(rig)).toBe(1_000);
  });
});

describe("perform with a dry run", () => {
  test("answers what would happen and changes nothing", async () => {
    const rig = await startRig();
    const record = await rig.engine.perform(PEER, [reserving(100), creating("db")], { dryRun: true });
    expect(record.operations.map(({ type }) => type)).toEqual(["RESERVE", "CREATE"]);
    expect(rig.store.commits.filter(({ changes }) => changes.length > 0)).toEqual([]);
    expect(await rig.states()).toEqual([]);
    await rig.syncLabels();
    expect((await rig.disk.list(() => false)).volumes).toEqual([]);
  });

  test("is refused as the real list would be", async () => {
    const rig = await startRig();
    expect(await outcomeOf(rig.engine.perform(PEER, [creating("db")], { dryRun: true }))).toBe("insufficient");
  });
});

describe("perform with an id", () => {
  const twice = (rig: Rig, operations: readonly Operation[]) =>
    [1, 2].map(() => rig.engine.perform(OPS, operations, { id: "op-1" }));

  test("other content under the same id is refused", async () => {
    const rig = await startRig();
    await rig.engine.perform(OPS, [reserving(10)], { id: "op-1" });
    expect(await outcomeOf(rig.engine.perform(OPS, [reserving(20)], { id: "op-1" }))).toBe("operation_id_reused");
  });

  test("a refusal may be tried again", async () => {
    const rig = await startRig();
    expect(await outcomeOf(rig.engine.perform(PEER, [creating("db")], { id: "op-1" }))).toBe("insufficient");
    await rig.perform(reserving(100));
    expect(await outcomeOf(rig.engine.perform(PEER, [creating("db")], { id: "op-1" }))).toBe("done");
  });

  test("twice at once does it once, and both get the same outcome", async () => {
    const rig = await startRig();
    const [first, second] = await Promise.all(twice(rig, [reserving(100)]));
    expect(second).toEqual(first);
    expect(rig.store.commits.filter(({ changes }) => changes.length > 0)).toHaveLength(1);
  });

  test("twice at once is done by the second when the commit of the first fails", async () => {
    const rig = await startRig();
    rig.store.failCommit(1);
    const outcomes = await Promise.all(twice(rig, [reserving(100)]).map(outcomeOf));
    expect(outcomes).toEqual(["unavailable", "done"]);
    expect((await rig.engine.resources(PEER)).resources).toHaveLength(2);
  });

  test("asked again while the first commit fails, it is done after all", async () => {
    const rig = await startRig();
    const release = rig.store.hold();
    rig.store.failCommit(1);
    const first = outcomeOf(rig.engine.perform(OPS, [reserving(100)], { id: "op-1" }));
    await settle();
    const second = outcomeOf(rig.engine.perform(OPS, [reserving(100)], { id: "op-1" }));
    await settle();
    release();
    expect([await first, await second]).toEqual(["unavailable", "done"]);
    expect(rig.store.contents().records.operations.size).toBe(1);
  });

  test("survives a restart", async () => {
    const rig = await startRig();
    const first = await rig.engine.perform(OPS, [reserving(100)], { id: "op-1" });
    await rig.restart();
    expect(await rig.engine.perform(OPS, [reserving(100)], { id: "op-1" })).toEqual(first);
  });

  test("is each principal's own", async () => {
    const rig = await startRig();
    await rig.engine.perform(OPS, [reserving(100)], { id: "op-1" });
    await rig.engine.perform(EVE, [reserving(200)], { id: "op-1" });
    expect(await rig.engine.operations(EVE)).toHaveLength(1);
    expect(await rig.engine.operations(PEER)).toHaveLength(2);
    expect(await outcomeOf(rig.engine.operation(EVE, "op-2"))).toBe("no_such_operation");
  });

  test("a repeated DESTROY returns its outcome to whoever may destroy only what he created", async () => {
    const rig = await startRig();
    rig.setAcls({
      permissive: false,
      reserve_resources: [{ principals: { type: "ANY" }, roles: { type: "ANY" } }],
      create_volumes: [{ principals: { type: "ANY" }, roles: { type: "ANY" } }],
      destroy_volumes: [{ principals: { values: ["ops"] }, creator_principals: { values: ["ops"] } }],
    });
    await rig.engine.perform(OPS, [reserving(100), creating("db")]);
    const first = await rig.engine.perform(OPS, [destroying("db")], { id: "op-1" });
    expect(await rig.engine.perform(OPS, [destroying("db")], { id: "op-1" })).toEqual(first);
  });

  test("is forgotten after 24 hours, and not before", async () => {
    const rig = await startRig();
    await rig.engine.perform(OPS, [reserving(100)], { id: "op-1" });
    rig.clock.advance(24 * 3_600_000 - 60_000);
    await rig.engine.reconcile();
    expect(await rig.engine.operations(OPS)).toHaveLength(1);
    rig.clock.advance(120_000);
    await rig.engine.reconcile();
    expect(await rig.engine.operations(OPS)).toEqual([]);
  });
});

describe("perform under ACLs", () => {
  const OWN_ONLY = {
    permissive: false,
    reserve_resources: [{ principals: { type: "ANY" }, roles: { type: "ANY" } }],
    create_volumes: [{ principals: { type: "ANY" }, roles: { type: "ANY" } }],
    destroy_volumes: [
      { principals: { values: ["ops"] }, creator_principals: { values: ["ops"] } },
      { principals: { values: ["eve"] }, creator_principals: { values: ["eve"] } },
    ],
  };

  async function opsVolume(): Promise<Rig> {
    const rig = await startRig();
    await rig.engine.perform(OPS, [reserving(100), creating("db")]);
    rig.setAcls(OWN_ONLY);
    return rig;
  }

  test("forbidden comes before everything about the node", async () => {
    const rig = await startRig();
    rig.setAcls({ permissive: false });
    expect(await outcomeOf(rig.engine.perform(EVE, [destroying("nothing")]))).toBe("forbidden");
    expect(await outcomeOf(rig.engine.perform(EVE, [creating("db")]))).toBe("forbidden");
    expect(await outcomeOf(rig.engine.perform(EVE, [reserving(99_999)]))).toBe("forbidden");
  });

  test("forbidden comes before anything is looked at or prepared", async () => {
    const calls: string[] = [];
    const rig = await startRig({ disk: { pause: async (call) => void calls.push(call) } });
    await rig.create("db");
    rig.setAcls({ permissive: false });
    calls.length = 0;
    const looks = rig.holders.looks;
    expect(await outcomeOf(rig.engine.perform(EVE, [destroying("db"), creating("db")]))).toBe("forbidden");
    expect([rig.holders.looks, calls]).toEqual([looks, []]);
  });

  test("the stored creator decides, whoever the request names", async () => {
    const rig = await opsVolume();
    const pretending = volume("db", 100, [reservedFor("ads", "ops")]);
    const spec = pretending.volume;
    if (spec === undefined) throw new Error("no volume");
    const forged: Operation = {
      type: "DESTROY",
      volumes: [{ ...pretending, volume: { ...spec, principal: "eve" as Principal } }],
    };
    expect(await outcomeOf(rig.engine.perform(EVE, [forged]))).toBe("forbidden");
  });

  test("what is authorised is what is destroyed, though another volume took its name meanwhile", async () => {
    const rig = await startRig();
    await rig.engine.perform(EVE, [reserving(100), creating("db")]);
    rig.setAcls(OWN_ONLY);
    const look = slowLook(rig);
    const late = outcomeOf(rig.engine.perform(EVE, [{ type: "DESTROY", volumes: [eves(100)] }]));
    await settle();
    look.isFast();
    await rig.perform({ type: "DESTROY", volumes: [eves(100)] });
    await rig.engine.perform(OPS, [{ type: "CREATE", volumes: [eves(100)] }]);
    look.end();
    expect(await late).toBe("forbidden");
    expect(await rig.states()).toContain("db detached");
  });

  const eves = (sizeMb: number) => volume("db", sizeMb, [reservedFor("ads", "eve")]);

  test("the creator is the authenticated principal", async () => {
    const rig = await opsVolume();
    expect(await rig.live("db")).toMatchObject({ principal: "ops", createdBy: "ops" });
    expect(await outcomeOf(rig.engine.perform(OPS, [destroying("db")]))).toBe("done");
  });
});

describe("perform DESTROY", () => {
  test("an attached volume is in use", async () => {
    const rig = await startRig();
    await rig.create("db");
    await rig.attach({ volumes: [wanted("db")] });
    const refusal = await refusalOf(rig.destroy("db"));
    expect(refusal.code).toBe("in_use");
    expect(refusal.message).toContain("container web");
  });

  test("a volume that another mount namespace holds is in use, and the holder is named", async () => {
    const rig = await startRig();
    const { uuid } = await rig.create("db");
    rig.holders.holdElsewhere(uuid, 4711);
    const refusal = await refusalOf(rig.destroy("db"));
    expect(refusal.code).toBe("in_use");
    expect(refusal.message).toContain("4711");
  });

  test("is unavailable while the holders cannot be read", async () => {
    const rig = await startRig();
    await rig.create("db");
    rig.holders.failure = new HoldfastError("unavailable", "Cannot read the mounts of process 17");
    expect(await outcomeOf(rig.destroy("db"))).toBe("unavailable");
    expect(await rig.states()).toEqual(["db detached"]);
  });

  test("a volume that took the name behind the look for holders is not destroyed", async () => {
    const rig = await startRig();
    await rig.create("db");
    const look = slowLook(rig);
    const late = outcomeOf(rig.destroy("db"));
    await settle();
    look.isFast();
    await rig.destroy("db");
    await rig.perform(creating("db"));
    look.end();
    expect(await late).toBe("in_use");
  });

  test("moves the content to trash and keeps it", async () => {
    const rig = await startRig();
    const { uuid } = await rig.create("db");
    rig.disk.fill(uuid);
    await rig.destroy("db");
    expect(await rig.states()).toEqual(["db retained"]);
    expect(rig.disk.examineTrash(uuid).state).toBe("present");
    expect(rig.disk.files(uuid)).toBe(1);
  });

  test("created anew, the volume is another one and empty", async () => {
    const rig = await startRig();
    const old = await rig.create("db");
    rig.disk.fill(old.uuid);
    await rig.perform(destroying("db"), creating("db"));
    const { uuid } = await rig.live("db");
    expect(uuid).not.toBe(old.uuid);
    expect(rig.disk.files(uuid)).toBe(0);
    expect(rig.disk.link(old)).toBe(uuid);
  });

  test("of a volume of the same list leaves nothing live", async () => {
    const rig = await startRig();
    await rig.perform(reserving(100), creating("db"), destroying("db"));
    expect(await rig.states()).toEqual(["db retained"]);
  });

  test("stays destroying when the directory cannot be moved, shows it, and tries again later and later", async () => {
    const rig = await startRig();
    const { uuid } = await rig.create("db");
    rig.disk.failNext("drop", BROKEN);
    rig.disk.failNext("drop", BROKEN);
    await rig.destroy("db");
    expect(await rig.view("db")).toMatchObject({ state: "destroying", problem: expect.stringContaining("tried 1") });
    expect((await rig.engine.status(PEER)).problems).toEqual([expect.stringContaining("Cannot move volume ads/db")]);

    await rig.engine.reconcile();
    expect((await rig.view("db")).problem).toContain("tried 1");
    rig.clock.advance(1_000);
    await rig.engine.reconcile();
    expect((await rig.view("db")).problem).toContain("tried 2");
    rig.clock.advance(1_000);
    await rig.engine.reconcile();
    expect((await rig.view("db")).problem).toContain("tried 2");
    rig.clock.advance(1_000);
    await rig.engine.reconcile();
    expect(await rig.view("db")).toMatchObject({ state: "retained" });
    expect((await rig.view("db")).problem).toBeUndefined();
    expect(rig.disk.examineTrash(uuid).state).toBe("present");
  });

  test("one volume that cannot be moved does not keep the others of its list", async () => {
    const rig = await startRig();
    await rig.create("db");
    await rig.create("logs");
    rig.disk.failNext("drop", BROKEN);
    await rig.perform(destroying("db"), destroying("logs"));
    expect(await rig.states()).toEqual(["db destroying", "logs retained"]);
  });

  test("a damaged volume whose directory is gone is destroyed by forgetting it", async () => {
    const rig = await startRig();
    const { uuid } = await rig.create("db");
    rig.disk.lose(uuid);
    await rig.engine.reconcile();
    expect(await rig.states()).toEqual(["db damaged"]);
    await rig.destroy("db");
    expect(await rig.states()).toEqual([]);
  });

  test("a damaged volume whose directory can be moved after all is retained, and no longer damaged", async () => {
    const rig = await startRig();
    const { uuid } = await rig.create("db");
    rig.disk.occupy(uuid);
    await rig.engine.reconcile();
    expect(await rig.states()).toEqual(["db damaged"]);
    await rig.destroy("db");
    expect((await rig.view("db")).problem).toBeUndefined();
  });

  test("is done when it is committed, also while the store refuses to note that the directory has moved", async () => {
    const rig = await startRig();
    await rig.create("db");
    rig.store.failCommit(2);
    await rig.destroy("db");
    expect(await rig.states()).toEqual(["db destroying"]);
    await rig.engine.reconcile();
    expect(await rig.states()).toEqual(["db retained"]);
  });
});

describe("perform RESERVE", () => {
  test("is refused on a disk that has less than was declared, which starts and says so", async () => {
    const rig = new Rig();
    rig.disk.capacity = { totalBytes: 10 * 2 ** 20, freeBytes: 2 ** 20 };
    await rig.engine.start();
    const refusal = await refusalOf(rig.perform(reserving(1)));
    expect(refusal).toMatchObject({ code: "insufficient" });
    expect((await rig.engine.status(PEER)).problems).toEqual([expect.stringContaining("takes no new reservations")]);
  });

  test("is refused on a disk that cannot be measured, which stops nobody", async () => {
    const rig = new Rig();
    rig.disk.failNext("usage", BROKEN);
    await rig.engine.start();
    expect(await outcomeOf(rig.perform(reserving(1)))).toBe("insufficient");
    await rig.engine.reconcile();
    expect(await outcomeOf(rig.perform(reserving(1)))).toBe("done");
  });
});

describe("stop", () => {
  test("waits for what was begun", async () => {
    const gate = gateAt("attach");
    const rig = await startRig({ mounter: { pause: gate.pause } });
    await rig.create("db");
    gate.shut();
    const attaching = outcomeOf(rig.attach({ volumes: [wanted("db")] }));
    await settle();
    const stopping = rig.engine.stop();
    await settle();
    gate.open();
    expect(await attaching).toBe("done");
    await stopping;
    expect(rig.storedContainer(WEB)?.attachments[0]?.phase).toBe("attached");
  });

  test("unmounts nothing and serves nothing more", async () => {
    const rig = await startRig();
    await rig.create("db");
    await rig.attach({ volumes: [wanted("db")] });
    await rig.engine.stop();
    expect(rig.mounter.places()).toEqual(["/sandbox/data"]);
    expect(await outcomeOf(rig.perform(reserving(1)))).toBe("unavailable");
  });
});

/** A look for holders that takes until it is ended; from `isFast` on, others do not. */
function slowLook(rig: Rig) {
  const gate = gateAt("mounts");
  const mounts = rig.holders.mounts.bind(rig.holders);
  gate.shut();
  rig.holders.mounts = async (...args) => {
    const found = await mounts(...args);
    await gate.pause("mounts");
    return found;
  };
  return {
    isFast: () => {
      rig.holders.mounts = mounts;
    },
    end: gate.open,
  };
}
