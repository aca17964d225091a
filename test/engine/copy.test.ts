import { describe, expect, test } from "vitest";
import type { ContainerId, MilliMb, Role, VolumeId } from "../../src/domain/units.ts";
import type { CopyRequest } from "../../src/engine/engine.ts";
import { MemoryDisk } from "../fakes/memory-disk.ts";
import {
  BROKEN,
  gateAt,
  outcomeOf,
  PEER,
  type Rig,
  type RigOptions,
  refusalOf,
  settle,
  startRig,
  wanted,
} from "./rig.ts";

const ADS = "ads" as Role;

function copyOf(id: string, as: string, rest: Partial<CopyRequest> = {}): CopyRequest {
  return {
    source: { role: ADS, id: id as VolumeId },
    role: ADS,
    id: as as VolumeId,
    snapshot: false,
    ...rest,
  };
}

/** A volume `db` of 100 MB with three files, on a node of 1000 MB. */
async function withVolume(options: RigOptions = {}): Promise<Rig> {
  const rig = await startRig(options);
  const { uuid } = await rig.create("db");
  for (let file = 0; file < 3; file += 1) rig.disk.fill(uuid);
  return rig;
}

/** What nobody waits for is done too. */
async function settleAll(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await settle();
}

async function events(rig: Rig): Promise<readonly string[]> {
  await settle();
  return (await rig.engine.events(PEER, {})).events.map(({ type, id }) => `${type} ${id ?? ""}`.trim());
}

/** Free disk and reservations, MB: what a failed copy must leave as it was. */
async function pools(rig: Rig): Promise<readonly number[]> {
  return (await rig.engine.resources(PEER)).resources
    .filter(({ volume }) => volume === undefined)
    .map(({ size }) => size / 1_000);
}

