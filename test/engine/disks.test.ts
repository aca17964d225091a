import { describe, expect, test } from "vitest";
import type { Operation } from "../../src/domain/operation.ts";
import type { Volume } from "../../src/domain/records.ts";
import { sourceKey } from "../../src/domain/resource.ts";
import type { Role, VolumeId } from "../../src/domain/units.ts";
import type { DriveSource } from "../../src/ports/drives.ts";
import { disk, volume } from "../domain/world.ts";
import { MemoryDrive } from "../fakes/memory-drives.ts";
import { ADS, BROKEN, outcomeOf, PEER, RECONCILE_MS, Rig, refusalOf, settle, wanted } from "./rig.ts";

const D1: DriveSource = { type: "PATH", root: "/d1" };
const M1: DriveSource = { type: "MOUNT", root: "/m1" };
const DECLARED = [disk(1_000), disk(1_000, [], D1), disk(500, [], M1)];

/** A node with two disks beside the work root's, both there. */
class Scene {
  readonly rig = new Rig({ declared: DECLARED });
  readonly d1 = new MemoryDrive(D1, "aaaaaaaa-0000-4000-8000-000000000001");
  readonly m1 = new MemoryDrive(M1, "aaaaaaaa-0000-4000-8000-000000000002");

  constructor() {
    this.rig.drives.mount(this.d1);
    this.rig.drives.mount(this.m1);
  }

  async start(): Promise<this> {
    await this.rig.engine.start();
    return this;
  }

  async create(id: string, source: DriveSource = D1, sizeMb = 100): Promise<Volume> {
    await this.rig.perform(
      { type: "RESERVE", resources: [disk(sizeMb, ADS, source)] },
      { type: "CREATE", volumes: [volume(id, sizeMb, ADS, { source })] },
    );
    return (await this.view(id)).volume;
  }

  view(id: string) {
    return this.rig.engine.volume(PEER, "ads" as Role, id as VolumeId);
  }

  async problems(): Promise<readonly string[]> {
    return (await this.rig.engine.status(PEER)).problems;
  }

  /** Lets as much time pass as the next look takes to come. */
  async waitForLook(): Promise<void> {
    this.rig.clock.advance(RECONCILE_MS);
    for (let turn = 0; turn < 30; turn += 1) await settle();
  }
}

const startScene = () => new Scene().start();
const destroying = (id: string, source: DriveSource = D1): Operation => ({
  type: "DESTROY",
  volumes: [volume(id, 100, ADS, { source })],
});

describe("a disk that is not there at the start", () => {
  async function startWithout(): Promise<{ scene: Scene; db: Volume }> {
    const scene = await startScene();
    const db = await scene.create("db");
    scene.rig.drives.unmount(D1);
    await scene.rig.restart();
    return { scene, db };
  }

  test("disables its own volumes only, and is one problem however many they are", async () => {
    const scene = await startScene();
    await Promise.all(["a", "b", "c"].map((id) => scene.create(id)));
    await scene.rig.create("root-one");
    scene.rig.drives.unmount(D1);
    await scene.rig.restart();
    expect(await scene.rig.states()).toEqual(["a damaged", "b damaged", "c damaged", "root-one detached"]);
    expect(await scene.problems()).toEqual([
      "Disk /d1 with 3 volumes cannot be used: there is no such directory: mount the disk there",
    ]);
    expect((await scene.view("a")).problem).toContain("its disk /d1 cannot be used: there is no such directory");
    await scene.rig.create("another");
  });

  test("takes neither reservations nor volumes nor attachments, and says why", async () => {
    const { scene } = await startWithout();
    const reserve = scene.rig.perform({ type: "RESERVE", resources: [disk(100, ADS, D1)] });
    expect((await refusalOf(reserve)).message).toContain("there is no such directory: mount the disk there");
    const create = await refusalOf(
      scene.rig.perform({ type: "CREATE", volumes: [volume("new", 100, ADS, { source: D1 })] }),
    );
    expect([create.code, create.message]).toEqual([
      "insufficient",
      expect.stringContaining("Cannot use disk /d1: there is no such directory"),
    ]);
    expect((await refusalOf(scene.rig.attach({ volumes: [wanted("db")] }))).message).toContain(
      "disk /d1 cannot be used",
    );
  });

  test("is used as soon as it is there, without a restart, by the same volumes", async () => {
    const { scene, db } = await startWithout();
    scene.rig.drives.mount(scene.d1);
    await scene.waitForLook();
    expect(await scene.rig.states()).toEqual(["db detached"]);
    expect(await scene.problems()).toEqual([]);
    expect((await scene.view("db")).volume.uuid).toBe(db.uuid);
    expect(await outcomeOf(scene.rig.attach({ volumes: [wanted("db")] }))).toBe("done");
    expect(scene.rig.log.lines.map(({ message }) => message)).toContain("Disk /d1 is back");
  });

  test("gets the labels that were written meanwhile, and makes no spare of a volume", async () => {
    const scene = await startScene();
    scene.d1.disk.failNext("writeLabel", BROKEN);
    const { uuid } = await scene.create("db");
    scene.rig.drives.unmount(D1);
    await scene.rig.restart();
    scene.d1.disk.crash();
    scene.rig.drives.mount(scene.d1);
    await scene.rig.engine.reconcile();
    expect(scene.d1.disk.label(uuid)?.id).toBe("db");
    const other = await scene.create("other");
    expect(other.uuid).not.toBe(uuid);
  });

  test("is looked for at once when somebody asks for it", async () => {
    const { scene } = await startWithout();
    scene.rig.drives.mount(scene.d1);
    await scene.rig.engine.reconcile();
    expect(await scene.rig.states()).toEqual(["db detached"]);
  });

  test("lets its volumes be destroyed: they go to trash when it is back", async () => {
    const { scene, db } = await startWithout();
    await scene.rig.perform(destroying("db"));
    await scene.waitForLook();
    expect(await scene.rig.states()).toEqual(["db destroying"]);
    expect(await scene.problems()).toHaveLength(1);
    scene.rig.drives.mount(scene.d1);
    await scene.waitForLook();
    expect(await scene.rig.states()).toEqual(["db retained"]);
    expect(scene.d1.disk.examineTrash(db.uuid).state).toBe("present");
    expect(scene.rig.log.lines.filter(({ message }) => message.includes("to trash"))).toEqual([]);
  });

  test("serves volumes also when it is not declared any more", async () => {
    const scene = await startScene();
    await scene.create("db");
    const rig = new Rig({ declared: [disk(1_000)], drives: scene.rig.drives });
    rig.useStore(scene.rig.store);
    await rig.engine.start();
    expect(await rig.states()).toEqual(["db detached"]);
  });
});

