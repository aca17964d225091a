import { describe, expect, test } from "vitest";
import { HoldfastError } from "../../src/domain/error.ts";
import { disk } from "../domain/world.ts";
import { createFailingStore } from "../fakes/failing-store.ts";
import { createMemoryStore } from "../fakes/memory-store.ts";
import { BROKEN, outcomeOf, PEER, RECONCILE_MS, Rig, settle, startRig, target, WEB, wanted } from "./rig.ts";

describe("start", () => {
  test("fails where the store cannot be opened, and serves nothing", async () => {
    const rig = new Rig();
    rig.useStore({
      ...createMemoryStore(),
      open: () => Promise.reject(new HoldfastError("damaged", "The checkpoint is empty, run holdfast rebuild")),
    });
    expect(await outcomeOf(rig.engine.start())).toBe("damaged");
    expect(rig.engine.ready).toBe(false);
  });

  test("with nothing to do commits nothing, even on a store that always fails", async () => {
    const rig = new Rig();
    rig.useStore(createFailingStore());
    await rig.engine.start();
    expect(rig.engine.ready).toBe(true);
  });

  test("says what it found in the status", async () => {
    const rig = await startRig();
    await rig.create("db");
    await rig.attach({ volumes: [wanted("db")] });
    await rig.restart();
    const { recovery, bootId, mountBackend } = await rig.engine.status(PEER);
    expect(recovery).toMatchObject({ adopted: 1, cleared: 0, completed: 0, damaged: 0, orphans: [] });
    expect([bootId, mountBackend]).toEqual([rig.clock.bootId(), "bind"]);
  });

  test("a label that was spoiled since it was written is written anew, in trash too, and no other", async () => {
    const rig = await startRig();
    const [live, sound] = [await rig.create("db"), await rig.create("logs")];
    const retained = await rig.create("old");
    await rig.destroy("old");
    await rig.engine.stop();
    for (const { uuid } of [live, retained]) rig.disk.spoilLabel(uuid);
    const written: string[] = [];
    const { writeLabel } = rig.disk;
    rig.disk.writeLabel = (volume) => {
      written.push(volume.id);
      writeLabel.call(rig.disk, volume);
    };
    await rig.restart();
    await settle();
    expect(written.toSorted()).toEqual(["db", "old"]);
    expect(rig.disk.label(sound.uuid)?.id).toBe("logs");
  });

  test("a label that is newer than its record is left alone", async () => {
    const rig = await startRig();
    const volume = await rig.create("db");
    await rig.engine.stop();
    rig.disk.writeLabel({ ...volume, revision: volume.revision + 5, shared: true });
    await rig.restart();
    await settle();
    expect(rig.disk.label(volume.uuid)?.shared).toBe(true);
  });

  test("a damaged record harms nobody else, and its directory is neither orphan nor spare", async () => {
    const rig = await startRig();
    const { uuid } = await rig.create("db");
    const damaged = new Rig({ store: { damaged: [{ table: "volumes", key: uuid, reason: "bad checksum" }] } });
    await damaged.engine.start();
    await damaged.create("logs");
    const { problems, recovery } = await damaged.engine.status(PEER);
    expect(recovery.damaged).toBe(1);
    expect(problems).toEqual([expect.stringContaining("holdfast rebuild")]);
  });
});

