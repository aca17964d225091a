import { describe, expect, test } from "vitest";
import { HoldfastError } from "../../src/domain/error.ts";
import { type DiskSource, ROOT_DISK } from "../../src/domain/resource.ts";
import type { ContainerPath, MilliMb, Role, VolumeId } from "../../src/domain/units.ts";
import type { Adoption, AdoptRequest } from "../../src/engine/engine.ts";
import { disk, reservedFor, staticFor } from "../domain/world.ts";
import { MemoryDisk } from "../fakes/memory-disk.ts";
import { gateAt, OPS, outcomeOf, PEER, type Rig, type RigOptions, refusalOf, settle, startRig, wanted } from "./rig.ts";

const MB = 2 ** 20;
const FAILURE = new HoldfastError("internal", "Told to fail by the test");
const MOUNT: DiskSource = { type: "MOUNT", root: "/mnt/whole" };

const of = (id: string, extra: Partial<Adoption> = {}): Adoption => ({
  directory: `/srv/${id}`,
  role: "ads" as Role,
  id: id as VolumeId,
  ...extra,
});

const sized = (sizeMb: number) => ({ size: (sizeMb * 1_000) as MilliMb });

const asking = (...adoptions: readonly Adoption[]): AdoptRequest => ({ adoptions, dryRun: false });

/** A node of 1000 MB beside which lie `/srv/db` with 10 MB and `/srv/logs` with 20.5 MB. */
async function rigged(options: RigOptions = {}): Promise<Rig> {
  const rig = await startRig(options);
  rig.disk.addForeign("/srv/db", { usedBytes: 10 * MB });
  rig.disk.addForeign("/srv/logs", { usedBytes: 20.5 * MB });
  return rig;
}

const adopt = (rig: Rig, ...adoptions: readonly Adoption[]) => rig.engine.adopt(PEER, asking(...adoptions));

/** Neither volume nor reservation came of it, and the directories are where they were. */
async function expectUntouched(rig: Rig): Promise<void> {
  expect(rig.disk.foreign()).toEqual(["/srv/db", "/srv/logs"]);
  expect(await rig.states()).toEqual([]);
  expect([...rig.store.contents().records.volumes]).toEqual([]);
  expect([...rig.store.contents().records.reservations]).toEqual([]);
}

