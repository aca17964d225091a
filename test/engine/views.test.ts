import { describe, expect, test } from "vitest";
import type { ContainerId, Role, VolumeId } from "../../src/domain/units.ts";
import { setVolume } from "../contract/samples.ts";
import { disk, reservedFor, volume } from "../domain/world.ts";
import { createFailingStore } from "../fakes/failing-store.ts";
import { MemoryDisk } from "../fakes/memory-disk.ts";
import { BROKEN, creating, OPS, outcomeOf, PEER, Rig, reserving, settle, startRig, wanted } from "./rig.ts";

const ADS_ONLY = {
  permissive: false,
  view_roles: [{ principals: { values: ["ops"] }, roles: { values: ["ads"] } }],
};

/** `ads/db`, `ads/logs`, and `eng/db`. */
async function furnished(): Promise<Rig> {
  const rig = await startRig();
  await rig.create("logs");
  await rig.create("db");
  const eng = [reservedFor("eng")];
  await rig.perform(
    { type: "RESERVE", resources: [disk(100, eng)] },
    { type: "CREATE", volumes: [volume("db", 100, eng)] },
  );
  return rig;
}

/** A disk whose file system does not answer any more. */
function hangingDisk() {
  let asked = 0;
  const disk = new MemoryDisk({
    source: { type: "PATH", root: "/hung" },
    root: "/hung",
    pause: (call) => {
      if (call !== "usage") return Promise.resolve();
      asked += 1;
      return new Promise(() => {});
    },
  });
  return { disk, asked: () => asked };
}

const names = async (rig: Rig, ...args: Parameters<Rig["engine"]["volumes"]>) =>
  (await rig.engine.volumes(...args)).map(({ volume: { role, id } }) => `${role}/${id}`);

describe("volumes", () => {
  test("cannot be continued behind one that is not in the list any more", async () => {
    const rig = await furnished();
    const { uuid } = await rig.live("db");
    await rig.destroy("db");
    expect(await outcomeOf(rig.engine.volumes(PEER, { after: uuid, state: "detached" }))).toBe("invalid");
  });

  test("are ordered by role and id, the newest incarnation first", async () => {
    const rig = await furnished();
    await rig.destroy("db");
    rig.clock.advance(1_000);
    await rig.perform(creating("db"));
    const views = await rig.engine.volumes(PEER, { role: "ads" as Role });
    expect(views.map(({ volume: { id, phase } }) => `${id} ${phase}`)).toEqual(["db live", "db retained", "logs live"]);
  });

  test("are filtered by role and by state", async () => {
    const rig = await furnished();
    await rig.attach({ volumes: [wanted("db")] });
    expect(await names(rig, PEER, { role: "eng" as Role })).toEqual(["eng/db"]);
    expect(await names(rig, PEER, { state: "attached" })).toEqual(["ads/db"]);
  });

  test("are paged", async () => {
    const rig = await furnished();
    const [first, second] = await rig.engine.volumes(PEER, { limit: 2 });
    expect([first?.volume.id, second?.volume.id]).toEqual(["db", "logs"]);
    if (second === undefined) throw new Error("The page is too short");
    expect(await names(rig, PEER, { after: second.volume.uuid, limit: 2 })).toEqual(["eng/db"]);
  });

  test("are paged behind a name, whether there is any such volume, and only those whose record is wanted", async () => {
    const rig = await furnished();
    const behind = (role: string, id: string) => ({ behind: { role: role as Role, id: id as VolumeId } });
    expect(await names(rig, PEER, behind("ads", "db"))).toEqual(["ads/logs", "eng/db"]);
    expect(await names(rig, PEER, behind("ads", "gone"))).toEqual(["ads/logs", "eng/db"]);
    expect(await names(rig, PEER, { ...behind("ads", ""), where: ({ id }) => id === "db", limit: 1 })).toEqual([
      "ads/db",
    ]);
    expect(await names(rig, PEER, behind("eng", "db"))).toEqual([]);
  });

  test("of roles that may not be viewed are left out", async () => {
    const rig = await furnished();
    rig.setAcls(ADS_ONLY);
    expect(await names(rig, OPS)).toEqual(["ads/db", "ads/logs"]);
    expect(await names(rig, PEER)).toHaveLength(3);
  });

  test("say where the content is now", async () => {
    const rig = await furnished();
    const { uuid } = await rig.live("db");
    expect((await rig.view("db")).path).toBe(`/memory/volumes/${uuid}/content`);
    await rig.destroy("db");
    expect((await rig.view("db")).path).toBe(`/memory/trash/${uuid}/content`);
  });
});