describe("a disk that hangs", () => {
  test("holds up the start for two seconds, and comes when it answers", async () => {
    const scene = new Scene();
    scene.rig.drives.hang(D1);
    const started = scene.rig.engine.start();
    for (let turn = 0; turn < 20; turn += 1) await settle();
    expect(scene.rig.engine.ready).toBe(false);
    scene.rig.clock.advance(2_000);
    await started;
    expect(await scene.problems()).toEqual([expect.stringContaining("/d1 with 0 volumes cannot be used: it does not")]);
    expect(await outcomeOf(scene.create("db", M1, 500))).toBe("done");
    scene.rig.drives.letGo(D1);
    for (let turn = 0; turn < 20; turn += 1) await settle();
    expect(await outcomeOf(scene.create("logs", D1))).toBe("done");
  });

  test("while it is used stays open, and is not asked a second time", async () => {
    const scene = await startScene();
    await scene.create("db");
    scene.rig.drives.hang(D1);
    scene.rig.clock.advance(RECONCILE_MS);
    await settle();
    scene.rig.clock.advance(2_000);
    await scene.waitForLook();
    expect(await scene.rig.states()).toEqual(["db detached"]);
  });
});

describe("another disk at the same path", () => {
  test.each([
    ["with another UUID", "bbbbbbbb-0000-4000-8000-000000000009", "file system UUID bbbbbbbb"],
    ["without a UUID", undefined, "directory "],
  ])("%s is not used while volumes are on record", async (_what, uuid, expected) => {
    const scene = await startScene();
    await scene.create("db");
    const other = new MemoryDrive(D1, uuid);
    other.isUsed = true;
    scene.rig.drives.mount(other);
    await scene.rig.restart();
    expect(await scene.rig.states()).toEqual(["db damaged"]);
    const [problem, ...rest] = await scene.problems();
    expect(rest).toEqual([]);
    expect(problem).toContain("another disk is in its place");
    expect(problem).toContain(expected);
    expect(problem).toContain("holdfast gc --lost");
    scene.rig.drives.mount(scene.d1);
    await scene.waitForLook();
    expect(await scene.rig.states()).toEqual(["db detached"]);
  });

  test("gets no directories made on it, fresh as it is", async () => {
    const scene = await startScene();
    await scene.create("db");
    const fresh = new MemoryDrive(D1);
    scene.rig.drives.mount(fresh);
    await scene.rig.restart();
    expect(fresh.isUsed).toBe(false);
    expect((await scene.problems())[0]).toContain("it has no directory volumes");
  });

  test("is used from then on when no volume of the old one is on record", async () => {
    const scene = await startScene();
    const other = new MemoryDrive(D1, "bbbbbbbb-0000-4000-8000-000000000009");
    scene.rig.drives.mount(other);
    await scene.rig.restart();
    expect(await scene.problems()).toEqual([]);
    const { uuid } = await scene.create("db");
    expect(other.disk.examine(uuid).state).toBe("present");
    expect(scene.rig.store.contents().records.disks.get(sourceKey(D1))).toEqual({
      source: D1,
      fileSystemUuid: "bbbbbbbb-0000-4000-8000-000000000009",
      directory: other.disk.directory,
    });
  });

  test("is not taken for a fresh one when it is the directory below an unmounted disk", async () => {
    const scene = await startScene();
    const below = new MemoryDrive(D1, "cccccccc-0000-4000-8000-000000000009");
    below.isMountPoint = false;
    scene.rig.drives.mount(below);
    await scene.rig.restart();
    expect(below.isUsed).toBe(false);
    expect(await scene.problems()).toEqual([expect.stringContaining("nothing is mounted there")]);
  });

  test("is not used when the same directory is a disk already", async () => {
    const scene = new Scene();
    const copy = new MemoryDrive(M1);
    copy.isUsed = true;
    copy.disk.directory = scene.d1.disk.directory;
    scene.d1.isUsed = true;
    scene.rig.drives.mount(copy);
    await scene.start();
    expect(await scene.problems()).toEqual([expect.stringContaining("it is the same directory as disk")]);
  });
});

