import { beforeEach, describe, expect, test } from "vitest";
import { HoldfastError } from "../../src/domain/error.ts";
import type { SandboxRecord } from "../../src/domain/records.ts";
import type { ContainerPath, Incarnation, Role, VolumeId } from "../../src/domain/units.ts";
import type { CollectOutcome, CollectRequest } from "../../src/engine/engine.ts";
import {
  API,
  BROKEN,
  GC,
  gateAt,
  OPS,
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
const GB = 1024 ** 3;
const BOX = "/srv/boxes/web";
const OTHER = "/srv/boxes/api";

async function startWith(options: RigOptions = {}): Promise<Rig> {
  const started = await startRig(options);
  started.disk.capacity = { totalBytes: 100 * GB, freeBytes: 100 * GB };
  for (const path of [BOX, OTHER]) started.sandboxes.add(path);
  return started;
}

let rig: Rig;
beforeEach(async () => {
  rig = await startWith();
});

const discard = (path = BOX, actor = PEER) => rig.engine.discardSandbox(actor, path);
const keep = (path = BOX) => rig.engine.keepSandbox(PEER, path);
const gc = (request: Partial<CollectRequest> = {}, actor = PEER) =>
  rig.engine.collect(actor, { dryRun: false, ...request });
const named = async (path = BOX) => shown(await gc({ sandboxes: [path] }));
const paths = async () => (await rig.engine.sandboxes(PEER)).map(({ sandbox }) => sandbox.path);
const stored = async (path = BOX): Promise<SandboxRecord | undefined> =>
  (await rig.store.reload()).records.sandboxes.get(path);

/** `/srv/boxes/web: collected`, or why it stays. */
function shown({ sandboxes }: CollectOutcome): readonly string[] {
  return [
    ...(sandboxes?.collected ?? []).map(({ sandbox }) => `${sandbox.path}: collected`),
    ...(sandboxes?.kept ?? []).map(({ sandbox, reason }) => `${sandbox.path}: ${reason}`),
  ];
}

async function pass(ms: number): Promise<void> {
  rig.clock.advance(ms);
  for (let turn = 0; turn < 30; turn += 1) await settle();
}

/** A mount of a volume that the books know nothing of. */
async function mountUnknown(uuid: Incarnation, place: string): Promise<void> {
  const { directory } = (await rig.store.reload()).records.volumes.get(uuid) ?? { directory: { ino: "", birthNs: "" } };
  const containerPath = place.slice(BOX.length + 1) as ContainerPath;
  await rig.mounter.attach({ sandbox: BOX, containerPath, uuid, directory, diskRoot: rig.disk.root, mode: "RW" });
}

describe("to hand a sandbox over", () => {
  test("is the superuser's alone", async () => {
    expect(await outcomeOf(discard(BOX, OPS))).toBe("forbidden");
    expect(await outcomeOf(rig.engine.keepSandbox(OPS, BOX))).toBe("forbidden");
    expect(await outcomeOf(rig.engine.sandboxes(OPS))).toBe("forbidden");
    expect(await outcomeOf(gc({ sandboxes: [BOX] }, OPS))).toBe("forbidden");
    expect(await paths()).toEqual([]);
  });

  test.each([
    ["what is not there", "/srv/boxes/none", "invalid"],
    ["a relative path", "boxes/web", "invalid"],
    ["the root", "/", "invalid"],
    ["what belongs to the machine", "/srv", "invalid"],
  ])("is refused for %s", async (_what, path, code) => {
    expect(await outcomeOf(discard(path))).toBe(code);
  });

  test("is refused for a part of a disk, and for what has a disk in it", async () => {
    rig = await startWith({ disk: { root: "/srv/disks/one" } });
    for (const path of ["/srv/disks/one/volumes/x", "/srv/disks"]) {
      rig.sandboxes.add(path);
      expect(await outcomeOf(discard(path))).toBe("conflict");
    }
  });

  test("is refused below and above what was handed over", async () => {
    await discard();
    rig.sandboxes.add(`${BOX}/below`);
    rig.sandboxes.add("/srv/boxes");
    expect((await refusalOf(discard(`${BOX}/below`))).message).toContain(`it lies in ${BOX}`);
    expect((await refusalOf(discard("/srv/boxes"))).message).toContain(`holdfast gc keep ${BOX}`);
    expect(await paths()).toEqual([BOX]);
  });

  test("is refused while a process sits in a volume there, who is named", async () => {
    const { uuid } = await rig.create("db");
    await rig.attach({ sandbox: BOX, volumes: [wanted("db")] });
    rig.mounter.sitIn(uuid);
    rig.holders.sitIn(uuid, 4712);
    const refusal = await refusalOf(discard());
    expect([refusal.code, refusal.details]).toEqual(["busy", { pids: [4712] }]);
    expect(await paths()).toEqual([]);
    expect(await rig.attachments()).toEqual(["db at data: attached"]);
  });

  test("is refused while a container's process has its root there", async () => {
    await rig.create("db");
    rig.processes.start(77);
    const process = { pid: 77, rootfs: `${BOX}/rootfs` };
    await rig.attach({ sandbox: "/", process, volumes: [wanted("db")] });
    const refusal = await refusalOf(discard());
    expect([refusal.code, refusal.message]).toEqual(["in_use", expect.stringContaining("process 77")]);
    rig.processes.end(77);
    await discard();
  });

  test("commits it durably before it is answered", async () => {
    const { sandbox, dueAt } = await discard();
    expect(sandbox).toMatchObject({ path: BOX, by: "uid:0(root)", retired: { at: rig.clock.now() } });
    expect(dueAt).toBe(rig.clock.now() + 0.9 * GC.delayMs);
    await rig.powerCut();
    expect(await paths()).toEqual([BOX]);
  });

  test("twice is the same as once, and does not make it younger", async () => {
    const first = await discard();
    await pass(HOUR);
    expect((await discard()).sandbox).toEqual(first.sandbox);
  });

  test("is refused when another directory has the place of one that was handed over", async () => {
    await discard();
    rig.sandboxes.add(BOX);
    expect(await outcomeOf(discard())).toBe("conflict");
  });

  test("detaches the volumes of containers in it first, and of no others", async () => {
    await rig.create("db");
    await rig.create("logs");
    rig.sandboxes.add("/srv/boxes/web-2");
    await rig.attach({ sandbox: BOX, volumes: [wanted("db")] });
    await rig.attach({ container: API, sandbox: "/srv/boxes/web-2", volumes: [wanted("logs")] });
    await discard();
    expect(await rig.attachments(WEB)).toEqual([]);
    expect(await rig.attachments(API)).toEqual(["logs at data: attached"]);
    expect(rig.mounter.places()).toEqual(["/srv/boxes/web-2/data"]);
  });

  test("lets nothing be attached there or below it, only elsewhere", async () => {
    await rig.create("db");
    await discard();
    for (const sandbox of [BOX, `${BOX}/below`]) {
      const refusal = await refusalOf(rig.attach({ sandbox, volumes: [wanted("db")] }));
      expect([refusal.code, refusal.message]).toEqual(["conflict", expect.stringContaining(`holdfast gc keep ${BOX}`)]);
    }
    rig.processes.start(77);
    const process = { pid: 77, rootfs: `${BOX}/rootfs` };
    expect(await outcomeOf(rig.attach({ sandbox: "/", process, volumes: [wanted("db")] }))).toBe("conflict");
    await rig.attach({ sandbox: `${BOX}-2`, volumes: [wanted("db")] });
  });

  test("is refused when a container gets a volume there meanwhile", async () => {
    const gate = gateAt("detach");
    rig = await startWith({ mounter: { pause: gate.pause } });
    await rig.create("db");
    await rig.create("logs");
    await rig.attach({ sandbox: BOX, volumes: [wanted("db")] });
    gate.shut();
    const refused = outcomeOf(discard());
    await settle();
    await rig.attach({ container: API, sandbox: BOX, volumes: [wanted("logs", { at: "logs" })] });
    gate.open();
    expect(await refused).toBe("conflict");
    expect(await paths()).toEqual([]);
  });
});

describe("adoption and collection", () => {
  const adopt = (directory: string) =>
    rig.engine.adopt(PEER, { adoptions: [{ directory, role: "ads" as Role, id: "db" as VolumeId }], dryRun: false });

  test.each([BOX, `${BOX}/data`, "/srv/boxes"])("of what was handed over never meet: %s", async (directory) => {
    rig.disk.addForeign(directory, { usedBytes: 1 });
    await discard();
    const refusal = await refusalOf(adopt(directory));
    expect([refusal.code, refusal.message]).toEqual(["conflict", expect.stringContaining(`holdfast gc keep ${BOX}`)]);
    await keep();
    await adopt(directory);
  });

  test("of what is being adopted never meet", async () => {
    const gate = gateAt("adopt");
    rig = await startWith({ disk: { pause: gate.pause } });
    rig.disk.addForeign(`${BOX}/data`, { usedBytes: 1 });
    gate.shut();
    const adopted = adopt(`${BOX}/data`);
    await pass(0);
    expect((await refusalOf(discard())).message).toContain(`${BOX}/data is being adopted`);
    gate.open();
    await adopted;
    await discard();
  });
});

describe("to take a sandbox back", () => {
  test("is refused for what was not handed over, and names what it lies in", async () => {
    expect(await outcomeOf(keep())).toBe("not_found");
    await discard();
    expect((await refusalOf(keep(`${BOX}/below`))).message).toContain(`keep ${BOX}`);
  });

  test("is refused once something of it was removed", async () => {
    await discard();
    rig.sandboxes.failNext("purge", BROKEN);
    await named();
    expect(await outcomeOf(keep())).toBe("conflict");
  });

  test("lets volumes be attached there again", async () => {
    await rig.create("db");
    await discard();
    await keep();
    expect(await stored()).toBeUndefined();
    await rig.attach({ sandbox: BOX, volumes: [wanted("db")] });
  });

  test("forgets one whose place another directory has, also when its collection had begun", async () => {
    await discard();
    rig.sandboxes.failNext("purge", BROKEN);
    await named();
    rig.sandboxes.add(BOX);
    await keep();
    expect(await paths()).toEqual([]);
    expect(rig.sandboxes.names(BOX)).toBe(3);
  });
});

describe("a sandbox is collected", () => {
  test("by the rule of volumes, and not before", async () => {
    await discard();
    await pass(0.9 * GC.delayMs - GC.intervalMs);
    expect(await paths()).toEqual([BOX]);
    await pass(2 * GC.intervalMs);
    expect(await paths()).toEqual([]);
    expect(rig.sandboxes.has(BOX)).toBe(false);
    expect(rig.sandboxes.has(OTHER)).toBe(true);
  });

  test("on a full file system the oldest first, and only as many as make room", async () => {
    await discard(OTHER);
    await pass(2 * HOUR);
    await discard(BOX);
    await pass(2 * HOUR);
    rig.sandboxes.bytesPerSandbox = 90 * GB;
    rig.sandboxes.usages = { device: "8:1", totalBytes: 100 * GB, freeBytes: 0 };
    await pass(GC.intervalMs);
    expect(await paths()).toEqual([BOX]);
  });

  test("by the usage of the file system that it lies on, not of the disks", async () => {
    await discard();
    rig.disk.capacity = { totalBytes: 100 * GB, freeBytes: 0 };
    await pass(2 * HOUR);
    expect(await paths()).toEqual([BOX]);
  });

  test("after a reboot and a jump of the clock as if neither had been", async () => {
    await discard();
    for (let hours = 0; hours < 24; hours += 1) await pass(HOUR);
    rig.clock.jump(52 * GC.delayMs);
    await rig.powerCut();
    await pass(HOUR);
    expect(await paths()).toEqual([BOX]);
    await pass(0.9 * GC.delayMs - 24 * HOUR);
    expect(await paths()).toEqual([]);
  });

  test("durably marked before the first name is removed", async () => {
    const gate = gateAt("purge");
    rig = await startWith({ sandboxes: { pause: gate.pause } });
    await discard();
    gate.shut();
    const collected = named();
    await pass(0);
    expect(await stored()).toMatchObject({ collecting: true });
    expect(rig.sandboxes.names(BOX)).toBe(3);
    expect(rig.store.commits.at(-1)?.options).toMatchObject({ durable: true, releases: true });
    gate.open();
    expect(await collected).toEqual([`${BOX}: collected`]);
  });

  test("not while a container on the books has a volume there", async () => {
    const { uuid } = await rig.create("db");
    await rig.attach({ sandbox: BOX, volumes: [wanted("db")] });
    rig.mounter.sitIn(uuid);
    rig.holders.sitIn(uuid);
    await rig.detach(WEB, true);
    await discard();
    expect(await named()).toEqual([expect.stringContaining("container web has volumes in")]);
    rig.mounter.setFree(uuid);
    rig.holders.letGo();
    await pass(60_000);
    expect(await named()).toEqual([`${BOX}: collected`]);
  });

  test("not while somebody has it, who is named, in status too", async () => {
    await discard();
    rig.holders.sitInDirectory(BOX, 4713);
    expect(await named()).toEqual([`${BOX}: Cannot collect sandbox ${BOX}: process 4713, sleep, / is in it`]);
    expect((await rig.engine.status(PEER)).problems).toEqual([expect.stringContaining(`Sandbox ${BOX}: `)]);
    expect(await stored()).not.toHaveProperty("collecting");
    rig.holders.sitting.length = 0;
    expect(await named()).toEqual([`${BOX}: collected`]);
    expect((await rig.engine.status(PEER)).problems).toEqual([]);
  });

  test("not while it cannot be found out who has it", async () => {
    await discard();
    rig.holders.failure = new HoldfastError("unavailable", "Cannot rule out mounts of process 5");
    expect(await named()).toEqual([`${BOX}: Cannot rule out mounts of process 5`]);
    expect(rig.sandboxes.names(BOX)).toBe(3);
  });

  test("without the volume that somebody mounted in it, twice and behind our back", async () => {
    const { uuid } = await rig.create("db");
    await discard();
    await mountUnknown(uuid, `${BOX}/left`);
    rig.mounter.stack({ sandbox: BOX, containerPath: "left" as ContainerPath });
    expect(await named()).toEqual([`${BOX}: collected`]);
    expect(rig.sandboxes.disasters).toEqual([]);
    expect(rig.disk.examine(uuid).state).toBe("present");
  });

  test("not while a volume in it is busy, and says with whom", async () => {
    const { uuid } = await rig.create("db");
    await discard();
    await mountUnknown(uuid, `${BOX}/left`);
    rig.sandboxes.busy.add(uuid);
    rig.holders.sitIn(uuid, 4712);
    expect(await named()).toEqual([expect.stringContaining("used by process 4712 (sleep)")]);
    expect(rig.sandboxes.names(BOX)).toBe(3);
  });

  test("not with a foreign mount in it, which is named", async () => {
    await discard();
    rig.mounter.occupy({ sandbox: BOX, containerPath: "tmp" as ContainerPath });
    expect(await named()).toEqual([expect.stringContaining(`mounted at ${BOX}/tmp`)]);
    expect(rig.sandboxes.names(BOX)).toBe(3);
  });

  test("not when another directory has its place", async () => {
    await discard();
    rig.sandboxes.add(BOX);
    expect(await named()).toEqual([expect.stringContaining("is another directory and is not touched")]);
    expect(rig.sandboxes.names(BOX)).toBe(3);
  });

  test("not when it cannot be reached, and is not forgotten", async () => {
    await discard();
    rig.sandboxes.hide(BOX);
    await pass(2 * GC.delayMs);
    expect(await paths()).toEqual([BOX]);
    expect(shown(await gc({ dryRun: true }))).toEqual([expect.stringContaining("cannot reach")]);
    rig.sandboxes.show(BOX);
    await pass(GC.delayMs);
    expect(await paths()).toEqual([]);
  });

  test("by forgetting it when it is gone already", async () => {
    await discard();
    rig.sandboxes.remove(BOX);
    await pass(GC.intervalMs);
    expect(await paths()).toEqual([]);
  });

  test("again after a failure, later each time", async () => {
    await discard();
    for (let attempt = 0; attempt < 3; attempt += 1) rig.sandboxes.failNext("purge", BROKEN);
    expect(await named()).toEqual([`${BOX}: ${BROKEN.message}`]);
    expect((await rig.engine.status(PEER)).problems).toEqual([expect.stringContaining("tried 1 times")]);
    await pass(GC.intervalMs);
    await pass(GC.intervalMs);
    expect(await paths()).toEqual([BOX]);
    await pass(GC.intervalMs);
    expect(await paths()).toEqual([]);
  });

  test("further by the next start when the daemon dies in the middle, with everything looked at again", async () => {
    const { uuid } = await rig.create("db");
    await discard();
    rig.sandboxes.failNext("purge", BROKEN);
    await named();
    await mountUnknown(uuid, `${BOX}/left`);
    await rig.restart();
    await pass(0);
    expect(await paths()).toEqual([]);
    expect(rig.sandboxes.disasters).toEqual([]);
  });

  test("up to where a stop interrupts it", async () => {
    const gate = gateAt("purge");
    rig = await startWith({ sandboxes: { pause: gate.pause } });
    await discard();
    gate.shut();
    const outcome = named();
    await settle();
    const stopped = rig.engine.stop();
    gate.open();
    await stopped;
    expect(await outcome).toEqual([expect.stringContaining("interrupted")]);
    expect(await stored()).toMatchObject({ collecting: true });
  });
});

describe("gc", () => {
  test("of a sandbox that was not handed over says how to do that", async () => {
    const refusal = await refusalOf(gc({ sandboxes: [BOX] }));
    expect([refusal.code, refusal.message]).toEqual(["not_found", expect.stringContaining(`holdfast gc add ${BOX}`)]);
  });

  test("of sandboxes by name leaves volumes alone, and the other way round", async () => {
    const { uuid } = await rig.create("db");
    await rig.destroy("db");
    await discard();
    expect(await gc({ sandboxes: [BOX] })).toMatchObject({ collected: [], kept: [] });
    await discard(OTHER);
    expect(await gc({ uuids: [uuid] })).not.toHaveProperty("sandboxes");
    expect(await paths()).toEqual([OTHER]);
  });

  test("without names shows a peer when each goes, and nobody else", async () => {
    await discard();
    expect(await gc({ dryRun: true }, OPS)).not.toHaveProperty("sandboxes");
    expect(shown(await gc())).toEqual([`${BOX}: its time has not come`]);
    rig.clock.advance(GC.delayMs - GC.intervalMs);
    rig.holders.sitInDirectory(BOX);
    expect(shown(await gc())).toEqual([expect.stringContaining("is in it")]);
  });

  test("--dry-run says what would go, and why the rest stays", async () => {
    await discard(OTHER);
    rig.holders.sitInDirectory(OTHER);
    await pass(GC.delayMs);
    await discard();
    expect(shown(await gc({ dryRun: true, sandboxes: [BOX] }))).toEqual([`${BOX}: collected`]);
    rig.mounter.occupy({ sandbox: BOX, containerPath: "tmp" as ContainerPath });
    expect(shown(await gc({ dryRun: true, sandboxes: [OTHER] }))).toEqual([expect.stringContaining("is in it")]);
    expect(await paths()).toEqual([OTHER, BOX]);
  });

  test("counts in status what waits", async () => {
    await discard();
    expect((await rig.engine.status(PEER)).collection.sandboxes).toBe(1);
    expect((await rig.engine.status(OPS)).collection.sandboxes).toBe(0);
  });
});
