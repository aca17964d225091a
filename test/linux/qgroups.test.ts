import { execFileSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { constants, tmpdir } from "node:os";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import {
  createSubvolume,
  destroySubvolume,
  isSubvolume,
  limitSubvolume,
  nestedSubvolumes,
  qgroupsConsistent,
  qgroupsEnabled,
  removeStaleGroups,
  subvolumeId,
  usageOfSubvolume,
} from "../../src/host/qgroups.ts";
import { MS, mount, O, openat2, UMOUNT, umount2 } from "../../src/host/syscalls.ts";
import { fileSystemIdOf } from "../../src/host/syscalls-btrfs.ts";
import { mayMount, NOBODY, underUser } from "../e2e/privileges.ts";

const MIB = 1024 * 1024;
/** What every subvolume takes. */
const EMPTY_BYTES = 16 * 1024;
const EDQUOT = expect.objectContaining({ errno: -constants.errno.EDQUOT });

describe.runIf(mayMount)("quota groups of btrfs", () => {
  let base: string;
  let mounted: string;
  let root: string;
  let fd: number;
  let id: bigint;
  let opened: number[];

  beforeAll(() => {
    base = mkdtempSync(`${realpathSync(tmpdir())}/holdfast-btrfs-`);
    chmodSync(base, 0o755);
    mounted = `${base}/mounted`;
    mkdirSync(mounted);
    execFileSync("truncate", ["-s", "512M", `${base}/image`]);
    execFileSync("mkfs.btrfs", ["-q", `${base}/image`]);
    execFileSync("mount", ["-o", "loop", `${base}/image`, mounted]);
    execFileSync("btrfs", ["quota", "enable", mounted]);
    execFileSync("btrfs", ["quota", "rescan", "-w", mounted]);
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
    root = mkdtempSync(`${mounted}/test-`);
    chmodSync(root, 0o755);
    fd = open("");
    createSubvolume(fd, "volume");
    chownSync(`${root}/volume`, NOBODY.uid, NOBODY.gid);
    id = subvolumeId(open("volume"));
  });
  afterEach(() => {
    if (existsSync(`${root}/volume`)) destroySubvolume(fd, "volume");
    for (const one of opened) closeSync(one);
    rmSync(root, { recursive: true });
  });

  function open(path: string): number {
    const one = openSync(`${root}/${path}`, "r");
    opened.push(one);
    return one;
  }
  const usage = () => usageOfSubvolume(fd, id);
  const commit = () => execFileSync("btrfs", ["filesystem", "sync", mounted]);
  const writeMib = (path: string, sizeMib: number) => writeFileSync(`${root}/${path}`, Buffer.alloc(sizeMib * MIB));

  describe("what there is", () => {
    test("other file systems have no quota groups and no subvolumes", () => {
      const proc = openSync("/proc", "r");
      opened.push(proc);
      expect(qgroupsEnabled(proc)).toBe(false);
      expect(isSubvolume(proc)).toBe(false);
      expect(() => createSubvolume(proc, "volume")).toThrow("ENOTTY");
      expect(() => subvolumeId(proc)).toThrow("ENOTTY");
    });

    test("quotas are off until somebody switches them on, and right when all was counted", () => {
      expect([qgroupsEnabled(fd), qgroupsConsistent(fd)]).toEqual([true, true]);
      execFileSync("btrfs", ["quota", "disable", mounted]);
      try {
        expect(qgroupsEnabled(fd)).toBe(false);
        expect(() => limitSubvolume(fd, id, MIB)).toThrow("ENOTCONN");
        expect(usage).toThrow("ENOENT");
      } finally {
        execFileSync("btrfs", ["quota", "enable", mounted]);
        execFileSync("btrfs", ["quota", "rescan", "-w", mounted]);
      }
      expect([qgroupsEnabled(fd), qgroupsConsistent(fd)]).toEqual([true, true]);
    });

    test("a descriptor that is not open enough is refused", () => {
      const path = openat2(fd, ".", { flags: O.PATH });
      opened.push(path);
      expect(() => subvolumeId(path)).toThrow("Cannot BTRFS_IOC_INO_LOOKUP: EBADF");
    });

    test("a plain directory is in a subvolume, and is none", () => {
      mkdirSync(`${root}/plain`);
      expect([isSubvolume(open("plain")), isSubvolume(open("volume"))]).toEqual([false, true]);
      expect(subvolumeId(open("plain"))).toBe(subvolumeId(fd));
    });

    test("every subvolume has the same inode number, and an id of its own", () => {
      createSubvolume(fd, "other");
      expect(statSync(`${root}/other`).ino).toBe(statSync(`${root}/volume`).ino);
      expect(statSync(`${root}/other`).dev).not.toBe(statSync(`${root}/volume`).dev);
      expect(subvolumeId(open("other"))).not.toBe(id);
      destroySubvolume(fd, "other");
    });
  });

  describe("createSubvolume", () => {
    test("refuses a name that is taken, that is a path, or that the kernel would cut short", () => {
      expect(() => createSubvolume(fd, "volume")).toThrow('Cannot BTRFS_IOC_SUBVOL_CREATE "volume": EEXIST');
      expect(() => createSubvolume(fd, "volume/inside")).toThrow("EINVAL");
      expect(() => createSubvolume(fd, "..")).toThrow("EEXIST");
      expect(() => createSubvolume(fd, "new\0er")).toThrow("EINVAL");
      expect(() => createSubvolume(fd, "x".repeat(256))).toThrow("EINVAL");
      expect(readdirSync(root)).toEqual(["volume"]);
    });

    test("makes an empty directory of the caller's with mode 0755", () => {
      createSubvolume(fd, "new");
      const { mode, uid } = statSync(`${root}/new`);
      expect([mode & 0o7777, uid]).toEqual([0o755, 0]);
      expect(readdirSync(`${root}/new`)).toEqual([]);
      rmdirSync(`${root}/new`);
    });
  });

  describe("limitSubvolume", () => {
    test("a write past the limit is refused, root's too, and nothing before it", () => {
      limitSubvolume(fd, id, 8 * MIB);
      expect(() => writeMib("volume/file", 10)).toThrow(EDQUOT);
      expect(usage().usedBytes).toBeLessThanOrEqual(8 * MIB);
      expect(statSync(`${root}/volume/file`).size).toBeGreaterThan(7 * MIB);
      writeMib("outside", 10);
    });

    test("a limit is exactly what it says until it is taken away", () => {
      expect(usage().limitBytes).toBeUndefined();
      limitSubvolume(fd, id, 512 * MIB);
      expect(usage().limitBytes).toBe(512 * MIB);
      limitSubvolume(fd, id, undefined);
      expect(usage().limitBytes).toBeUndefined();
      writeMib("volume/file", 1);
    });

    test("a full volume grows", () => {
      limitSubvolume(fd, id, 2 * MIB);
      expect(() => writeMib("volume/file", 4)).toThrow(EDQUOT);
      limitSubvolume(fd, id, 8 * MIB);
      writeMib("volume/more", 4);
    });

    test("a limit below what is used deletes nothing, lets its owner delete, and can be raised from outside only", () => {
      writeMib("volume/file", 4);
      commit();
      limitSubvolume(fd, id, MIB);
      expect(usage()).toEqual({ usedBytes: expect.any(Number), limitBytes: MIB });
      expect(() => writeMib("volume/more", 1)).toThrow(EDQUOT);
      expect(() => limitSubvolume(open("volume"), id, 8 * MIB)).toThrow("EDQUOT");
      rmSync(`${root}/volume/file`);
      commit();
      expect(usage().usedBytes).toBeLessThan(MIB);
      limitSubvolume(fd, id, 8 * MIB);
      writeMib("volume/more", 4);
    });

    test("a volume of many small files is full like any other", () => {
      limitSubvolume(fd, id, MIB);
      expect(() => {
        for (let count = 0; count < 3000; count += 1) writeFileSync(`${root}/volume/${count}`, "x".repeat(500));
      }).toThrow(EDQUOT);
      commit();
      expect(usage().usedBytes).toBeLessThanOrEqual(MIB);
    });

    test("what nobody counts cannot be limited", () => {
      expect(() => limitSubvolume(fd, 1_000_000n, MIB)).toThrow("Cannot BTRFS_IOC_QGROUP_LIMIT: ENOENT");
      expect(() => usageOfSubvolume(fd, 1_000_000n)).toThrow("ENOENT");
    });

    test("only root may", () => {
      process.seteuid?.(NOBODY.uid);
      try {
        expect(() => limitSubvolume(fd, id, undefined)).toThrow("EPERM");
      } finally {
        process.seteuid?.(0);
      }
    });
  });

  describe("usageOfSubvolume", () => {
    test("counts what waits to be written, and the same once it is", () => {
      commit();
      expect(usage().usedBytes).toBe(EMPTY_BYTES);
      writeMib("volume/file", 3);
      expect(usage().usedBytes).toBe(3 * MIB + EMPTY_BYTES);
      fsyncSync(open("volume/file"));
      commit();
      expect(usage().usedBytes).toBe(3 * MIB + EMPTY_BYTES);
    });

    test("goes on when the volume is moved with the directory that it is in, and so does the limit", () => {
      mkdirSync(`${root}/volumes/uuid`, { recursive: true });
      mkdirSync(`${root}/trash`);
      createSubvolume(open("volumes/uuid"), "content");
      const content = subvolumeId(open("volumes/uuid/content"));
      limitSubvolume(fd, content, MIB);
      renameSync(`${root}/volumes/uuid`, `${root}/trash/uuid`);
      expect(subvolumeId(open("trash/uuid/content"))).toBe(content);
      expect(() => writeMib("trash/uuid/content/file", 2)).toThrow(EDQUOT);
      expect(usageOfSubvolume(fd, content).limitBytes).toBe(MIB);
      destroySubvolume(open("trash/uuid"), "content");
    });
  });

  describe("subvolumes in subvolumes", () => {
    const asOwner = (...line: string[]) => {
      const [program = "", ...args] = underUser(NOBODY, line);
      execFileSync(program, args);
    };

    test("anybody makes one in a volume of its own, and it has no limit", () => {
      limitSubvolume(fd, id, 2 * MIB);
      asOwner("btrfs", "subvolume", "create", `${root}/volume/nested`);
      asOwner("dd", "if=/dev/zero", `of=${root}/volume/nested/file`, "bs=1M", "count=4", "status=none");
      const [nested = 0n] = nestedSubvolumes(fd, id);
      expect(usageOfSubvolume(fd, nested).usedBytes).toBeGreaterThanOrEqual(4 * MIB);
      limitSubvolume(fd, nested, MIB);
      expect(() => writeMib("volume/nested/more", 1)).toThrow(EDQUOT);
    });

    test("are found at any depth, each before those in it, and none where there are none", () => {
      expect(nestedSubvolumes(fd, id)).toEqual([]);
      createSubvolume(open("volume"), "a");
      mkdirSync(`${root}/volume/directory`);
      createSubvolume(open("volume/directory"), "b");
      createSubvolume(open("volume/a"), "c");
      const ids = ["volume/a", "volume/directory/b", "volume/a/c"].map((path) => subvolumeId(open(path)));
      expect(nestedSubvolumes(fd, id)).toEqual(ids);
    });

    test("are found when there are more than one answer of the kernel holds", () => {
      const volume = open("volume");
      for (let count = 0; count < 200; count += 1) createSubvolume(volume, `nested-${count}`);
      expect(new Set(nestedSubvolumes(fd, id)).size).toBe(200);
    });
  });

  describe("destroySubvolume", () => {
    test("refuses a plain directory, and what it is in stays as it is", () => {
      mkdirSync(`${root}/plain`);
      writeFileSync(`${root}/volume/file`, "kept");
      expect(() => destroySubvolume(fd, "plain")).toThrow('Cannot destroy subvolume "plain": EINVAL');
      expect(readdirSync(root).toSorted()).toEqual(["plain", "volume"]);
      expect(readdirSync(`${root}/volume`)).toEqual(["file"]);
    });

    test("refuses a symlink, a mount point, a path upwards and what is not there", () => {
      symlinkSync("volume", `${root}/link`);
      mkdirSync(`${root}/mount`);
      mount(`${root}/volume`, `${root}/mount`, null, MS.BIND);
      try {
        expect(() => destroySubvolume(fd, "mount")).toThrow("EXDEV");
      } finally {
        umount2(`${root}/mount`, UMOUNT.NOFOLLOW);
      }
      expect(() => destroySubvolume(fd, "link")).toThrow(/ELOOP|ENOTDIR/);
      expect(() => destroySubvolume(fd, "..")).toThrow("EXDEV");
      expect(() => destroySubvolume(fd, "nothing")).toThrow("ENOENT");
      expect(existsSync(`${root}/volume`)).toBe(true);
    });

    test("removes files, subvolumes at any depth, and read-only ones, and leaves others alone", () => {
      createSubvolume(fd, "other");
      createSubvolume(open("volume"), "a");
      createSubvolume(open("volume/a"), "b");
      writeFileSync(`${root}/volume/a/b/file`, "content");
      writeFileSync(`${root}/volume/file`, "content");
      execFileSync("btrfs", ["property", "set", `${root}/volume/a/b`, "ro", "true"]);
      destroySubvolume(fd, "volume");
      expect(readdirSync(root)).toEqual(["other"]);
      destroySubvolume(fd, "other");
    });

    test("removes a full volume", () => {
      limitSubvolume(fd, id, MIB);
      expect(() => writeMib("volume/file", 2)).toThrow(EDQUOT);
      destroySubvolume(fd, "volume");
      expect(readdirSync(root)).toEqual([]);
    });
  });

  test("removeStaleGroups removes those of destroyed subvolumes, and no other", { timeout: 60_000 }, async () => {
    createSubvolume(fd, "other");
    const other = subvolumeId(open("other"));
    limitSubvolume(fd, other, MIB);
    writeMib("volume/file", 1);
    for (const one of opened.splice(0)) closeSync(one);
    fd = open("");
    destroySubvolume(fd, "volume");
    // The kernel gives room back as often as it commits, and some kernels not oftener.
    execFileSync("mount", ["-o", "remount,commit=1", mounted]);
    try {
      const isCounted = () => {
        removeStaleGroups(fd);
        return existsSync(`/sys/fs/btrfs/${fileSystemIdOf(fd)}/qgroups/0_${id}`);
      };
      await expect.poll(isCounted, { timeout: 50_000, interval: 100 }).toBe(false);
    } finally {
      execFileSync("mount", ["-o", "remount,commit=30", mounted]);
    }
    expect(usageOfSubvolume(fd, other).limitBytes).toBe(MIB);
    destroySubvolume(fd, "other");
  });

  test("rmdir removes an empty subvolume, and no other", () => {
    writeFileSync(`${root}/volume/file`, "");
    expect(() => rmdirSync(`${root}/volume`)).toThrow("ENOTEMPTY");
    rmSync(`${root}/volume/file`);
    rmdirSync(`${root}/volume`);
    expect(readdirSync(root)).toEqual([]);
  });
});
