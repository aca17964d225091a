import { chmodSync, chownSync, mkdtempSync, rmSync, statfsSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { whyVolatile } from "../../src/host/file-system.ts";
import { detectDiskMb, prepareWorkRoot } from "../../src/host/work-root.ts";

let base: string;
beforeEach(() => {
  base = mkdtempSync(`${tmpdir()}/holdfast-root-`);
});
afterEach(() => rmSync(base, { recursive: true }));

const volatile = { allowVolatile: true };

describe("prepareWorkRoot", () => {
  test("refuses a relative path", () => {
    expect(() => prepareWorkRoot("work", volatile)).toThrow("expected an absolute path");
  });

  test("refuses what is no directory, itself or above", () => {
    writeFileSync(`${base}/file`, "");
    for (const path of [`${base}/file`, `${base}/file/root`]) {
      expect(() => prepareWorkRoot(path, volatile)).toThrow(`Cannot use work root ${path}: it is not a directory`);
    }
  });

  test("refuses a dangling symlink", () => {
    symlinkSync("nowhere", `${base}/link`);
    expect(() => prepareWorkRoot(`${base}/link`, volatile)).toThrow(expect.objectContaining({ code: "invalid" }));
  });

  test("refuses a directory that others may write to", () => {
    chmodSync(base, 0o777);
    expect(() => prepareWorkRoot(base, volatile)).toThrow(expect.objectContaining({ code: "conflict" }));
  });

  test("refuses somebody else's directory", () => {
    const isRoot = process.getuid?.() === 0;
    if (isRoot) chownSync(base, 65534, 65534);
    const path = isRoot ? base : "/";
    expect(() => prepareWorkRoot(path, volatile)).toThrow(expect.objectContaining({ code: "conflict" }));
  });

  test("refuses a file system that forgets, unless told otherwise", () => {
    const forgetful = mkdtempSync("/dev/shm/holdfast-root-");
    try {
      expect(() => prepareWorkRoot(forgetful)).toThrow("it is on tmpfs, and it forgets everything at a reboot");
      expect(prepareWorkRoot(forgetful, volatile).fileSystem.type).toBe("tmpfs");
    } finally {
      rmSync(forgetful, { recursive: true });
    }
  });

  test("makes the directory, what lies above it, and meta, for its owner only", () => {
    const { path } = prepareWorkRoot(`${base}/var/lib/../lib/holdfast/`, volatile);
    expect(path).toBe(`${base}/var/lib/holdfast`);
    expect([path, `${path}/meta`].map((name) => (statSync(name).mode & 0o777).toString(8))).toEqual(["700", "700"]);
  });

  test("takes an existing one as it is", () => {
    prepareWorkRoot(base, volatile);
    writeFileSync(`${base}/meta/checkpoint`, "kept");
    prepareWorkRoot(base, volatile);
    expect(statSync(`${base}/meta/checkpoint`).size).toBe(4);
  });
});

test.each(["ext4", "xfs", "btrfs", "zfs", "f2fs"])("%s keeps promises", (type) => {
  expect(whyVolatile(type)).toBeUndefined();
});

test.each(["tmpfs", "overlay", "nfs4", "fuse.sshfs", "fuseblk", "proc", "9p", "vfat"])("%s does not", (type) => {
  expect(whyVolatile(type)).toBeTypeOf("string");
});

test("the detected disk leaves 5 GB, or half of a small file system", () => {
  const { blocks, bsize } = statfsSync(base);
  const totalMb = (blocks * bsize) / 1024 ** 2;
  expect(detectDiskMb(base)).toBe(Math.floor(totalMb >= 10 * 1024 ? totalMb - 5 * 1024 : totalMb / 2));
});
