import { mkdirSync, mkdtempSync, realpathSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createHolders } from "../../src/host/holders.ts";
import { describeProcess } from "../../src/host/processes.ts";
import { MS, mount, UMOUNT, umount2 } from "../../src/host/syscalls.ts";
import type { Holders } from "../../src/ports/holders.ts";
import { mayMount } from "../e2e/privileges.ts";
import { manyComeAndGo, type Resident, type ResidentOptions, startResident } from "../support/resident.ts";

let base: string;
let db: string;
let holders: Holders;
const residents: Resident[] = [];
const mounts: string[] = [];

beforeEach(() => {
  // Both need their escapes in mount tables.
  base = mkdtempSync(`${realpathSync(tmpdir())}/holdfast directory\\holders-`);
  // A file system of its own: who sits in what a neighbouring test has detached could be in any directory of theirs.
  if (mayMount) mounted("none", base, "tmpfs");
  db = `${base}/srv/db`;
  for (const path of [`${db}/inside/deeper`, `${base}/srv/db2`, `${base}/elsewhere`])
    mkdirSync(path, { recursive: true });
  writeFileSync(`${db}/inside/file`, "content");
  writeFileSync(`${base}/srv/db2/file`, "content");
  holders = createHolders({ diskRoots: [] });
});
afterEach(async () => {
  await holders.close();
  for (const resident of residents.splice(0)) await resident.stop();
  for (const path of mounts.splice(0).toReversed()) umount2(path, UMOUNT.DETACH | UMOUNT.NOFOLLOW);
  rmSync(base, { recursive: true });
});

async function start(script: string, options?: ResidentOptions): Promise<Resident> {
  const resident = await startResident(script, options);
  residents.push(resident);
  return resident;
}

function mounted(from: string, to: string, type: string | null = null): void {
  mount(from, to, type, type === null ? MS.BIND : 0);
  mounts.push(to);
}

const pidsOf = async (...directories: readonly string[]) =>
  (await holders.ofDirectories(directories)).flatMap(({ pid }) => pid ?? []).toSorted();
const phrases = async (directory = db) => (await holders.ofDirectories([directory])).map(({ phrase }) => phrase);

describe("ofDirectories", () => {
  test("cannot tell of a directory that is not there", async () => {
    await expect(holders.ofDirectories([`${base}/none`])).rejects.toMatchObject({ code: "unavailable" });
  });

  test("finds nobody in an idle directory, and nobody in none", async () => {
    expect(await holders.ofDirectories([db])).toEqual([]);
    expect(await holders.ofDirectories([])).toEqual([]);
  });

  test("finds working directories and open files in it, also when it was moved", async () => {
    const sitting = await start("true", { cwd: `${db}/inside/deeper` });
    const atTop = await start("true", { cwd: db });
    const reading = await start(`exec 3<"${db}/inside/file"`);
    expect(await pidsOf(db)).toEqual([sitting.pid, atTop.pid, reading.pid].toSorted());
    expect(await phrases()).toContain(`process ${atTop.pid}, cat, ${describeProcess(atTop.pid).cgroup} is in it`);
    renameSync(db, `${base}/elsewhere/db`);
    expect(await pidsOf(`${base}/elsewhere/db`)).toEqual([sitting.pid, atTop.pid, reading.pid].toSorted());
  });

  test("does not mean who sits above it, or beside it under a similar name", async () => {
    await start("true", { cwd: `${base}/srv` });
    await start(`exec 3<"${base}/srv/db2/file"`, { cwd: `${base}/srv/db2` });
    expect(await holders.ofDirectories([db])).toEqual([]);
  });

  test("tells several directories apart", async () => {
    const { pid } = await start("true", { cwd: `${base}/srv/db2` });
    expect(await holders.ofDirectories([db, `${base}/srv/db2`])).toMatchObject([{ directory: `${base}/srv/db2`, pid }]);
  });

  test("a program that runs from it is in it", async () => {
    const { pid } = await start(`cp /bin/sleep "${db}/program"; "${db}/program" 60 & sleep 0.2`);
    expect((await pidsOf(db)).filter((one) => one !== pid)).toHaveLength(1);
  });
});

describe.runIf(mayMount)("ofDirectories across mounts", () => {
  test("finds our own bind of it, of something in it, and a mount on something in it", async () => {
    for (const [from, how] of [
      [db, "it is mounted at"],
      [`${db}/inside`, "it is mounted at"],
    ] as const) {
      mounted(from, `${base}/elsewhere`);
      expect(await phrases()).toEqual([`${how} ${base}/elsewhere`]);
      umount2(mounts.pop() ?? "", UMOUNT.NOFOLLOW);
    }
    mounted("none", `${db}/inside/deeper`, "tmpfs");
    expect(await phrases()).toEqual([`something is mounted in it, at ${db}/inside/deeper`]);
  });

  test.each([
    ["a bind of it", () => `mount --bind "${db}" "${base}/elsewhere"`],
    ["a bind of something in it", () => `mount --bind "${db}/inside/file" "${base}/srv/db2/file"`],
    ["a mount on something in it", () => `mount -t tmpfs none "${db}/inside"`],
    [
      "a mount on something in it, seen through a bind of what is above",
      () => `mount --bind "${base}/srv" "${base}/elsewhere"; mount -t tmpfs none "${base}/elsewhere/db/inside"`,
    ],
  ])("finds %s that only another namespace has", async (_what, script) => {
    const { pid } = await start(script(), { ownNamespace: true });
    expect(await pidsOf(db)).toEqual([pid]);
  });

  test("does not mean a bind of what is above, but who is in it by that", async () => {
    mounted(`${base}/srv`, `${base}/elsewhere`);
    const bind = `mount --bind "${base}/srv" "${base}/elsewhere"`;
    await start(bind, { ownNamespace: true });
    expect(await holders.ofDirectories([db])).toEqual([]);
    const there = `${bind}; cd "${base}/elsewhere"`;
    const sitting = await start(`${there}; cd db/inside`, { ownNamespace: true });
    const reading = await start(`${there}; exec 3<db/inside/file; cd /`, { ownNamespace: true });
    await start(`${there}; exec 3<db2/file; cd db2`, { ownNamespace: true });
    expect(await pidsOf(db)).toEqual([sitting.pid, reading.pid].toSorted());
  });

  test("finds who is in it by a mount that was detached by force", async () => {
    mounted(`${base}/srv`, `${base}/elsewhere`);
    const sitting = await start("true", { cwd: `${base}/elsewhere/db/inside` });
    const reading = await start(`exec 3<"${base}/elsewhere/db/inside/file"`);
    await start(`exec 3<"${base}/elsewhere/db2/file"`, { cwd: `${base}/elsewhere/db2` });
    umount2(mounts.pop() ?? "", UMOUNT.DETACH);
    expect(await pidsOf(db)).toEqual([sitting.pid, reading.pid].toSorted());
  });

  test("does not mean who has for a moment what may lie anywhere, as a container that is being started", async () => {
    const there = `"${base}/elsewhere"`;
    const once = `mount --bind ${there} ${there}; cd ${there}; umount -l ${there}; sleep 0.005; cd /; sleep 0.1`;
    await start(`while :; do ${once}; done &`, { ownNamespace: true });
    for (let look = 0; look < 60; look += 1) expect(await holders.ofDirectories([db])).toEqual([]);
  });

  test("does not mean those who come with mounts of their own while it is looked", async () => {
    await start(manyComeAndGo(`${base}/elsewhere`));
    for (let round = 0; round < 100; round += 1) expect(await holders.ofDirectories([db])).toEqual([]);
  });
});
