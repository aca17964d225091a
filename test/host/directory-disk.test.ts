import { randomUUID } from "node:crypto";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ROOT_DISK } from "../../src/domain/resource.ts";
import type { AgentId, Role, VolumeId } from "../../src/domain/units.ts";
import { openDirectoryDisk } from "../../src/host/directory-disk.ts";
import type { Disk, Spare } from "../../src/ports/disk.ts";
import { createMemoryLog } from "../auth/memory-log.ts";
import { type DiskWorld, diskContract } from "../contract/disk.ts";
import { diskSizesContract } from "../contract/disk-sizes.ts";
import { PLAIN_LABELS as labels, openDirectoryWorld } from "../support/directory-world.ts";
import { volumeOn } from "../support/sample-volume.ts";

let root: string;
let log = createMemoryLog();
const opened: Disk[] = [];

beforeEach(() => {
  root = mkdtempSync(`${realpathSync(tmpdir())}/holdfast-disk-`);
  log = createMemoryLog();
});
afterEach(async () => {
  for (const disk of opened.splice(0)) await disk.close();
  rmSync(root, { recursive: true });
});

async function open(spares = { min: 4, max: 16 }): Promise<Disk> {
  const disk = await openDirectoryDisk({ root, source: ROOT_DISK, labels, log, spares });
  opened.push(disk);
  return disk;
}

async function openWorld(): Promise<DiskWorld> {
  return await openDirectoryWorld({ root });
}

diskContract("directory", openWorld);
diskSizesContract("directory", openWorld, "nothing");

async function openMemoryWorld(): Promise<DiskWorld> {
  const inMemory = mkdtempSync("/dev/shm/holdfast-disk-");
  const world = await openDirectoryWorld({ root: inMemory });
  return {
    ...world,
    async dispose() {
      await world.dispose();
      rmSync(inMemory, { recursive: true });
    },
  };
}

diskContract("directory on tmpfs", openMemoryWorld);
diskSizesContract("directory on tmpfs", openMemoryWorld, "nothing");

async function one(disk: Disk): Promise<Spare> {
  const [spare] = await disk.take(1);
  if (spare === undefined) throw new Error("No spare");
  return spare;
}

function modeOf(path: string): string {
  return (statSync(path).mode & 0o7777).toString(8);
}

describe("openDirectoryDisk", () => {
  test("refuses a root that is missing or no directory", async () => {
    const file = `${root}/file`;
    writeFileSync(file, "");
    for (const wrong of [`${root}/missing`, file]) {
      const disk = openDirectoryDisk({ root: wrong, source: ROOT_DISK, labels, log });
      await expect(disk).rejects.toMatchObject({ code: "invalid" });
    }
  });

  test("refuses a symlink or a file in place of volumes", async () => {
    mkdirSync(`${root}/elsewhere`);
    symlinkSync("elsewhere", `${root}/volumes`);
    await expect(open()).rejects.toMatchObject({ code: "conflict" });
    rmSync(`${root}/volumes`);
    writeFileSync(`${root}/volumes`, "");
    await expect(open()).rejects.toMatchObject({ code: "conflict" });
  });

  test("makes its directories private and closes what was open to others", async () => {
    mkdirSync(`${root}/trash`);
    chmodSync(`${root}/trash`, 0o777);
    const spare = await one(await open());
    const directories = ["volumes", "trash", "volumes/roles", `volumes/${spare.uuid}`];
    expect(directories.map((name) => modeOf(`${root}/${name}`))).toEqual(Array(4).fill("700"));
    expect(modeOf(`${root}/volumes/${spare.uuid}/content`)).toBe("755");
  });

  test("gives content the same mode under any umask", async () => {
    const umask = process.umask(0o077);
    try {
      const spare = await one(await open());
      expect(modeOf(`${root}/volumes/${spare.uuid}/content`)).toBe("755");
    } finally {
      process.umask(umask);
    }
  });

  test("names the file system", async () => {
    expect((await open()).fileSystem.type).toMatch(/^[a-z0-9]+$/);
  });
});

describe("spares", () => {
  test("are there before anybody asks, once leftovers were looked for, and identified by inode and birth time", async () => {
    const disk = await open();
    await disk.list(() => false);
    await expect.poll(() => readdirSync(`${root}/volumes`).length).toBe(5);
    const spare = await one(disk);
    const { ino, birthtimeNs } = lstatSync(`${root}/volumes/${spare.uuid}/content`, { bigint: true });
    expect(spare.directory).toEqual({ ino: String(ino), birthNs: String(birthtimeNs) });
  });

  test("list removes what a kill left half made, and no directory that has anything in it", async () => {
    const disk = await open();
    const [halfMade, strange] = [randomUUID(), randomUUID()];
    mkdirSync(`${root}/volumes/${halfMade}`);
    mkdirSync(`${root}/volumes/${strange}/other`, { recursive: true });
    expect((await disk.list(() => false)).volumes).toEqual([strange]);
    expect(existsSync(`${root}/volumes/${halfMade}`)).toBe(false);
  });

  test("list does not take spares that are being made for volumes", async () => {
    const disk = await open({ min: 64, max: 512 });
    const taking = Promise.all([disk.take(300), disk.take(300)]);
    for (let round = 0; round < 20; round += 1) expect((await disk.list(() => false)).volumes).toEqual([]);
    await taking;
  });

  test("a directory that somebody else owns or changed is no leftover", async () => {
    const disk = await open({ min: 0, max: 0 });
    const [touched, labelled] = await disk.take(2);
    if (touched === undefined || labelled === undefined) throw new Error("No spares");
    chmodSync(`${root}/volumes/${touched.uuid}/content`, 0o700);
    disk.writeLabel(volumeOn(labelled));
    const again = await open({ min: 0, max: 0 });
    expect((await again.list(() => false)).volumes.toSorted()).toEqual([touched.uuid, labelled.uuid].toSorted());
  });
});

