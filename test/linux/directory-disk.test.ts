import { execFileSync } from "node:child_process";
import { closeSync, mkdirSync, mkdtempSync, openSync, readdirSync, realpathSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Volume } from "../../src/domain/records.ts";
import { ROOT_DISK } from "../../src/domain/resource.ts";
import type { VolumeId } from "../../src/domain/units.ts";
import { openDirectoryDisk } from "../../src/host/directory-disk.ts";
import { MS, mount, UMOUNT, umount2 } from "../../src/host/syscalls.ts";
import type { Disk } from "../../src/ports/disk.ts";
import { createMemoryLog } from "../auth/memory-log.ts";
import { mayMount } from "../e2e/privileges.ts";
import { PLAIN_LABELS } from "../support/directory-world.ts";
import { volumeOn } from "../support/sample-volume.ts";

describe.runIf(mayMount).each([
  { type: "ext4", size: "16M", mkfs: ["mkfs.ext4", "-q", "-m", "0"], spares: 64 },
  { type: "xfs", size: "300M", mkfs: ["mkfs.xfs", "-q"], spares: 1024 },
] as const)("DirectoryDisk on a small $type", ({ type, size, mkfs: [mkfs, ...how], spares }) => {
  let base: string;
  let root: string;
  let disk: Disk;

  beforeEach(async () => {
    base = mkdtempSync(`${realpathSync(tmpdir())}/holdfast-${type}-`);
    root = `${base}/mounted`;
    mkdirSync(root);
    execFileSync("truncate", ["-s", size, `${base}/image`]);
    execFileSync(mkfs, [...how, `${base}/image`]);
    execFileSync("mount", ["-o", "loop", `${base}/image`, root]);
    disk = await openDirectoryDisk({
      root,
      source: ROOT_DISK,
      labels: PLAIN_LABELS,
      log: createMemoryLog(),
      spares: { min: spares, max: spares },
    });
  });
  afterEach(async () => {
    await disk.close();
    umount2(root, UMOUNT.NOFOLLOW | UMOUNT.DETACH);
    rmSync(base, { recursive: true });
  });

  async function create(count: number): Promise<readonly Volume[]> {
    const volumes = (await disk.take(count)).map((spare, index) => volumeOn(spare, { id: `v${index}` as VolumeId }));
    for (const volume of volumes) disk.writeLabel(volume);
    await disk.syncLabels(volumes.map(({ uuid }) => uuid));
    return volumes;
  }

  /** Fills the file system to the last block. */
  function fill(): void {
    const fd = openSync(`${root}/filler`, "a");
    try {
      for (const size of [65_536, 1024]) writeUntilFull(fd, size);
    } finally {
      closeSync(fd);
    }
  }

  test("a volume on which something is mounted is foreign, and is not dropped", async () => {
    const [volume] = await create(1);
    if (volume === undefined) throw new Error("No volume");
    const content = disk.contentPath(volume);
    mount(base, content, null, MS.BIND);
    try {
      expect(disk.examine(volume.uuid)).toEqual({ state: "foreign", reason: "is a mount point" });
      await expect(disk.drop(volume)).rejects.toMatchObject({ code: "damaged" });
    } finally {
      umount2(content, UMOUNT.NOFOLLOW);
    }
    await disk.drop(volume);
  });

  test("says how sizes could be held, and which file system it is", async () => {
    const uuid = execFileSync("blkid", ["-o", "value", "-s", "UUID", `${base}/image`], { encoding: "utf8" }).trim();
    expect(disk.fileSystem).toEqual({ type, uuid });
    expect(disk.enforcement).toEqual({
      by: "nothing",
      reason: expect.stringMatching(/^project quotas are off, .*prjquota/),
    });
  });

  test("a read-only file system is named by everything that writes", async () => {
    const [volume] = await create(1);
    if (volume === undefined) throw new Error("No volume");
    execFileSync("mount", ["-o", "remount,ro", root]);
    const readOnly = { code: "unavailable", message: expect.stringContaining("read-only") };
    await expect(disk.take(spares + 1)).rejects.toMatchObject(readOnly);
    await expect(disk.drop(volume)).rejects.toMatchObject(readOnly);
    expect(() => disk.writeLabel({ ...volume, revision: 2 })).toThrow(expect.objectContaining(readOnly));
    expect(disk.examine(volume.uuid).state).toBe("present");
  });

  test.runIf(type === "xfs")("a disk that fails is named, and no volume is called missing for it", async () => {
    const [volume, destroyed] = await create(2);
    if (volume === undefined || destroyed === undefined) throw new Error("No volumes");
    await disk.drop(destroyed);
    execFileSync("xfs_io", ["-x", "-c", "shutdown", root]);
    const failing = { code: "unavailable", message: expect.stringContaining("error") };
    await expect(disk.take(spares + 1)).rejects.toMatchObject(failing);
    await expect(disk.drop(volume)).rejects.toMatchObject(failing);
    await expect(disk.purge(destroyed.uuid)).rejects.toMatchObject(failing);
    await expect(disk.measure(volume)).rejects.toMatchObject({ code: "unavailable" });
    expect(() => disk.writeLabel({ ...volume, revision: 2 })).toThrow(expect.objectContaining(failing));
    expect(disk.examine(volume.uuid).state).toBe("foreign");
  });

  test("volumes, and not trash, on another file system are refused", async () => {
    mkdirSync(`${base}/other/trash`, { recursive: true });
    mount(root, `${base}/other/trash`, null, MS.BIND);
    try {
      const other = openDirectoryDisk({
        root: `${base}/other`,
        source: ROOT_DISK,
        labels: PLAIN_LABELS,
        log: createMemoryLog(),
      });
      await expect(other).rejects.toMatchObject({ code: "conflict" });
    } finally {
      umount2(`${base}/other/trash`, UMOUNT.NOFOLLOW);
    }
  });

  test("drop and labels work on a full disk, which spares make room for", async () => {
    const volumes = await create(150);
    fill();
    await expect(disk.take(spares + 400)).rejects.toMatchObject({ code: "disk_full" });
    fill();
    for (const volume of volumes) {
      await disk.drop(volume);
      disk.writeLabel({ ...volume, phase: "retained", revision: 2 });
    }
    expect((await disk.list(() => false)).trash.length).toBe(volumes.length);
    expect(readdirSync(`${root}/volumes/roles/ads`)).toEqual([]);
  });
});

function writeUntilFull(fd: number, size: number): void {
  const block = Buffer.alloc(size);
  try {
    for (;;) writeSync(fd, block);
  } catch {
    // Full: that is what was wanted.
  }
}
