import { randomUUID } from "node:crypto";
import { mkdirSync, mkdtempSync, realpathSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Incarnation } from "../../src/domain/units.ts";
import { createHolders } from "../../src/host/holders.ts";
import { MS, mount, UMOUNT, umount2 } from "../../src/host/syscalls.ts";
import type { Holders } from "../../src/ports/holders.ts";
import { mayMount } from "../e2e/privileges.ts";
import { startLeaderless } from "../support/leaderless.ts";
import { manyComeAndGo, type Resident, type ResidentOptions, startResident } from "../support/resident.ts";

let root: string;
let uuid: Incarnation;
let content: string;
let holders: Holders;
const residents: Resident[] = [];
const mounts: string[] = [];

beforeEach(() => {
  root = mkdtempSync(`${realpathSync(tmpdir())}/holdfast holders-`);
  // A file system of its own: who sits in what a neighbouring test has detached could be in any directory of theirs.
  if (mayMount) {
    mount("none", root, "tmpfs", 0);
    mounts.push(root);
  }
  uuid = randomUUID() as Incarnation;
  content = `${root}/volumes/${uuid}/content`;
  mkdirSync(`${content}/inside/deeper`, { recursive: true });
  mkdirSync(`${root}/trash`);
  mkdirSync(`${root}/sandbox`);
  writeFileSync(`${content}/file`, "content");
  holders = createHolders({ diskRoots: [root] });
});
afterEach(async () => {
  await holders.close();
  for (const resident of residents.splice(0)) await resident.stop();
  for (const path of mounts.splice(0).toReversed()) umount2(path, UMOUNT.DETACH | UMOUNT.NOFOLLOW);
  rmSync(root, { recursive: true });
});

async function start(script: string, options?: ResidentOptions): Promise<Resident> {
  const resident = await startResident(script, options);
  residents.push(resident);
  return resident;
}

/** In our own namespace; taken away after the test. */
function bind(from: string, to: string): void {
  mount(from, to, null, MS.BIND);
  mounts.push(to);
}

function unbind(path: string, flags: number): void {
  umount2(path, flags);
  mounts.splice(mounts.indexOf(path), 1);
}

async function elapsedMs(work: () => Promise<unknown>): Promise<number> {
  const startedMs = performance.now();
  await work();
  return performance.now() - startedMs;
}

describe("holders", () => {
  test("nobody holds an idle volume", async () => {
    expect(await holders.mounts([uuid], "everywhere")).toEqual([]);
    expect(await holders.processes([uuid])).toEqual([]);
  });

  test("a hundred questions at once cost no more than a few", async () => {
    const ask = () => Promise.all([holders.mounts([uuid], "everywhere"), holders.processes([uuid])]);
    await ask();
    const oneMs = await elapsedMs(ask);
    const allMs = await elapsedMs(() => Promise.all(Array.from({ length: 100 }, ask)));
    expect(allMs / oneMs).toBeLessThan(20);
  });

  test("a working directory, an open file and a mapping hold the volume, by whatever path", async () => {
    const sitting = await start("true", { cwd: `${content}/inside` });
    const reading = await start(`exec 3<"${content}/file"`);
    const found = await holders.processes([uuid]);
    expect(found.map(({ pid }) => pid).toSorted()).toEqual([sitting.pid, reading.pid].toSorted());
    expect(found[0]).toMatchObject({ uuid, command: "cat" });
  });

  test("a process whose first thread has exited holds it all the same", async () => {
    const leaderless = await startLeaderless({ cwd: `${content}/inside` });
    residents.push(leaderless);
    expect((await holders.processes([uuid])).map(({ pid }) => pid)).toEqual([leaderless.pid]);
    expect((await holders.ofDirectories([content])).flatMap(({ pid }) => pid ?? [])).toContain(leaderless.pid);
  });

  test("a process in a dropped volume is still found", async () => {
    const sitting = await start("true", { cwd: `${content}/inside` });
    renameSync(`${root}/volumes/${uuid}`, `${root}/trash/${uuid}`);
    expect((await holders.processes([uuid])).map(({ pid }) => pid)).toEqual([sitting.pid]);
  });

  test("a process in another volume is not meant", async () => {
    await start("true", { cwd: content });
    expect(await holders.processes([randomUUID() as Incarnation])).toEqual([]);
  });

  test("a closed holder refuses", async () => {
    const closed = createHolders({ diskRoots: [root] });
    await closed.close();
    await expect(closed.mounts([uuid], "elsewhere")).rejects.toMatchObject({ code: "unavailable" });
  });
});