describe("labels", () => {
  test("are for the owner only, and leave no drafts", async () => {
    const disk = await open();
    const volume = volumeOn(await one(disk));
    disk.writeLabel(volume);
    disk.writeLabel({ ...volume, revision: 2 });
    expect(readdirSync(`${root}/volumes/${volume.uuid}`).toSorted()).toEqual(["content", "label"]);
    expect(modeOf(`${root}/volumes/${volume.uuid}/label`)).toBe("600");
  });

  test("the symlink is relative, so that it survives a move of the root", async () => {
    const disk = await open();
    const volume = volumeOn(await one(disk), { role: "eng/front" as Role });
    disk.writeLabel(volume);
    expect(readlinkSync(`${root}/volumes/roles/eng front/db`)).toBe(`../../${volume.uuid}/content`);
  });

  test("a role too long for a file name has no symlink, and still a label", async () => {
    const disk = await open();
    const volume = volumeOn(await one(disk), { role: `${"long/".repeat(60)}role` as Role });
    disk.writeLabel(volume);
    expect(existsSync(`${root}/volumes/${volume.uuid}/label`)).toBe(true);
    expect(log.lines.map(({ level }) => level)).toEqual(["debug"]);
  });

  test("what somebody put in place of a symlink is left alone", async () => {
    const disk = await open();
    mkdirSync(`${root}/volumes/roles/ads/db`, { recursive: true });
    const volume = volumeOn(await one(disk));
    disk.writeLabel(volume);
    await disk.drop(volume);
    expect(lstatSync(`${root}/volumes/roles/ads/db`).isDirectory()).toBe(true);
  });

  test("the disk's own label is the last one given, however many were at once", async () => {
    const disk = await open();
    const ids = ["a", "b", "c", "d"] as AgentId[];
    await Promise.all(ids.map((agentId) => disk.writeNodeLabel({ agentId, reservations: [] })));
    expect(JSON.parse(readFileSync(`${root}/label`, "utf8")).agentId).toBe("d");
    expect(existsSync(`${root}/label.new`)).toBe(false);
  });
});

describe("examine", () => {
  test("tells a symlink and a file from a directory", async () => {
    const disk = await open();
    const spare = await one(disk);
    const content = `${root}/volumes/${spare.uuid}/content`;
    renameSync(content, `${root}/aside`);
    symlinkSync(`${root}/aside`, content);
    expect(disk.examine(spare.uuid)).toEqual({ state: "foreign", reason: "is a symlink" });
    await expect(disk.drop(volumeOn(spare))).rejects.toMatchObject({ code: "damaged" });
    rmSync(content);
    writeFileSync(content, "");
    expect(disk.examine(spare.uuid)).toEqual({ state: "foreign", reason: "is not a directory" });
  });
});

describe("drop", () => {
  test("refuses a symlink in place of the incarnation, and leaves it alone", async () => {
    const disk = await open();
    const volume = volumeOn(await one(disk), { id: "db" as VolumeId });
    disk.writeLabel(volume);
    renameSync(`${root}/volumes/${volume.uuid}`, `${root}/aside`);
    symlinkSync("../aside", `${root}/volumes/${volume.uuid}`);
    await expect(disk.drop(volume)).rejects.toMatchObject({ code: "damaged" });
    expect(readdirSync(`${root}/aside`)).toContain("content");
  });

  test("refuses when something else has the name in trash", async () => {
    const disk = await open();
    const volume = volumeOn(await one(disk), { id: "db" as VolumeId });
    disk.writeLabel(volume);
    mkdirSync(`${root}/trash/${volume.uuid}/content`, { recursive: true });
    await expect(disk.drop(volume)).rejects.toMatchObject({ code: "damaged" });
    expect(disk.examine(volume.uuid).state).toBe("present");
  });

  test("500 at once", async () => {
    const disk = await open();
    const volumes = (await disk.take(500)).map((spare, index) => volumeOn(spare, { id: `db-${index}` as VolumeId }));
    await Promise.all(volumes.map((volume) => disk.drop(volume)));
    expect((await disk.list(() => false)).trash.length).toBe(500);
  });
});

test("list leaves foreign names alone and says so once", async () => {
  const disk = await open();
  mkdirSync(`${root}/volumes/lost+found`);
  await disk.list(() => false);
  await disk.list(() => false);
  expect(log.lines).toEqual([expect.objectContaining({ level: "warn", fields: { root, name: "lost+found" } })]);
});