describe("adopt refuses", () => {
  test("everybody but root on the agent socket", async () => {
    const rig = await rigged();
    const strangers = [OPS, { kind: "anonymous" }, { kind: "peer", uid: 4_000_000 }] as const;
    for (const actor of strangers) expect(await outcomeOf(rig.engine.adopt(actor, asking(of("db"))))).toBe("forbidden");
    await expectUntouched(rig);
  });

  test("a directory that the disk refuses, with its place in the list", async () => {
    const rig = await rigged();
    const missing = await refusalOf(adopt(rig, of("db"), of("none")));
    expect(missing).toMatchObject({ code: "invalid", details: { index: 1 } });
    await expectUntouched(rig);
  });

  test("a directory on another file system, naming the disks", async () => {
    const rig = await rigged();
    const refusal = await refusalOf(adopt(rig, of("db", { directory: "/elsewhere/db" })));
    expect(refusal).toMatchObject({ code: "unsupported", message: expect.stringContaining("/memory") });
  });

  test("what one disk calls its own, though another one would take it", async () => {
    const other = new MemoryDisk({ source: { type: "PATH", root: "/other" }, root: "/other" });
    const rig = await rigged({ declared: [disk(1_000), disk(100, [], other.source)], otherDisks: [other] });
    other.refuseForeign("/srv/db", new HoldfastError("conflict", "Cannot adopt /srv/db: it is a part of disk /other"));
    expect(await outcomeOf(adopt(rig, of("db")))).toBe("conflict");
  });

  test.each([
    ["a directory twice", [of("db"), of("logs", { directory: "/srv/db" })]],
    ["a name twice", [of("db"), of("db", { directory: "/srv/logs" })]],
    ["a directory in another one of the list", [of("db", { directory: "/srv" }), of("logs")]],
  ])("%s", async (_what, adoptions) => {
    const rig = await rigged();
    expect(await outcomeOf(adopt(rig, ...adoptions))).toBe("invalid");
    await expectUntouched(rig);
  });

  test("a directory that a process sits in, with its pid", async () => {
    const rig = await rigged();
    rig.holders.sitInDirectory("/srv/logs", 99);
    expect(await refusalOf(adopt(rig, of("db"), of("logs")))).toMatchObject({
      code: "in_use",
      message: "Cannot adopt /srv/logs: process 99, sleep, / is in it",
      details: { pids: [99], index: 1 },
    });
    await expectUntouched(rig);
  });

  test("everything while it cannot be found out who has it", async () => {
    const rig = await rigged();
    rig.holders.failure = new HoldfastError("unavailable", "Cannot rule out mounts of process 7");
    expect(await outcomeOf(adopt(rig, of("db")))).toBe("unavailable");
    await expectUntouched(rig);
  });

  test("a name that a volume has", async () => {
    const rig = await rigged();
    await rig.create("db");
    const refusal = await refusalOf(adopt(rig, of("logs"), of("db")));
    expect(refusal).toMatchObject({ code: "duplicate_volume", details: { index: 1 } });
    expect(rig.disk.foreign()).toEqual(["/srv/db", "/srv/logs"]);
  });

  test("a size below what is used, with the figures", async () => {
    const rig = await rigged();
    expect(await refusalOf(adopt(rig, of("logs", sized(20))))).toMatchObject({
      code: "insufficient",
      details: { wantedMb: 20, usedMb: 21 },
    });
    await expectUntouched(rig);
  });

  test("what the disk has no room for, with the figures", async () => {
    const rig = await rigged();
    expect(await refusalOf(adopt(rig, of("db", sized(990)), of("logs")))).toMatchObject({
      code: "insufficient",
      details: { wantedMb: 21, freeMb: 10, index: 1 },
    });
    await expectUntouched(rig);
  });

  test("to reserve on a disk that takes no new reservations", async () => {
    const rig = await rigged();
    rig.disk.capacity = { totalBytes: MB, freeBytes: 0 };
    await rig.engine.reconcile();
    expect(await outcomeOf(adopt(rig, of("db")))).toBe("insufficient");
    await expectUntouched(rig);
  });

  test("a part of a MOUNT disk", async () => {
    const whole = new MemoryDisk({ source: MOUNT, root: "/mnt/whole" });
    const rig = await startRig({ declared: [disk(1_000), disk(500, [], MOUNT)], otherDisks: [whole] });
    whole.addForeign("/mnt/whole/db", { usedBytes: MB });
    rig.disk.refuseForeign("/mnt/whole/db", FAILURE);
    rig.disk.examineForeign = () => undefined;
    const request = of("db", { directory: "/mnt/whole/db", ...sized(100) });
    expect(await outcomeOf(adopt(rig, request))).toBe("insufficient");
    const { adoptions } = await adopt(rig, of("db", { directory: "/mnt/whole/db" }));
    expect(adoptions).toMatchObject([{ size: 500_000, source: MOUNT }]);
  });
});