describe("copy", () => {
  test("of a volume that nobody knows is refused", async () => {
    const rig = await withVolume();
    expect(await outcomeOf(rig.engine.copy(PEER, copyOf("none", "copy")))).toBe("no_such_volume");
    expect(await rig.states()).toEqual(["db detached"]);
  });

  test("needs the right to create in the role, and to view the source, before anything is told", async () => {
    const rig = await withVolume();
    const principal = { kind: "principal", principal: "ops" as never } as const;
    rig.setAcls({ permissive: false, view_roles: [{ principals: { type: "ANY" }, roles: { type: "ANY" } }] });
    expect(await outcomeOf(rig.engine.copy(principal, copyOf("none", "copy")))).toBe("forbidden");
    rig.setAcls({
      permissive: true,
      view_roles: [{ principals: { type: "ANY" }, roles: { type: "NONE" } }],
    });
    expect(await outcomeOf(rig.engine.copy(principal, copyOf("none", "copy")))).toBe("forbidden");
  });

  test("needs room, which it reserves, and is refused with the figures where there is none", async () => {
    const rig = await withVolume();
    const refusal = await refusalOf(rig.engine.copy(PEER, copyOf("db", "copy", { size: 901_000 as MilliMb })));
    expect([refusal.code, refusal.details?.["wantedMb"]]).toEqual(["insufficient", 901]);
    expect(await pools(rig)).toEqual([900]);
  });

  test("of another size than a volume of its name is refused", async () => {
    const rig = await withVolume();
    await rig.engine.copy(PEER, copyOf("db", "copy"));
    expect(await outcomeOf(rig.engine.copy(PEER, copyOf("db", "copy", { size: 200_000 as MilliMb })))).toBe(
      "duplicate_volume",
    );
    expect(await outcomeOf(rig.engine.copy(PEER, copyOf("db", "copy", { snapshot: true })))).toBe("duplicate_volume");
    expect(await outcomeOf(rig.engine.copy(PEER, copyOf("db", "db")))).toBe("duplicate_volume");
  });

  test("is refused when the content is known not to fit, and when that shows on the way", async () => {
    const rig = await withVolume();
    rig.disk.use((await rig.live("db")).uuid, 60 * 2 ** 20);
    const small = copyOf("db", "copy", { size: 50_000 as MilliMb });
    expect(await outcomeOf(rig.engine.copy(PEER, small))).toBe("insufficient");
    await settleAll();
    expect(await rig.states()).toEqual(["db detached"]);
    expect(await pools(rig)).toEqual([900]);
  });

  test("has the content of the source, and is a volume like others", async () => {
    const rig = await withVolume();
    const view = await rig.engine.copy(PEER, copyOf("db", "copy"));
    expect(view).toMatchObject({ state: "detached", volume: { size: 100_000, copyOf: { role: "ads", id: "db" } } });
    expect(view.copying).toBeUndefined();
    expect(rig.disk.files(view.volume.uuid)).toBe(3);
    expect(rig.disk.label(view.volume.uuid)?.copyOf?.id).toBe("db");
    await rig.attach({ volumes: [wanted("copy")] });
    expect(await rig.states()).toEqual(["copy attached", "db detached"]);
    expect(await events(rig)).toEqual(["reserved", "created db", "reserved", "copied copy", "attached copy"]);
  });

  test("takes what its role has free before it reserves", async () => {
    const rig = await withVolume();
    await rig.create("old");
    await rig.destroy("old");
    await rig.engine.copy(PEER, copyOf("db", "copy"));
    expect(await pools(rig)).toEqual([800]);
  });

  test("goes on when the caller waits no longer, says how far it is, and is joined by the same request", async () => {
    const gate = gateAt("copy");
    const rig = await withVolume({ disk: { pause: gate.pause } });
    gate.shut();
    const first = rig.engine.copy(PEER, copyOf("db", "copy", { waitMs: 10 }));
    await settle();
    rig.clock.advance(20);
    expect(await first).toMatchObject({ state: "copying", copying: { copiedBytes: 0 } });
    const joined = rig.engine.copy(PEER, copyOf("db", "copy"));
    await settle();
    gate.open();
    expect((await joined).state).toBe("detached");
    expect((await rig.engine.copy(PEER, copyOf("db", "copy", { waitMs: 10 }))).copying).toBeUndefined();
  });

  test("nothing may be done to it while it is being made, and its source stays", async () => {
    const gate = gateAt("copy");
    const rig = await withVolume({ disk: { pause: gate.pause } });
    gate.shut();
    const copy = rig.engine.copy(PEER, copyOf("db", "copy"));
    await settle();
    expect(await outcomeOf(rig.attach({ volumes: [wanted("copy")] }))).toBe("busy");
    expect(await outcomeOf(rig.destroy("copy"))).toBe("busy");
    expect(await outcomeOf(rig.engine.mark(PEER, { role: ADS, id: "copy" as VolumeId, mark: "protect" }))).toBe("busy");
    expect(await outcomeOf(rig.engine.copy(PEER, copyOf("copy", "again")))).toBe("busy");
    const refusal = await refusalOf(rig.destroy("db"));
    expect([refusal.code, refusal.message]).toEqual(["in_use", expect.stringContaining("ads/copy")]);
    gate.open();
    await copy;
    await rig.destroy("db");
    expect(await rig.states()).toEqual(["copy detached", "db retained"]);
    expect((await rig.engine.copy(PEER, copyOf("db", "copy"))).volume.id).toBe("copy");
  });

  test("that fails leaves nothing, gives back what it reserved, and tells who waits", async () => {
    const rig = await withVolume();
    rig.disk.failNext("copy", BROKEN);
    expect(await outcomeOf(rig.engine.copy(PEER, copyOf("db", "copy")))).toBe("internal");
    await settleAll();
    expect(await rig.states()).toEqual(["db detached"]);
    expect(await pools(rig)).toEqual([900]);
    expect((await rig.engine.copy(PEER, copyOf("db", "copy"))).state).toBe("detached");
  });

  test("that failed when nobody waited tells the next who asks, once", async () => {
    const gate = gateAt("copy");
    const rig = await withVolume({ disk: { pause: gate.pause } });
    gate.shut();
    const left = rig.engine.copy(PEER, copyOf("db", "copy", { waitMs: 10 }));
    await settle();
    rig.clock.advance(20);
    await left;
    rig.disk.failNext("copy", BROKEN);
    gate.open();
    await settleAll();
    expect(await outcomeOf(rig.engine.copy(PEER, copyOf("db", "copy")))).toBe("internal");
    expect(await outcomeOf(rig.engine.copy(PEER, copyOf("db", "copy")))).toBe("done");
  });

  test("that a crash interrupted is thrown away, with its project id and its room, and may be begun again", async () => {
    const gate = gateAt("copy");
    const rig = await withVolume({ disk: { pause: gate.pause, enforcement: "project-quota" } });
    gate.shut();
    void rig.engine.copy(PEER, copyOf("db", "copy")).catch(() => undefined);
    await settle();
    const { uuid } = (await rig.view("copy")).volume;
    await rig.restart();
    await settleAll();
    expect(await rig.states()).toEqual(["db detached"]);
    expect(await pools(rig)).toEqual([900]);
    expect([rig.disk.examine(uuid).state, rig.disk.examineTrash(uuid).state]).toEqual(["missing", "missing"]);
    gate.open();
    expect((await rig.engine.copy(PEER, copyOf("db", "copy"))).state).toBe("detached");
    expect(await events(rig)).not.toContain("collected copy");
  });

  test("is interrupted by a stop, and thrown away by the next start", async () => {
    const gate = gateAt("copy");
    const rig = await withVolume({ disk: { pause: gate.pause } });
    gate.shut();
    const copy = outcomeOf(rig.engine.copy(PEER, copyOf("db", "copy")));
    await settle();
    const stopped = rig.engine.stop();
    gate.open();
    await stopped;
    expect(await copy).toBe("unavailable");
    await rig.restart();
    await settleAll();
    expect(await rig.states()).toEqual(["db detached"]);
  });

  test("that could not be thrown away is by the reconcile", async () => {
    const rig = await withVolume();
    rig.disk.failNext("copy", BROKEN);
    rig.disk.failNext("discardCopy", BROKEN);
    await outcomeOf(rig.engine.copy(PEER, copyOf("db", "copy")));
    expect(await rig.states()).toEqual(["copy copying", "db detached"]);
    expect(await outcomeOf(rig.engine.copy(PEER, copyOf("db", "copy")))).toBe("unavailable");
    await rig.engine.reconcile();
    await settleAll();
    expect(await rig.states()).toEqual(["db detached"]);
  });

  test("that is destroyed as damaged while its disk is away is never restored", async () => {
    const rig = await withVolume();
    rig.disk.failNext("copy", BROKEN);
    rig.disk.failNext("discardCopy", BROKEN);
    await outcomeOf(rig.engine.copy(PEER, copyOf("db", "copy")));
    const { uuid } = await rig.live("copy");
    const { volume } = await rig.view("copy");
    const retained = { ...volume, phase: "retained" } as const;
    await rig.store.commit([{ table: "volumes", key: uuid, value: retained }], { durable: true });
    rig.disk.failNext("discardCopy", BROKEN);
    await rig.restart();
    expect(await outcomeOf(rig.engine.restore(PEER, { uuid }))).toBe("unsupported");
  });

  test("lies on another disk when that is asked for", async () => {
    const other = new MemoryDisk({ source: { type: "PATH", root: "/fast" }, root: "/fast" });
    const { disk } = await import("../domain/world.ts");
    const rig = await withVolume({
      declared: [disk(1_000), { ...disk(500), source: other.source }],
      otherDisks: [other],
    });
    const view = await rig.engine.copy(PEER, copyOf("db", "copy", { disk: other.source }));
    expect([view.volume.source, other.files(view.volume.uuid)]).toEqual([other.source, 3]);
  });

  test("lies on the stack that is asked for, which is reserved for it", async () => {
    const rig = await withVolume();
    const reservations = [{ type: "DYNAMIC", role: ADS, labels: [{ key: "of", value: "copy" }] }] as const;
    const view = await rig.engine.copy(PEER, copyOf("db", "copy", { reservations }));
    expect(view.volume.reservations).toEqual(reservations);
  });
});

