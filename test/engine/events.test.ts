import { describe, expect, it } from "vitest";
import type { EventFilter, NodeEvent } from "../../src/domain/event.ts";
import { type Actor, actorName } from "../../src/domain/operation.ts";
import type { Principal, Role, VolumeId } from "../../src/domain/units.ts";
import { disk } from "../domain/world.ts";
import { creating, OPS, outcomeOf, PEER, type Rig, reserving, settle, startRig, wanted } from "./rig.ts";

const ROOT = actorName(PEER);
const ADS_ROLE = "ads" as Role;
const DB = "db" as VolumeId;
const GUEST: Actor = { kind: "principal", principal: "guest" as Principal };
/** Only `ops` sees anything. */
const OPS_ONLY = {
  permissive: true,
  view_roles: [
    { principals: { values: ["ops"] }, roles: { type: "ANY" } },
    { principals: { type: "ANY" }, roles: { type: "NONE" } },
  ],
};

/** What is kept, one line an event: `attached db by uid:0(root): at data`. */
function kept(rig: Rig, from = 0): string[] {
  return rig.trail.kept.slice(from).map(line);
}

function line({ type, id, by, message }: NodeEvent): string {
  return (
    [type, id, `by ${by}`].filter((part) => part !== undefined).join(" ") +
    (message === undefined ? "" : `: ${message}`)
  );
}

async function told(rig: Rig, actor: Actor, filter: EventFilter = {}): Promise<string[]> {
  return (await rig.engine.events(actor, filter)).events.map(line);
}

describe("the audit trail", () => {
  it("has no event of what was refused, or not committed", async () => {
    const rig = await startRig();
    await rig.create("db");
    const before = rig.trail.kept.length;
    expect(await outcomeOf(rig.perform(creating("db")))).toBe("duplicate_volume");
    rig.store.failCommit(1);
    expect(await outcomeOf(rig.perform(reserving(10)))).not.toBe("done");
    await rig.engine.perform(PEER, [reserving(10)], { dryRun: true });
    expect(rig.trail.kept).toHaveLength(before);
  });

  it("says who asked for what, through a volume's life", async () => {
    const rig = await startRig();
    await rig.create("db");
    await rig.attach({ volumes: [wanted("db")] });
    await rig.detach();
    await rig.engine.mark(OPS, { role: ADS_ROLE, id: DB, mark: "protect" });
    await rig.engine.mark(OPS, { role: ADS_ROLE, id: DB, mark: "unprotect" });
    await rig.engine.describe(OPS, { role: ADS_ROLE, id: DB, description: "clicks" });
    await rig.destroy("db");
    await rig.engine.restore(OPS, { role: ADS_ROLE, id: DB });
    await rig.destroy("db");
    const [view] = await rig.engine.volumes(PEER);
    await rig.engine.collect(OPS, { dryRun: false, uuids: view === undefined ? [] : [view.volume.uuid] });
    expect(kept(rig)).toEqual([
      `reserved by ${ROOT}`,
      `created db by ${ROOT}`,
      `attached db by ${ROOT}: at data`,
      `detached db by ${ROOT}: at data`,
      "protected db by ops",
      "unprotected db by ops",
      "described db by ops: clicks",
      `destroyed db by ${ROOT}`,
      "restored db by ops",
      `destroyed db by ${ROOT}`,
      "collected db by ops",
    ]);
  });

  it("says why the daemon did something by itself", async () => {
    const rig = await startRig();
    await rig.create("db");
    await rig.attach({ volumes: [wanted("db")] });
    const before = rig.trail.kept.length;
    await rig.reboot();
    expect(kept(rig, before)).toEqual(["detached db by holdfast: at data: the machine was rebooted"]);
  });

  it("has one event when a volume is found damaged, and one when it is whole again", async () => {
    const rig = await startRig();
    const { uuid } = await rig.create("db");
    const before = rig.trail.kept.length;
    rig.disk.lose(uuid);
    await rig.engine.reconcile();
    await rig.engine.reconcile();
    const events = rig.trail.kept.slice(before);
    expect(events).toMatchObject([{ type: "damaged", by: "holdfast", role: "ads", id: "db", uuid }]);
    expect(events[0]?.message).toContain("is missing");
  });

  it("shows in the status that it is not kept", async () => {
    const rig = await startRig();
    rig.trail.problem = "The audit trail is not kept";
    expect((await rig.engine.status(PEER)).problems).toContain("The audit trail is not kept");
  });

  it("is shown by filter, newest last", async () => {
    const rig = await startRig();
    await rig.create("db");
    await rig.create("web");
    await rig.engine.mark(OPS, { role: ADS_ROLE, id: DB, mark: "protect" });
    expect(await told(rig, PEER, { role: ADS_ROLE, id: DB })).toEqual([`created db by ${ROOT}`, "protected db by ops"]);
    expect(await told(rig, PEER, { by: "ops" })).toEqual(["protected db by ops"]);
    const { events, last } = await rig.engine.events(PEER, { limit: 1 });
    expect(events.map(({ seq }) => seq)).toEqual([last]);
  });

  it("hides what belongs to a role that may not be viewed", async () => {
    const rig = await startRig();
    await rig.create("db");
    rig.setAcls(OPS_ONLY);
    expect(await told(rig, OPS)).toHaveLength(2);
    expect(await told(rig, GUEST)).toEqual([]);
    const seen: NodeEvent[] = [];
    rig.engine.follow(GUEST, { after: 0 }, (event) => void seen.push(event));
    await rig.create("web");
    await settle();
    expect(seen).toEqual([]);
  });
});