describe("adopt that fails", () => {
  test.each(["first", "second"] as const)("at the %s move leaves everything as it was", async (which) => {
    const rig = await rigged();
    const real = rig.disk.adopt.bind(rig.disk);
    let moves = 0;
    rig.disk.adopt = async (volume) => {
      moves += 1;
      if (moves === (which === "first" ? 1 : 2)) throw FAILURE;
      await real(volume);
    };
    const refusal = await refusalOf(adopt(rig, of("db"), of("logs")));
    expect(refusal.details).toEqual({ index: which === "first" ? 0 : 1 });
    await expectUntouched(rig);
  });

  test("because somebody came in before the move leaves everything as it was", async () => {
    const rig = await rigged();
    const real = rig.disk.adopt.bind(rig.disk);
    rig.disk.adopt = async (volume) => {
      await real(volume);
      rig.holders.sitInDirectory(rig.disk.contentPath(volume), 99);
    };
    const refusal = await refusalOf(adopt(rig, of("db"), of("logs")));
    expect(refusal).toMatchObject({ code: "in_use", message: "Cannot adopt /srv/db: process 99, sleep, / is in it" });
    await expectUntouched(rig);
  });

  test.each([1, 2])("at commit %i leaves everything as it was", async (nth) => {
    const rig = await rigged();
    rig.store.failCommit(nth);
    expect(await outcomeOf(adopt(rig, of("db"), of("logs")))).toBe("unavailable");
    await expectUntouched(rig);
  });

  test("because its disk was taken meanwhile leaves everything as it was", async () => {
    const gate = gateAt("adopt");
    const rig = await rigged({ disk: { pause: gate.pause } });
    gate.shut();
    const adopting = outcomeOf(adopt(rig, of("db", sized(600))));
    await settle();
    await rig.create("big", { sizeMb: 600 });
    gate.open();
    expect(await adopting).toBe("insufficient");
    expect(rig.disk.foreign()).toEqual(["/srv/db", "/srv/logs"]);
    expect(await rig.states()).toEqual(["big detached"]);
  });

  test("and cannot be taken back is shown, and taken back by the reconcile", async () => {
    const rig = await rigged();
    rig.store.failCommit(2);
    rig.disk.failNext("unadopt", FAILURE);
    await outcomeOf(adopt(rig, of("db")));
    expect(await rig.states()).toEqual(["db damaged"]);
    expect((await rig.view("db")).problem).toMatch(/adoption was not finished/);
    await rig.engine.reconcile();
    await expectUntouched(rig);
  });

  test("and whose old name is taken can be destroyed and restored", async () => {
    const rig = await rigged();
    rig.store.failCommit(2);
    const { uuid } = await stuck(rig);
    await rig.engine.reconcile();
    expect(await rig.states()).toEqual(["db damaged"]);
    expect(await outcomeOf(rig.attach({ volumes: [wanted("db")] }))).toBe("damaged");
    const { size, source, reservations, containerPath } = (await rig.view("db")).volume;
    const spec = { id: "db" as VolumeId, containerPath, mode: "RW" as const, shared: false };
    await rig.perform({ type: "DESTROY", volumes: [{ size, source, reservations, volume: spec }] });
    expect(await rig.states()).toEqual(["db retained"]);
    await rig.engine.restore(PEER, { uuid });
    expect(await rig.states()).toEqual(["db detached"]);
    expect(rig.disk.examine(uuid).state).toBe("present");
  });

  /** Fails, and something else has the directory's name by then. */
  async function stuck(rig: Rig) {
    const real = rig.disk.adopt.bind(rig.disk);
    rig.disk.adopt = async (volume) => {
      await real(volume);
      rig.disk.addForeign("/srv/db");
    };
    await outcomeOf(adopt(rig, of("db")));
    return (await rig.view("db")).volume;
  }
});

describe("a volume that is being adopted", () => {
  async function halfway(): Promise<{ rig: Rig; open: () => void; adopting: Promise<unknown> }> {
    const gate = gateAt("adopt");
    const rig = await rigged({ disk: { pause: gate.pause } });
    gate.shut();
    const adopting = adopt(rig, of("db"));
    await settle();
    return { rig, open: gate.open, adopting };
  }

  test("is shown as such, takes no disk, and is no resource", async () => {
    const { rig, open, adopting } = await halfway();
    expect(await rig.states()).toEqual(["db adopting"]);
    expect((await rig.engine.resources(PEER)).resources).toEqual([disk(1_000)]);
    expect((await rig.engine.status(PEER)).volumes.adopting).toBe(1);
    open();
    await adopting;
  });

  test("is neither attached, lent nor created again", async () => {
    const { rig, open, adopting } = await halfway();
    const attaching = await refusalOf(rig.attach({ volumes: [wanted("db")] }));
    expect(attaching).toMatchObject({ code: "busy", message: expect.stringContaining("it is being adopted") });
    expect(await outcomeOf(rig.create("db"))).toBe("duplicate_volume");
    open();
    await adopting;
  });

  test("is not taken back by a reconcile that comes meanwhile", async () => {
    const { rig, open, adopting } = await halfway();
    const reconciling = rig.engine.reconcile();
    await settle();
    open();
    await Promise.all([adopting, reconciling]);
    expect(await rig.states()).toEqual(["db detached"]);
  });

  test("goes back when the daemon is killed", async () => {
    const { rig } = await halfway();
    await rig.restart();
    await expectUntouched(rig);
  });
});