describe("a snapshot", () => {
  const SNAPSHOT = copyOf("db", "snap", { snapshot: true });

  test("is never attached nor lent", async () => {
    const rig = await withVolume();
    await rig.engine.copy(PEER, SNAPSHOT);
    expect(await outcomeOf(rig.attach({ volumes: [wanted("snap")] }))).toBe("unsupported");
    const lend = { borrower: "docker" as ContainerId, role: ADS, id: "snap" as VolumeId, runtime: "docker" };
    expect(await outcomeOf(rig.engine.lend(PEER, lend))).toBe("unsupported");
  });

  test("outlives its source, is destroyed and restored as one, and makes a volume again", async () => {
    const rig = await withVolume();
    const { volume } = await rig.engine.copy(PEER, SNAPSHOT);
    await rig.destroy("db");
    await rig.destroy("snap");
    expect(await outcomeOf(rig.engine.restore(PEER, { role: ADS, id: "snap" as VolumeId }))).toBe("done");
    expect((await rig.live("snap")).snapshotOf).toEqual(volume.snapshotOf);
    const back = await rig.engine.copy(PEER, copyOf("snap", "db"));
    expect(rig.disk.files(back.volume.uuid)).toBe(3);
    await rig.attach({ volumes: [wanted("db")] });
    expect(await events(rig)).toContain("snapshot snap");
  });
});

describe("attach with a group", () => {
  test("gives the content to it, and nothing of what is read only", async () => {
    const rig = await withVolume();
    await rig.create("logs");
    await rig.attach({ volumes: [wanted("db"), wanted("logs", { at: "logs", mode: "RO" })], group: 2_000 });
    const groups = await Promise.all(["db", "logs"].map(async (id) => rig.disk.groupOf((await rig.live(id)).uuid)));
    expect(groups).toEqual([2_000, undefined]);
  });

  test("that cannot be given it attaches nothing", async () => {
    const rig = await withVolume();
    rig.disk.failNext("giveToGroup", BROKEN);
    expect(await outcomeOf(rig.attach({ volumes: [wanted("db")], group: 2_000 }))).toBe("internal");
    expect(await rig.states()).toEqual(["db detached"]);
    expect(await rig.attachments()).toEqual([]);
  });
});