describe("volume", () => {
  test("of a role that may not be viewed is forbidden, there or not", async () => {
    const rig = await furnished();
    rig.setAcls(ADS_ONLY);
    for (const id of ["db", "none"]) {
      expect(await outcomeOf(rig.engine.volume(OPS, "eng" as Role, id as VolumeId))).toBe("forbidden");
    }
  });

  test("that nobody knows is refused", async () => {
    const rig = await furnished();
    expect(await outcomeOf(rig.view("none"))).toBe("no_such_volume");
  });

  test("is the live one, else the newest retained one", async () => {
    const rig = await furnished();
    await rig.destroy("db");
    expect((await rig.view("db")).state).toBe("retained");
    await rig.perform(creating("db"));
    expect((await rig.view("db")).state).toBe("detached");
  });
});

describe("resources", () => {
  test("of roles that may not be viewed are left out, unreserved disk is everybody's", async () => {
    const rig = await furnished();
    rig.setAcls(ADS_ONLY);
    const { resources } = await rig.engine.resources(OPS);
    expect(resources.map(({ reservations }) => reservations.at(-1)?.role)).toEqual([undefined, "ads", "ads"]);
  });
});

describe("containers", () => {
  test("tell nothing of volumes of roles that may not be viewed", async () => {
    const rig = await furnished();
    const eng = { ...wanted("db", { at: "eng" }), role: "eng" as Role };
    await rig.attach({ volumes: [wanted("db"), eng] });
    rig.setAcls(ADS_ONLY);
    const [view] = await rig.engine.containers(OPS);
    expect(view?.attachments.map(({ role }) => role)).toEqual(["ads"]);
    expect(view?.container.attachments).toHaveLength(1);
  });
});