describe("adopt", () => {
  test("makes directories volumes of what they take, in whole MB", async () => {
    const rig = await rigged();
    const { adoptions } = await adopt(rig, of("db"), of("logs", { containerPath: "var" as ContainerPath }));
    const [db, logs] = [await rig.live("db"), await rig.live("logs")];
    expect(adoptions).toEqual([
      {
        directory: "/srv/db",
        role: "ads",
        id: "db",
        containerPath: "data",
        size: 10_000,
        usage: { usedBytes: 10 * MB, inodes: 1 },
        source: ROOT_DISK,
        uuid: db.uuid,
      },
      expect.objectContaining({ id: "logs", size: 21_000, containerPath: "var", uuid: logs.uuid }),
    ]);
    expect(db).toMatchObject({ createdBy: "uid:0(root)", reservations: [reservedFor("ads")], shared: false });
    expect(db).not.toHaveProperty("principal");
    expect(db).not.toHaveProperty("origin");
    expect(rig.disk.foreign()).toEqual([]);
    expect(await rig.states()).toEqual(["db detached", "logs detached"]);
  });

  test("takes disk that is reserved for the role before unreserved disk, also a static one", async () => {
    const rig = await rigged({ declared: [disk(1_000), disk(15, [staticFor("ads")])] });
    await adopt(rig, of("db"), of("logs"));
    expect((await rig.live("db")).reservations).toEqual([staticFor("ads")]);
    expect((await rig.live("logs")).reservations).toEqual([reservedFor("ads")]);
    const { resources } = await rig.engine.resources(PEER);
    expect(resources.map(({ size }) => size)).toEqual([979_000, 5_000, 10_000, 21_000]);
  });

  test("adds to what is reserved what is missing", async () => {
    const rig = await rigged();
    await rig.perform({ type: "RESERVE", resources: [disk(7, [reservedFor("ads")])] });
    await adopt(rig, of("db"));
    expect([...rig.store.contents().records.reservations.values()].map(({ size }) => size)).toEqual([10_000]);
  });

  test("an empty directory has one MB", async () => {
    const rig = await rigged();
    rig.disk.addForeign("/srv/empty");
    expect((await adopt(rig, of("empty"))).adoptions).toMatchObject([{ size: 1_000 }]);
  });

  test("writes label and symlink, and leaves the owner to whoever it is at the first attach", async () => {
    const rig = await rigged();
    await adopt(rig, of("db"));
    const volume = await rig.live("db");
    expect(rig.disk.label(volume.uuid)).toEqual(volume);
    expect(rig.disk.link(volume)).toBe(volume.uuid);
    expect(volume.firstAttachedAt).toBe(rig.clock.now());
    await rig.attach({ volumes: [wanted("db")] });
    expect(rig.mounter.places()).toEqual(["/sandbox/data"]);
  });

  test("survives a power cut once it is answered", async () => {
    const rig = await rigged();
    await adopt(rig, of("db"));
    await rig.powerCut();
    expect(await rig.states()).toEqual(["db detached"]);
    expect(rig.disk.foreign()).toEqual(["/srv/logs"]);
  });

  test("is held to its size where quotas are", async () => {
    const rig = await rigged({ disk: { enforcement: "project-quota" } });
    await adopt(rig, of("db", sized(12)));
    const { uuid } = await rig.live("db");
    await rig.engine.reconcile();
    rig.clock.advance(60_000);
    await settle();
    await settle();
    await expect.poll(() => rig.disk.limitOf(uuid)).toBe(12 * MB);
  });

  test("takes the disk that the directory lies in, else the work root's", async () => {
    const source: DiskSource = { type: "PATH", root: "/srv" };
    const other = new MemoryDisk({ source, root: "/srv" });
    const rig = await rigged({ declared: [disk(1_000), disk(100, [], source)], otherDisks: [other] });
    for (const path of ["/srv/db", "/opt/web"]) {
      other.addForeign(path);
      rig.disk.addForeign(path);
    }
    await adopt(rig, of("db"), of("web", { directory: "/opt/web" }));
    expect((await rig.live("db")).source).toEqual(source);
    expect((await rig.live("web")).source).toEqual(ROOT_DISK);
  });
});

describe("adopt as a dry run", () => {
  test("says of each what would become of it or stands against it, and changes nothing", async () => {
    const rig = await rigged();
    rig.holders.sitInDirectory("/srv/logs", 99);
    const adoptions = [of("db", sized(990)), of("logs"), of("none"), of("more", { directory: "/srv/x" })];
    rig.disk.addForeign("/srv/x", { usedBytes: 30 * MB });
    const outcome = await rig.engine.adopt(PEER, { adoptions, dryRun: true });
    expect(outcome.adoptions).toEqual([
      expect.objectContaining({ directory: "/srv/db", size: 990_000, source: ROOT_DISK }),
      expect.objectContaining({ usage: { usedBytes: 20.5 * MB, inodes: 1 }, obstacle: expect.stringContaining("99") }),
      expect.objectContaining({ obstacle: "Cannot adopt /srv/none: no such directory" }),
      expect.objectContaining({ obstacle: expect.stringContaining("it needs 30 MB") }),
    ]);
    expect(outcome.adoptions[0]).not.toHaveProperty("uuid");
    expect(rig.store.commits).toEqual([]);
    expect(rig.disk.foreign()).toEqual(["/srv/db", "/srv/logs", "/srv/x"]);
  });
});