describe("a kill", () => {
  test("after CREATE was committed and before its label was written: the volume is there, with its label", async () => {
    const rig = await startRig();
    rig.disk.failNext("writeLabel", BROKEN);
    const { uuid } = await rig.create("db");
    await rig.restart();
    expect(await rig.states()).toEqual(["db detached"]);
    expect(rig.disk.label(uuid)).toBeDefined();
  });

  test("before CREATE was committed: nothing is there, and its directory is a spare again", async () => {
    const rig = await startRig();
    rig.store.hold();
    void rig.create("db").catch(() => undefined);
    await settle();
    const store = createMemoryStore();
    rig.disk.crash();
    rig.useStore(store);
    await rig.engine.start();
    expect(await rig.states()).toEqual([]);
    expect((await rig.disk.list(() => false)).volumes).toEqual([]);
  });

  test("between the commit of DESTROY and the move: the move is made up for", async () => {
    const rig = await startRig();
    const { uuid } = await rig.create("db");
    const drop = rig.disk.drop.bind(rig.disk);
    rig.disk.drop = () => new Promise(() => {});
    void rig.destroy("db");
    await settle();
    expect(rig.store.contents().records.volumes.get(uuid)?.phase).toBe("destroying");
    rig.disk.drop = drop;
    await rig.restart();
    expect(await rig.states()).toEqual(["db retained"]);
    expect(rig.disk.examineTrash(uuid).state).toBe("present");
  });

  test("between the mount and its commit: the mount is taken back", async () => {
    const rig = await startRig();
    await rig.create("db");
    const attach = rig.mounter.attach.bind(rig.mounter);
    rig.mounter.attach = async (request) => {
      await attach(request);
      return new Promise(() => {});
    };
    void rig.attach({ volumes: [wanted("db")] });
    await settle();
    expect(rig.mounter.places()).toEqual(["/sandbox/data"]);
    rig.mounter.attach = attach;
    await rig.restart();
    expect(rig.mounter.places()).toEqual([]);
    expect(await rig.states()).toEqual(["db detached"]);
    await rig.attach({ volumes: [wanted("db")] });
  });

  test("between the intent and the mount: nothing is left", async () => {
    const rig = await startRig();
    await rig.create("db");
    rig.mounter.attach = () => new Promise(() => {});
    void rig.attach({ volumes: [wanted("db")] });
    await settle();
    expect(await rig.states()).toEqual(["db attaching"]);
    await rig.restart();
    expect(await rig.states()).toEqual(["db detached"]);
    expect(rig.store.contents().records.containers.size).toBe(0);
  });

  test("between the intent and the unmount: the volume is attached as before", async () => {
    const rig = await startRig();
    await rig.create("db");
    await rig.attach({ volumes: [wanted("db")] });
    const detach = rig.mounter.detach.bind(rig.mounter);
    rig.mounter.detach = () => new Promise(() => {});
    void rig.detach();
    await settle();
    expect(await rig.states()).toEqual(["db detaching"]);
    rig.mounter.detach = detach;
    await rig.restart();
    expect(await rig.attachments()).toEqual(["db at data: attached"]);
    expect(rig.mounter.shown(target())).toBeDefined();
  });

  test("between the unmount and its commit: the volume is detached", async () => {
    const rig = await startRig();
    await rig.create("db");
    await rig.attach({ volumes: [wanted("db")] });
    const detach = rig.mounter.detach.bind(rig.mounter);
    rig.mounter.detach = async (...args) => {
      await detach(...args);
      return new Promise(() => {});
    };
    void rig.detach();
    await settle();
    rig.mounter.detach = detach;
    await rig.restart();
    expect(await rig.states()).toEqual(["db detached"]);
    expect(rig.store.contents().records.containers.size).toBe(0);
  });

  test("in the middle of a restore: the content is in trash again", async () => {
    const rig = await startRig();
    const { uuid, role, id } = await rig.create("db");
    await rig.destroy("db");
    const restore = rig.disk.restore.bind(rig.disk);
    rig.disk.restore = async (volume) => {
      await restore(volume);
      return new Promise(() => {});
    };
    void rig.engine.restore(PEER, { role, id });
    await settle();
    expect(rig.disk.examineTrash(uuid).state).toBe("missing");
    rig.disk.restore = restore;
    await rig.restart();
    expect(rig.disk.examineTrash(uuid).state).toBe("present");
    expect(await rig.states()).toEqual(["db retained"]);
    expect((await rig.engine.restore(PEER, { role, id })).state).toBe("detached");
  });

  test("leaves live mounts as they are: they are adopted without touching the kernel", async () => {
    const rig = await startRig();
    await rig.create("db");
    await rig.attach({ volumes: [wanted("db")] });
    const { attach, detach } = rig.mounter.calls;
    await rig.restart();
    expect(rig.mounter.calls).toMatchObject({ attach, detach });
    expect(await rig.states()).toEqual(["db attached"]);
  });
});

describe("a reboot", () => {
  test("clears every attachment and every mountpoint that was made", async () => {
    const rig = await startRig();
    await rig.create("db");
    await rig.create("logs");
    await rig.attach({ volumes: [wanted("db"), wanted("logs", { at: "logs" })] });
    await rig.reboot();
    expect(await rig.states()).toEqual(["db detached", "logs detached"]);
    expect(rig.mounter.mountpoints()).toEqual([]);
    expect(rig.store.contents().records.containers.size).toBe(0);
    expect((await rig.engine.status(PEER)).recovery.cleared).toBe(2);
  });

  test("clears a container though one of its mountpoints cannot be cleared", async () => {
    const rig = await startRig();
    await rig.create("db");
    await rig.attach({ volumes: [wanted("db")] });
    rig.clock.reboot();
    rig.mounter.reboot();
    rig.mounter.failNext("clear", BROKEN);
    await rig.restart();
    expect(await rig.states()).toEqual(["db detached"]);
  });

  test("takes away symlinks, which outlive it", async () => {
    const rig = await startRig({ mounter: { backend: "symlink" } });
    await rig.create("db");
    await rig.attach({ volumes: [wanted("db")] });
    await rig.reboot();
    expect(rig.mounter.places()).toEqual([]);
  });

  test("keeps volumes, reservations and retained content", async () => {
    const rig = await startRig();
    const { uuid } = await rig.create("db");
    rig.disk.fill(uuid);
    await rig.create("logs");
    await rig.destroy("logs");
    await rig.powerCut();
    expect(await rig.states()).toEqual(["db detached", "logs retained"]);
    expect(rig.disk.files(uuid)).toBe(1);
  });
});