describe("status", () => {
  test("shows the other disks where one cannot be measured", async () => {
    const rig = await furnished();
    rig.disk.failNext("usage", BROKEN);
    const { disks, problems } = await rig.engine.status(PEER);
    expect(disks).toMatchObject([{ root: "/memory", totalBytes: 0, declaredMb: 1_000 }]);
    expect(problems).toEqual([`Disk /memory cannot be measured: ${BROKEN.message}`]);
  });

  test("waits two seconds for a disk that hangs, and asks it no second time", async () => {
    const { disk: hanging, asked } = hangingDisk();
    const rig = new Rig({ otherDisks: [hanging] });
    const start = rig.engine.start();
    await settle();
    rig.clock.advance(2_000);
    await start;
    const status = rig.engine.status(PEER);
    await settle();
    rig.clock.advance(2_000);
    const { disks, problems } = await status;
    expect(disks).toMatchObject([
      { root: "/memory", totalBytes: 100 * 2 ** 30 },
      { root: "/hung", totalBytes: 0 },
    ]);
    expect(problems).toEqual([expect.stringContaining("disk /hung does not answer")]);
    expect(asked()).toBe(1);
  });

  test("has the remarks of the program around the engine", async () => {
    const rig = await startRig({ remarks: () => ({ problems: ["No credentials"], notices: ["Restart me"] }) });
    expect(await rig.engine.status(PEER)).toMatchObject({ problems: ["No credentials"], notices: ["Restart me"] });
  });

  test("names what is collected next, oldest first, five at most, of roles that may be viewed", async () => {
    const rig = await startRig();
    for (const id of ["a", "b", "c", "d", "e", "f"]) {
      await rig.create(id);
      await rig.destroy(id);
      rig.clock.advance(3_600_000);
    }
    const { collection } = await rig.engine.status(PEER);
    expect(collection.next.map(({ volume: { id } }) => id)).toEqual(["a", "b", "c", "d", "e"]);
    expect(collection.next[0]?.dueAt).toBe((await rig.view("a")).dueAt);
    expect(collection.dueWithinDay).toBe(0);
    rig.clock.advance(4.9 * 86_400_000);
    expect((await rig.engine.status(PEER)).collection.dueWithinDay).toBe(6);
    rig.setAcls({ permissive: false });
    expect((await rig.engine.status(OPS)).collection).toEqual({ next: [], dueWithinDay: 0, sandboxes: 0 });
  });

  test("names the containers that got volumes last, ten at most", async () => {
    const rig = await startRig();
    await rig.create("db", { shared: true });
    for (let count = 0; count < 12; count += 1) {
      const container = `c${count}` as ContainerId;
      await rig.attach({ container, sandbox: `/sandbox/${container}`, volumes: [wanted("db")] });
      rig.clock.advance(1_000);
    }
    const { containers, latestContainers } = await rig.engine.status(PEER);
    expect(containers).toBe(12);
    expect(latestContainers).toHaveLength(10);
    expect(latestContainers[0]).toMatchObject({ id: "c11", volumes: 1 });
  });

  test("of fifty thousand volumes takes a moment", async () => {
    const rig = new Rig({ store: { records: Array.from({ length: 50_000 }, (_, index) => setVolume(index)) } });
    await rig.engine.start();
    const startedAt = performance.now();
    const { collection, volumes } = await rig.engine.status(PEER);
    expect(performance.now() - startedAt).toBeLessThan(3_000);
    expect(collection.next).toHaveLength(5);
    expect(volumes.retained).toBe(25_000);
  });

  test("adds up each disk, and counts volumes by state", async () => {
    const rig = await furnished();
    await rig.perform(reserving(50));
    await rig.attach({ volumes: [wanted("db")] });
    await rig.destroy("logs");
    const status = await rig.engine.status(PEER);
    expect(status.disks).toMatchObject([{ declaredMb: 1_000, reservedMb: 350, volumesMb: 200, retainedMb: 100 }]);
    expect(status.volumes).toMatchObject({ attached: 1, detached: 1, retained: 1, damaged: 0 });
    expect(status.containers).toBe(1);
    expect(status.problems).toEqual([]);
  });
});

describe("ping", () => {
  test("gets no answer while the store gives none", async () => {
    const rig = await startRig();
    const release = rig.store.hold();
    let answered = false;
    const ping = rig.engine.ping().then(() => {
      answered = true;
    });
    await settle();
    expect(answered).toBe(false);
    release();
    await ping;
  });

  test("is refused while nothing can be decided, and before the start", async () => {
    const rig = new Rig();
    expect(await outcomeOf(rig.engine.ping())).toBe("unavailable");
    rig.useStore(createFailingStore());
    await rig.engine.start();
    await outcomeOf(rig.perform(reserving(1)));
    expect(await outcomeOf(rig.engine.ping())).toBe("unavailable");
  });

  test("is answered after a commit failed for want of room, and while a disk hangs", async () => {
    const rig = new Rig({ otherDisks: [hangingDisk().disk] });
    const start = rig.engine.start();
    await settle();
    rig.clock.advance(2_000);
    await start;
    rig.store.failCommit(1, "disk_full");
    expect(await outcomeOf(rig.perform(reserving(1)))).toBe("disk_full");
    expect(await outcomeOf(rig.engine.ping())).toBe("done");
  });
});