describe("a MOUNT disk", () => {
  test("whose root is no mount point is not touched", async () => {
    const scene = new Scene();
    scene.m1.isMountPoint = false;
    await scene.start();
    expect(scene.m1.isUsed).toBe(false);
    expect(await scene.problems()).toEqual([expect.stringContaining("nothing is mounted there: mount it")]);
    scene.m1.isMountPoint = true;
    await scene.waitForLook();
    expect(await scene.problems()).toEqual([]);
  });

  test("is reserved as a whole or not at all", async () => {
    const scene = await startScene();
    expect(await outcomeOf(scene.rig.perform({ type: "RESERVE", resources: [disk(499, ADS, M1)] }))).toBe(
      "insufficient",
    );
    expect(await outcomeOf(scene.create("db", M1, 500))).toBe("done");
  });
});

describe("a disk that goes away while it is used", () => {
  test("is closed when its calls have come back, opened again after that, and its volumes are damaged meanwhile", async () => {
    const scene = await startScene();
    await scene.create("db");
    const { promise, resolve } = Promise.withResolvers<void>();
    const drop = scene.d1.disk.drop.bind(scene.d1.disk);
    scene.d1.disk.drop = async (one) => {
      await promise;
      await drop(one);
    };
    await scene.create("logs");
    void scene.rig.perform(destroying("logs"));
    for (let turn = 0; turn < 5; turn += 1) await settle();
    scene.rig.drives.unmount(D1);
    scene.rig.clock.advance(RECONCILE_MS);
    for (let turn = 0; turn < 20; turn += 1) await settle();
    expect((await scene.view("db")).state).toBe("damaged");
    const { opened } = scene.rig.drives;
    scene.rig.drives.mount(scene.d1);
    await scene.waitForLook();
    expect([scene.rig.drives.closed, scene.rig.drives.opened]).toEqual([[], opened]);
    resolve();
    await scene.waitForLook();
    expect([scene.rig.drives.closed, scene.rig.drives.opened]).toEqual([[scene.d1.disk], opened + 1]);
    expect((await scene.view("db")).state).toBe("detached");
  });

  test("and is mounted again is opened anew, and serves the same volumes", async () => {
    const scene = await startScene();
    await scene.create("db");
    scene.rig.drives.mount(scene.d1);
    await scene.waitForLook();
    expect(await scene.rig.states()).toEqual(["db detached"]);
    expect(scene.rig.drives.closed).toEqual([scene.d1.disk]);
    await scene.create("logs");
  });

  test("and is back refuses a volume whose directory was taken before, rather than make two of it", async () => {
    const scene = await startScene();
    await scene.rig.perform({ type: "RESERVE", resources: [disk(100, ADS, D1)] });
    await scene.rig.create("old");
    const mounts = scene.rig.holders.mounts.bind(scene.rig.holders);
    scene.rig.holders.mounts = async (...args) => {
      scene.rig.holders.mounts = mounts;
      scene.rig.drives.mount(scene.d1);
      await scene.rig.engine.reconcile();
      return mounts(...args);
    };
    const create: Operation = { type: "CREATE", volumes: [volume("db", 100, ADS, { source: D1 })] };
    const old: Operation = { type: "DESTROY", volumes: [volume("old", 100, ADS)] };
    const refusal = await refusalOf(scene.rig.perform(old, create));
    expect([refusal.code, refusal.message]).toEqual([
      "unavailable",
      expect.stringContaining("it went away, try again"),
    ]);
    await scene.rig.perform(old, create);
    expect(await scene.rig.states()).toEqual(["db detached", "old retained"]);
  });

  test("is no problem of a container that has its volume: it is detached as ever", async () => {
    const scene = await startScene();
    await scene.create("db");
    await scene.rig.attach({ volumes: [wanted("db")] });
    scene.rig.drives.unmount(D1);
    await scene.waitForLook();
    await scene.rig.detach();
    expect(await scene.rig.attachments()).toEqual([]);
  });
});