describe.runIf(mayMount)("holders across mount namespaces", () => {
  test("our own mount is seen everywhere, and is not elsewhere", async () => {
    bind(content, `${root}/sandbox`);
    expect(await holders.mounts([uuid], "everywhere")).toEqual([
      expect.objectContaining({ uuid, namespace: "host", mountPoint: `${root}/sandbox`, pid: process.pid }),
    ]);
    expect(await holders.mounts([uuid], "elsewhere")).toEqual([]);
  });

  test.each(["everywhere", "elsewhere"] as const)(
    "a bind that only another namespace has is seen: %s",
    async (scope) => {
      const resident = await start(`mount --bind "${content}" "${root}/sandbox"`, { ownNamespace: true });
      const [held, ...others] = await holders.mounts([uuid], scope);
      expect(others).toEqual([]);
      expect(held).toMatchObject({ uuid, pid: resident.pid, mountPoint: `${root}/sandbox`, command: "cat" });
      expect(held?.namespace).toMatch(/^\d+$/);
    },
  );

  test("a bind of something inside the volume is seen", async () => {
    await start(`mount --bind "${content}/inside/deeper" "${root}/sandbox"`, { ownNamespace: true });
    expect((await holders.mounts([uuid], "elsewhere")).length).toBe(1);
  });

  test("a bind is seen after its volume was dropped, and after its content was deleted", async () => {
    await start(`mount --bind "${content}" "${root}/sandbox"`, { ownNamespace: true });
    renameSync(`${root}/volumes/${uuid}`, `${root}/trash/${uuid}`);
    expect((await holders.mounts([uuid], "elsewhere")).length).toBe(1);
    rmSync(`${root}/trash/${uuid}`, { recursive: true });
    expect((await holders.mounts([uuid], "elsewhere")).length).toBe(1);
  });

  test("one namespace with several processes is reported once", async () => {
    await start(`mount --bind "${content}" "${root}/sandbox"\nsleep 60 & sleep 60 &`, { ownNamespace: true });
    expect((await holders.mounts([uuid], "elsewhere")).length).toBe(1);
  });

  test("a mount outside a chrooted process's view is found through its neighbour", async () => {
    const jail = `${root}/jail`;
    mkdirSync(jail);
    const script = `mount --bind "${content}" "${root}/sandbox"
      mount --bind / "${jail}"
      chroot "${jail}" sleep 60 &
      sleep 0.1`;
    await start(script, { ownNamespace: true });
    expect((await holders.mounts([uuid], "elsewhere")).map(({ mountPoint }) => mountPoint)).toContain(
      `${root}/sandbox`,
    );
  });

  test("several volumes are told apart", async () => {
    const other = randomUUID() as Incarnation;
    mkdirSync(`${root}/volumes/${other}/content`, { recursive: true });
    bind(content, `${root}/sandbox`);
    await start(`mount --bind "${root}/volumes/${other}/content" "${root}/trash"`, { ownNamespace: true });
    const found = await holders.mounts([uuid, other], "everywhere");
    // The new namespace copied the mount that ours had.
    expect(found.map((held) => [held.uuid, held.namespace === "host"])).toEqual(
      expect.arrayContaining([
        [uuid, true],
        [uuid, false],
        [other, false],
      ]),
    );
    expect(found.length).toBe(3);
  });

  test("nothing is left when the namespace ends", async () => {
    const resident = await start(`mount --bind "${content}" "${root}/sandbox"`, { ownNamespace: true });
    await resident.stop();
    await expect.poll(() => holders.mounts([uuid], "everywhere")).toEqual([]);
  });

  test("a process is found through a bind that only its namespace has", async () => {
    const script = `mount --bind "${content}" "${root}/sandbox"\ncd "${root}/sandbox/inside"\nexec 3<../file`;
    const resident = await start(script, { ownNamespace: true });
    expect((await holders.processes([uuid])).map(({ pid }) => pid)).toEqual([resident.pid]);
  });

  test("a process is found after its mount was detached by force: working directory, file, deleted file", async () => {
    bind(content, `${root}/sandbox`);
    writeFileSync(`${content}/short-lived`, "content");
    const sitting = await start("true", { cwd: `${root}/sandbox/inside/deeper` });
    const reading = await start(`exec 3<"${root}/sandbox/file"`);
    const keeping = await start(`exec 3<"${root}/sandbox/short-lived"`);
    rmSync(`${content}/short-lived`);
    unbind(`${root}/sandbox`, UMOUNT.DETACH);
    expect(await holders.mounts([uuid], "everywhere")).toEqual([]);
    expect((await holders.processes([uuid])).map(({ pid }) => pid).toSorted()).toEqual(
      [sitting.pid, reading.pid, keeping.pid].toSorted(),
    );
  });

  test("processes that come and go do not disturb", async () => {
    await start(`mount --bind "${content}" "${root}/sandbox"`, { ownNamespace: true });
    const churn = await startResident("(while true; do unshare -m true; done) 2>/dev/null & echo");
    residents.push(churn);
    for (let round = 0; round < 20; round += 1) {
      expect((await holders.mounts([uuid], "elsewhere")).length).toBeGreaterThanOrEqual(1);
    }
  });

  test("processes that come with mounts of their own while it is looked are not meant", async () => {
    await start(manyComeAndGo(`${root}/sandbox`));
    for (let round = 0; round < 100; round += 1) expect(await holders.processes([uuid])).toEqual([]);
  });
});

afterAll(() => {
  expect([residents, mounts]).toEqual([[], []]);
});
