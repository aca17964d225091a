/** The disk on btrfs with quota groups, where the content of a volume is a subvolume. */
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Volume } from "../../src/domain/records.ts";
import { ROOT_DISK } from "../../src/domain/resource.ts";
import type { ContainerPath, MilliMb } from "../../src/domain/units.ts";
import { createBindMounter } from "../../src/host/bind-mounter.ts";
import { openDirectoryDisk } from "../../src/host/directory-disk.ts";
import { readMountTable } from "../../src/host/mount-table.ts";
import { AT, MS, mount, statx, subvolumeByHandle, UMOUNT, umount2 } from "../../src/host/syscalls.ts";
import type { Disk } from "../../src/ports/disk.ts";
import type { MountRequest } from "../../src/ports/mounter.ts";
import { createMemoryLog } from "../auth/memory-log.ts";
import { diskContract, takeOne } from "../contract/disk.ts";
import { diskSizesContract } from "../contract/disk-sizes.ts";
import { mayMount } from "../e2e/privileges.ts";
import { appendAsContainer, openDirectoryWorld, PLAIN_LABELS } from "../support/directory-world.ts";
import { volumeOn } from "../support/sample-volume.ts";

const MIB = 1024 * 1024;

describe.runIf(mayMount)("DirectoryDisk on btrfs", () => {
  let base: string;
  let mounted: string;
  let root: string;
  let opened: Disk[];

  beforeAll(() => {
    base = mkdtempSync(`${realpathSync(tmpdir())}/holdfast-btrfs-disk-`);
    chmodSync(base, 0o755);
    mounted = `${base}/mounted`;
    makeFileSystem(`${base}/image`, mounted, "600M");
  });
  afterAll(() => {
    try {
      umount2(mounted, UMOUNT.NOFOLLOW | UMOUNT.DETACH);
    } finally {
      rmSync(base, { recursive: true });
    }
  });
  beforeEach(() => {
    opened = [];
    root = mkdtempSync(`${mounted}/disk-`);
  });
  afterEach(async () => {
    for (const disk of opened) await disk.close();
    unmountBelow(root);
    rmSync(root, { recursive: true });
  });

  async function open(spares = { min: 0, max: 0 }, at = root): Promise<Disk> {
    const log = createMemoryLog();
    const disk = await openDirectoryDisk({ root: at, source: ROOT_DISK, labels: PLAIN_LABELS, log, spares });
    opened.push(disk);
    return disk;
  }

  async function create(disk: Disk): Promise<Volume> {
    const volume = volumeOn(await takeOne(disk), { size: 16_000 as MilliMb });
    disk.writeLabel(volume);
    disk.limit(volume);
    return volume;
  }

  const openWorld = () => openDirectoryWorld({ root, purgedNames: 3 });
  diskContract("btrfs", openWorld);
  diskSizesContract("btrfs", openWorld, "qgroup");

  test("tells its UUID as the superblock has it", async () => {
    const uuid = execFileSync("blkid", ["-o", "value", "-s", "UUID", `${base}/image`], { encoding: "utf8" }).trim();
    expect((await open()).fileSystem).toEqual({ type: "btrfs", uuid });
  });

  test("volumes made in the same moment are told apart", async () => {
    const spares = await (await open()).take(256);
    expect(new Set(spares.map(({ directory }) => directory.ino)).size).toBe(256);
    expect(new Set(spares.map(({ directory }) => directory.birthNs)).size).toBeLessThan(256);
  });

  test("a kernel that does not tell subvolumes tells them in file handles", async () => {
    const disk = await open();
    const volume = await create(disk);
    const { subvolume } = statx(AT.FDCWD, disk.contentPath(volume), 0);
    expect(subvolume).toBeGreaterThan(255n);
    expect(subvolumeByHandle(AT.FDCWD, disk.contentPath(volume), 0)).toBe(subvolume);
    expect(statx(AT.FDCWD, root, 0).subvolume).toBeUndefined();
  });

  test("drop refuses another subvolume in the volume's place", async () => {
    const disk = await open();
    const volume = await create(disk);
    const content = disk.contentPath(volume);
    renameSync(content, `${root}/aside`);
    execFileSync("btrfs", ["subvolume", "create", content]);
    await expect(disk.drop(volume)).rejects.toMatchObject({ code: "damaged" });
  });

  test("attach refuses another subvolume in the volume's place, and detach finds its own mount", async () => {
    const disk = await open();
    const [volume, other] = [await create(disk), await create(disk)];
    mkdirSync(`${root}/sandbox`);
    const mounter = createBindMounter();
    const request: MountRequest = {
      sandbox: `${root}/sandbox`,
      containerPath: "data" as ContainerPath,
      uuid: volume.uuid,
      diskRoot: root,
      directory: volume.directory,
      mode: "RW",
    };
    await expect(mounter.attach({ ...request, directory: other.directory })).rejects.toMatchObject({ code: "damaged" });
    writeFileSync(`${disk.contentPath(volume)}/name`, "ours");
    const mountedAt = { ...request, ...(await mounter.attach(request)) };
    expect(readFileSync(`${root}/sandbox/data/name`, "utf8")).toBe("ours");
    expect(appendAsContainer(`${root}/sandbox/data/large`, 32 * MIB)).toBe(false);
    expect((await mounter.inspect(mountedAt)).state).toBe("exact");
    await mounter.detach(mountedAt, { lazy: false });
    expect(readdirSync(`${root}/sandbox`)).toEqual([]);
    await mounter.close();
  });

  test("a copy is a snapshot of its own, held to its own size, and removed with what it is", async () => {
    const disk = await open();
    const [original, spare] = [await create(disk), volumeOn(await takeOne(disk), { size: 32_000 as MilliMb })];
    appendAsContainer(`${disk.contentPath(original)}/file`, 8 * MIB);
    const directory = await disk.copy(spare, { diskRoot: root, volume: original });
    const copy = { ...spare, directory };
    const list = execFileSync("btrfs", ["subvolume", "list", "-s", mounted], { encoding: "utf8" });
    expect(list).toContain(`${copy.uuid}/content`);
    expect(disk.looseness(copy)).toBeUndefined();
    expect(appendAsContainer(`${disk.contentPath(copy)}/more`, 30 * MIB)).toBe(false);
    await disk.discardCopy(copy);
    await disk.purge(copy.uuid);
    expect(disk.examineTrash(copy.uuid).state).toBe("missing");
    expect(readFileSync(`${disk.contentPath(original)}/file`)).toHaveLength(8 * MIB);
  });

  test("a copy has what lies in subvolumes that somebody made in the original", async () => {
    const disk = await open();
    const [original, spare] = [await create(disk), volumeOn(await takeOne(disk), { size: 16_000 as MilliMb })];
    execFileSync("btrfs", ["subvolume", "create", `${disk.contentPath(original)}/nested`]);
    writeFileSync(`${disk.contentPath(original)}/nested/file`, "in it");
    const copy = { ...spare, directory: await disk.copy(spare, { diskRoot: root, volume: original }) };
    expect(readFileSync(`${disk.contentPath(copy)}/nested/file`, "utf8")).toBe("in it");
    expect(disk.looseness(copy)).toBeUndefined();
    await disk.drop(original);
    await disk.purge(original.uuid);
  });

  test("a volume that grows and shrinks while somebody writes is never over the larger size", async () => {
    const disk = await open();
    const volume = await create(disk);
    for (let round = 0; round < 10; round += 1) {
      disk.limit({ ...volume, size: (round % 2 === 0 ? 24_000 : 16_000) as MilliMb });
      appendAsContainer(`${disk.contentPath(volume)}/file-${round}`, 4 * MIB);
    }
    execFileSync("sync", ["--file-system", root]);
    const { usedBytes = 0 } = disk.usageOf(volume) ?? {};
    expect(usedBytes).toBeGreaterThan(14 * MIB);
    expect(usedBytes).toBeLessThanOrEqual(24 * MIB);
  });

  test("looseness names a subvolume that a container made, and purge removes it too", async () => {
    const disk = await open();
    const volume = await create(disk);
    execFileSync("btrfs", ["subvolume", "create", `${disk.contentPath(volume)}/escape`]);
    expect(disk.looseness(volume)).toEqual({ reason: expect.stringMatching(/^subvolume \d+ was made inside of it/) });
    writeFileSync(`${disk.contentPath(volume)}/escape/file`, "");
    await disk.drop(volume);
    await disk.purge(volume.uuid);
    expect(readdirSync(`${root}/trash`)).toEqual([]);
  });

  test("purge leaves what is mounted inside of a volume, and says where", async () => {
    const disk = await open();
    const volume = await create(disk);
    mkdirSync(`${root}/precious`);
    writeFileSync(`${root}/precious/file`, "");
    await disk.drop(volume);
    const inside = `${root}/trash/${volume.uuid}/content/inside`;
    mkdirSync(inside);
    mount(`${root}/precious`, inside, null, MS.BIND);
    try {
      await expect(disk.purge(volume.uuid)).rejects.toMatchObject({
        code: "in_use",
        message: expect.stringContaining(inside),
      });
      expect(readdirSync(inside)).toEqual(["file"]);
    } finally {
      umount2(inside, UMOUNT.NOFOLLOW);
    }
    await disk.purge(volume.uuid);
    expect([readdirSync(`${root}/trash`), readdirSync(`${root}/precious`)]).toEqual([[], ["file"]]);
  });

  test("purge of a hundred thousand files takes no longer than of one", async () => {
    const disk = await open();
    const volume = { ...(await create(disk)), size: 300_000 as MilliMb };
    disk.limit(volume);
    const content = disk.contentPath(volume);
    execFileSync("sh", ["-c", 'seq 100000 | (cd "$0" && xargs touch)', content]);
    await disk.drop(volume);
    const startMs = performance.now();
    expect((await disk.purge(volume.uuid)).entries).toBe(3);
    expect(performance.now() - startMs).toBeLessThan(2000);
  }, 60_000);

  test("a plain directory of before there were quota groups is told, and is no spare", async () => {
    const disk = await open();
    const [kept, spare] = await disk.take(2);
    if (kept === undefined || spare === undefined) throw new Error("No spares");
    for (const { uuid } of [kept, spare]) {
      rmSync(`${root}/volumes/${uuid}/content`, { recursive: true });
      mkdirSync(`${root}/volumes/${uuid}/content`);
    }
    const volume = volumeOn(kept);
    expect(disk.looseness(volume)).toEqual({ reason: expect.stringContaining("a plain directory") });
    expect(() => disk.limit(volume)).toThrow(expect.objectContaining({ code: "unsupported" }));
    expect(disk.usageOf(volume)).toBeUndefined();
    const again = await open({ min: 0, max: 16 });
    expect(await again.list((uuid) => uuid === kept.uuid)).toEqual({ volumes: [], trash: [] });
    expect(readdirSync(`${root}/volumes`).toSorted()).toEqual([kept.uuid, "roles"].toSorted());
  });

  describe("with a file system of its own", () => {
    let own: string;

    beforeEach(() => {
      own = mkdtempSync(`${base}/own-`);
      makeFileSystem(`${own}/image`, `${own}/mounted`, "200M");
    });
    afterEach(async () => {
      for (const disk of opened.splice(0)) await disk.close();
      umount2(`${own}/mounted`, UMOUNT.NOFOLLOW | UMOUNT.DETACH);
      rmSync(own, { recursive: true });
    });

    /** What a power cut at this moment would leave, mounted in place of what there was. */
    async function cutPower(): Promise<void> {
      copyFileSync(`${own}/image`, `${own}/image-after`);
      for (const disk of opened.splice(0)) await disk.close();
      umount2(`${own}/mounted`, UMOUNT.NOFOLLOW);
      execFileSync("mount", ["-o", "loop", `${own}/image-after`, `${own}/mounted`]);
    }

    test("no quota group stays of a volume that is gone, nor of a spare", async () => {
      const disk = await open({ min: 0, max: 0 }, `${own}/mounted`);
      const volume = await create(disk);
      await disk.drop(volume);
      await disk.purge(volume.uuid);
      const spare = await takeOne(disk);
      disk.writeLabel(volumeOn(spare));
      disk.giveBack([spare]);
      const uuid = disk.fileSystem.uuid ?? "";
      await expect
        .poll(
          () => {
            execFileSync("btrfs", ["filesystem", "sync", `${own}/mounted`]);
            return readdirSync(`/sys/fs/btrfs/${uuid}/qgroups`).filter((name) => name.startsWith("0_"));
          },
          { timeout: 20_000 },
        )
        .toEqual(["0_5"]);
    });

    test("spares, moves and deletions outlive a power cut", async () => {
      const disk = await open({ min: 0, max: 0 }, `${own}/mounted`);
      const volumes = [];
      for (let index = 0; index < 4; index += 1) volumes.push(await create(disk));
      const [live, dropped, purged, restored] = volumes;
      if (live === undefined || dropped === undefined || purged === undefined || restored === undefined) {
        throw new Error("No volumes");
      }
      const spares = await disk.take(20);
      await disk.syncLabels(volumes.map(({ uuid }) => uuid));
      for (const volume of [dropped, purged, restored]) await disk.drop(volume);
      await disk.restore(restored);
      await disk.purge(purged.uuid);
      await cutPower();
      const after = await open({ min: 0, max: 0 }, `${own}/mounted`);
      for (const { uuid, directory } of [...spares, live, restored]) {
        expect(after.examine(uuid)).toEqual({ state: "present", directory });
      }
      expect(after.examineTrash(dropped.uuid)).toEqual({ state: "present", directory: dropped.directory });
      expect(readdirSync(`${own}/mounted/trash`)).toEqual([dropped.uuid]);
    });

    test("drop, restore and purge work on a full disk, and labels as soon as there is room again", async () => {
      const disk = await open({ min: 32, max: 32 }, `${own}/mounted`);
      const volumes = [];
      for (let index = 0; index < 20; index += 1) volumes.push(await create(disk));
      for (const block of ["1M", "4K"]) {
        execFileSync("sh", [
          "-c",
          `dd if=/dev/zero bs=${block} >> "$0/filler" 2>/dev/null || sync -f "$0"`,
          `${own}/mounted`,
        ]);
      }
      const full = { code: "disk_full" };
      await expect(disk.take(2000)).rejects.toMatchObject(full);
      const retired = volumes.map((volume) => ({ ...volume, phase: "retained" as const, revision: 2 }));
      for (const volume of volumes) await disk.drop(volume);
      const [first, ...rest] = volumes;
      if (first === undefined) throw new Error("No volumes");
      await disk.restore(first);
      for (const { uuid } of rest.slice(1)) await disk.purge(uuid);
      rmSync(`${own}/mounted/filler`);
      const label = (): string => {
        execFileSync("btrfs", ["filesystem", "sync", `${own}/mounted`]);
        for (const volume of retired.slice(1, 2)) disk.writeLabel(volume);
        return "written";
      };
      await expect.poll(label, { timeout: 20_000 }).toBe("written");
      expect(disk.examine(first.uuid).state).toBe("present");
      expect(readdirSync(`${own}/mounted/trash`)).toEqual([rest[0]?.uuid]);
    }, 60_000);

    test("quota groups that are switched off meanwhile are told, and nothing else fails", async () => {
      const disk = await open({ min: 0, max: 0 }, `${own}/mounted`);
      const volume = await create(disk);
      execFileSync("btrfs", ["quota", "disable", `${own}/mounted`]);
      expect(disk.looseness(volume)?.reason).toContain("btrfs quota enable");
      expect(() => disk.limit(volume)).toThrow(expect.objectContaining({ code: "unsupported" }));
      expect(disk.usageOf(volume)).toBeUndefined();
      await disk.drop(volume);
      await disk.purge(volume.uuid);
      const again = await open({ min: 0, max: 0 }, `${own}/mounted`);
      expect(again.enforcement).toEqual({ by: "nothing", reason: expect.stringContaining("btrfs quota enable") });
    });

    test("a read-only file system is named by everything that writes", async () => {
      const disk = await open({ min: 0, max: 0 }, `${own}/mounted`);
      const volume = await create(disk);
      execFileSync("mount", ["-o", "remount,ro", `${own}/mounted`]);
      const readOnly = { code: "unavailable", message: expect.stringContaining("read-only") };
      await expect(disk.take(1)).rejects.toMatchObject(readOnly);
      await expect(disk.drop(volume)).rejects.toMatchObject(readOnly);
      expect(() => disk.limit(volume)).toThrow(expect.objectContaining(readOnly));
      expect(disk.looseness(volume)).toBeUndefined();
    });
  });
});

/** Before a recursive removal, which goes through mounts. */
function unmountBelow(directory: string): void {
  const mountPoints = readMountTable("self").map(({ mountPoint }) => mountPoint.toString());
  for (const mountPoint of mountPoints.toReversed()) {
    if (mountPoint.startsWith(`${directory}/`)) umount2(mountPoint, UMOUNT.NOFOLLOW | UMOUNT.DETACH);
  }
}

function makeFileSystem(image: string, mountPoint: string, size: string): void {
  mkdirSync(mountPoint);
  execFileSync("truncate", ["-s", size, image]);
  execFileSync("mkfs.btrfs", ["-q", image]);
  execFileSync("mount", ["-o", "loop", image, mountPoint]);
  execFileSync("btrfs", ["quota", "enable", mountPoint]);
  execFileSync("btrfs", ["quota", "rescan", "-w", mountPoint]);
}