describe("a read-only disk", () => {
  test("keeps serving its volumes, and takes no new ones", async () => {
    const scene = await startScene();
    await scene.create("db");
    await scene.rig.perform({ type: "RESERVE", resources: [disk(200, ADS, D1)] });
    scene.d1.isReadOnly = true;
    await scene.waitForLook();
    expect(await scene.rig.states()).toEqual(["db detached"]);
    expect(await scene.problems()).toEqual([expect.stringContaining("its file system is read-only")]);
    const create = scene.rig.perform({ type: "CREATE", volumes: [volume("new", 100, ADS, { source: D1 })] });
    expect((await refusalOf(create)).message).toContain(
      "Cannot make volumes on disk /d1: its file system is read-only",
    );
    expect(await outcomeOf(scene.rig.perform({ type: "RESERVE", resources: [disk(1, ADS, D1)] }))).toBe("insufficient");
    scene.d1.isReadOnly = false;
    await scene.waitForLook();
    expect(await scene.problems()).toEqual([]);
  });
});

describe("a disk that cannot be opened", () => {
  test("is tried again ever more seldom, and at once when somebody asks or mounts it anew", async () => {
    const scene = new Scene();
    scene.rig.drives.unmount(M1);
    scene.rig.drives.failOpening(BROKEN);
    let tried = 0;
    const open = scene.rig.drives.open.bind(scene.rig.drives);
    scene.rig.drives.open = (source) => {
      tried += 1;
      return open(source);
    };
    await scene.start();
    for (let look = 0; look < 20; look += 1) await scene.waitForLook();
    expect(tried).toBeGreaterThan(3);
    expect(tried).toBeLessThan(8);
    const before = tried;
    await scene.rig.engine.reconcile();
    expect(tried).toBe(before + 1);
    scene.rig.drives.mount(scene.d1);
    await scene.waitForLook();
    expect(tried).toBe(before + 2);
    expect(scene.rig.log.lines.filter(({ message }) => message.includes("Disk /d1 cannot"))).toHaveLength(1);
    scene.rig.drives.failOpening(undefined);
    await scene.rig.engine.reconcile();
    expect(await outcomeOf(scene.create("db"))).toBe("done");
  });
});

describe("gc --lost", () => {
  const giveUp = (scene: Scene, ...volumes: readonly Volume[]) =>
    scene.rig.engine.collect(PEER, { dryRun: false, lost: true, uuids: volumes.map(({ uuid }) => uuid) });

  test("refuses what is not destroyed, and what lies on a disk that is there", async () => {
    const scene = await startScene();
    const [db, logs] = [await scene.create("db"), await scene.create("logs")];
    await scene.rig.perform(destroying("logs"));
    expect((await refusalOf(giveUp(scene, db))).message).toContain("it is not destroyed");
    const { kept, collected } = await giveUp(scene, logs);
    expect(collected).toEqual([]);
    expect(kept[0]?.reason).toContain("its disk /d1 is there, collect it without --lost");
    const nothing = scene.rig.engine.collect(PEER, { dryRun: false, lost: true });
    expect(await outcomeOf(nothing)).toBe("invalid");
  });

  test("gives up the records of a disk that is gone, so that another one may take its place", async () => {
    const scene = await startScene();
    const db = await scene.create("db");
    const other = new MemoryDrive(D1, "bbbbbbbb-0000-4000-8000-000000000009");
    scene.rig.drives.mount(other);
    await scene.rig.restart();
    await scene.rig.perform(destroying("db"));
    const { collected } = await giveUp(scene, db);
    expect(collected.map((one) => one.volume.uuid)).toEqual([db.uuid]);
    await scene.rig.engine.reconcile();
    expect(await scene.problems()).toEqual([]);
    const { uuid } = await scene.create("fresh");
    expect(other.disk.examine(uuid).state).toBe("present");
    expect(scene.d1.disk.examine(db.uuid).state).toBe("present");
  });
});

test("stopping closes every disk", async () => {
  const scene = await startScene();
  await scene.rig.engine.stop();
  expect(new Set(scene.rig.drives.closed)).toEqual(new Set([scene.d1.disk, scene.m1.disk]));
});