describe("following the trail", () => {
  it("tells everything behind a number in order, and then what happens, once", async () => {
    const rig = await startRig();
    await rig.create("one");
    const seen: number[] = [];
    const end = rig.engine.follow(PEER, { after: 1 }, ({ seq }) => void seen.push(seq));
    await rig.create("two");
    await settle();
    expect(seen).toEqual([2, 3, 4]);
    end();
    await rig.create("three");
    await settle();
    expect(seen).toEqual([2, 3, 4]);
  });

  it("begins now behind a number that this trail never gave: it is another trail's", async () => {
    const rig = await startRig();
    const seen: number[] = [];
    rig.engine.follow(PEER, { after: 1_000 }, ({ seq }) => void seen.push(seq));
    await rig.create("one");
    await settle();
    expect(seen).toEqual([1, 2]);
  });

  it("begins now without a number, and tells only what is wanted", async () => {
    const rig = await startRig();
    await rig.create("one");
    const seen: string[] = [];
    rig.engine.follow(PEER, { type: "created" }, ({ id }) => void seen.push(id ?? ""));
    await rig.create("two");
    await settle();
    expect(seen).toEqual(["two"]);
  });

  it("waits for a slow listener without holding anybody up, and tells him all that he missed", async () => {
    const rig = await startRig({ declared: [disk(5_000)] });
    const gate = Promise.withResolvers<void>();
    const seen: number[] = [];
    rig.engine.follow(PEER, { after: 0 }, async ({ seq }) => {
      await gate.promise;
      seen.push(seq);
    });
    // Far more than is kept in memory for those who are close behind.
    for (let count = 0; count < 2_500; count += 1) await rig.perform(reserving(1));
    expect(seen).toEqual([]);
    gate.resolve();
    while (seen.length < 2_500) await settle();
    expect(seen).toEqual(Array.from({ length: 2_500 }, (_, index) => index + 1));
  });

  it("ends with the engine, and when its listener fails", async () => {
    const rig = await startRig();
    const ends: string[] = [];
    rig.engine.follow(
      PEER,
      {},
      () => {},
      () => void ends.push("stopped"),
    );
    rig.engine.follow(
      PEER,
      {},
      () => Promise.reject(new Error("gone")),
      () => void ends.push("failed"),
    );
    await rig.create("one");
    await settle();
    expect(ends).toEqual(["failed"]);
    await rig.engine.stop();
    await settle();
    expect(ends).toEqual(["failed", "stopped"]);
  });
});

describe("a volume that is nearly full", () => {
  it("is warned of once, and again only after it had room in between", async () => {
    const rig = await startRig({ disk: { enforcement: "project-quota" } });
    const { uuid } = await rig.create("db");
    const before = rig.trail.kept.length;
    const passWith = async (usedMb: number): Promise<readonly string[]> => {
      rig.disk.use(uuid, usedMb * 1024 * 1024);
      return (await rig.engine.status(PEER)).notices;
    };
    expect(await passWith(89)).toEqual([]);
    expect(await passWith(91)).toEqual(["Nearly full: ads/db (91 %): grow them, or make room in them"]);
    expect(await passWith(95)).toHaveLength(1);
    expect(await passWith(87)).toHaveLength(1);
    expect(await passWith(84)).toEqual([]);
    expect(await passWith(92)).toHaveLength(1);
    expect(kept(rig, before)).toEqual([
      "nearly-full db by holdfast: 91 % of its size is used",
      "nearly-full db by holdfast: 92 % of its size is used",
    ]);
  });
});

describe("Engine.describe", () => {
  const describeDb = (rig: Rig, actor: Actor, change: object) =>
    rig.engine.describe(actor, { role: ADS_ROLE, id: DB, ...change });

  it("refuses whoever may not create volumes of the role, before it says whether there is one", async () => {
    const rig = await startRig();
    rig.setAcls({ permissive: false });
    expect(await outcomeOf(describeDb(rig, GUEST, { description: "x" }))).toBe("forbidden");
    expect(await outcomeOf(describeDb(rig, PEER, { description: "x" }))).toBe("no_such_volume");
  });

  it("sets, keeps and takes away, through destroy and restart", async () => {
    const rig = await startRig();
    await rig.create("db");
    const labels = [{ key: "team", value: "ads" }];
    await describeDb(rig, PEER, { description: "clicks", labels });
    const view = await describeDb(rig, PEER, { description: "clicks, ask Ada" });
    expect(view.volume.note).toEqual({ description: "clicks, ask Ada", labels });
    await rig.destroy("db");
    expect((await describeDb(rig, PEER, { labels: null })).volume.note).toEqual({ description: "clicks, ask Ada" });
    await rig.restart();
    expect((await rig.view("db")).volume.note).toEqual({ description: "clicks, ask Ada" });
    expect((await describeDb(rig, PEER, { description: null })).volume).not.toHaveProperty("note");
  });
});