describe("a second recovery", () => {
  test("finds nothing to do", async () => {
    const rig = await startRig();
    await rig.create("db");
    await rig.attach({ volumes: [wanted("db")] });
    await rig.restart();
    await rig.syncLabels();
    const commits = rig.store.commits.length;
    const { inspect: _, ...calls } = rig.mounter.calls;
    await rig.restart();
    await rig.syncLabels();
    expect(rig.store.commits).toHaveLength(commits);
    expect(rig.mounter.calls).toMatchObject(calls);
  });
});

describe("orphans", () => {
  test("are shown with what to do, and never removed", async () => {
    const rig = await startRig();
    const { uuid } = await rig.create("db");
    rig.disk.fill(uuid);
    rig.useStore(createMemoryStore());
    await rig.engine.start();
    await settle();
    const { problems, recovery } = await rig.engine.status(PEER);
    expect(recovery.orphans).toEqual([`/memory/volumes/${uuid}`]);
    expect(problems).toEqual([expect.stringContaining("holdfast rebuild")]);
    expect(rig.disk.examine(uuid).state).toBe("present");
  });

  test("are not what was collected while the disk was listed", async () => {
    const rig = await startRig();
    const { uuid } = await rig.create("db");
    await rig.destroy("db");
    const list = rig.disk.list.bind(rig.disk);
    rig.disk.list = async () => {
      const seen = await list(() => false);
      rig.disk.list = list;
      await rig.engine.collect(PEER, { dryRun: false, uuids: [uuid] });
      return seen;
    };
    await rig.engine.reconcile();
    expect((await rig.engine.status(PEER)).recovery.orphans).toEqual([]);
  });

  test("of a disk that cannot be listed are shown as they were seen last", async () => {
    const rig = await startRig();
    const { uuid } = await rig.create("db");
    rig.useStore(createMemoryStore());
    await rig.engine.start();
    await settle();
    rig.disk.failNext("list", BROKEN);
    await rig.engine.reconcile();
    expect((await rig.engine.status(PEER)).recovery.orphans).toEqual([`/memory/volumes/${uuid}`]);
  });
});

describe("the declared disk after a restart with less of it", () => {
  test("starts, shows it and refuses new reservations, not the volumes that are there", async () => {
    const rig = await startRig();
    await rig.create("db", { sizeMb: 800 });
    const smaller = new Rig({
      declared: [disk(500)],
      store: { records: changesOf(rig) },
    });
    smaller.disk.examine = rig.disk.examine.bind(rig.disk);
    await smaller.engine.start();
    expect(await smaller.states()).toEqual(["db detached"]);
    const { problems } = await smaller.engine.status(PEER);
    expect(problems).toEqual([expect.stringContaining("300 MB more are reserved")]);
    await smaller.attach({ volumes: [wanted("db")] });
    expect(await smaller.attachments(WEB)).toEqual(["db at data: attached"]);
  });
});

describe("the periodic reconcile", () => {
  test("runs again and again, whatever fails in it", async () => {
    const rig = await startRig();
    const { uuid } = await rig.create("db");
    rig.disk.lose(uuid);
    rig.disk.failNext("usage", BROKEN);
    for (let round = 0; round < 2; round += 1) {
      rig.clock.advance(RECONCILE_MS);
      await settle();
    }
    expect(await rig.states()).toEqual(["db damaged"]);
    await rig.engine.stop();
    const waiting = rig.clock.waiting;
    rig.clock.advance(10 * RECONCILE_MS);
    expect(rig.clock.waiting).toBeLessThanOrEqual(waiting);
  });
});

/** What the store has, as changes that make another one. */
function changesOf(rig: Rig) {
  const { reservations, volumes } = rig.store.contents().records;
  return [
    ...[...reservations].map(([key, value]) => ({ table: "reservations" as const, key, value })),
    ...[...volumes].map(([key, value]) => ({ table: "volumes" as const, key, value })),
  ];
}
