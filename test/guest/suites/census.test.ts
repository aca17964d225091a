/** What a walk counts is what project quotas of ext4 and XFS count, and what it enlists they hold. Runs in the guest. */
import { execFileSync } from "node:child_process";
import {
  closeSync,
  ftruncateSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Census, createCensus } from "../../../src/host/census.ts";
import { usageOfProject } from "../../../src/host/project-quota.ts";
import { fsetxattr, INODE, setInodeFlags } from "../../../src/host/syscalls.ts";
import { getProject, setProject } from "../../../src/host/syscalls-quota.ts";

const { HOLDFAST_GUEST_EXT4: EXT4, HOLDFAST_GUEST_XFS: XFS } = process.env;

const NAME = "0b7f2c1e-5d3a-4c55-9a54-1f6f0c7d2e11/content";
/** Ids of this file's tests: one for each, because what has just been removed is counted for a while. */
let id = 420_000;

describe.runIf(EXT4 !== undefined && XFS !== undefined).each([
  { type: "ext4", mountPoint: EXT4 ?? "" },
  { type: "xfs", mountPoint: XFS ?? "" },
] as const)("the census on $type", ({ type, mountPoint }) => {
  let root: string;
  let content: string;
  let parent: { readonly fd: number; readonly path: string };
  let census: Census;

  beforeEach(() => {
    id += 1;
    root = mkdtempSync(join(mountPoint, "census-"));
    content = join(root, NAME);
    mkdirSync(content, { recursive: true });
    parent = { fd: openSync(root, "r"), path: root };
    census = createCensus({ share: 1 });
  });
  afterEach(async () => {
    await census.close();
    closeSync(parent.fd);
    rmSync(root, { recursive: true });
  });

  /** Of all kinds, sizes and depths. */
  function fill(): void {
    for (let directory = 0; directory < 20; directory += 1) {
      const path = join(content, `directory-${directory}`, "below");
      mkdirSync(path, { recursive: true });
      for (let file = 0; file < 60; file += 1) {
        writeFileSync(join(path, `file-${file}`), "x".repeat(file * 300 * (directory % 4)));
      }
      linkSync(join(path, "file-1"), join(content, `link-${directory}`));
    }
    for (let name = 0; name < 1000; name += 1)
      writeFileSync(join(content, "directory-0", `${"x".repeat(100)}${name}`), "");
    symlinkSync("short", join(content, "short"));
    symlinkSync("long".repeat(250), join(content, "long"));
    execFileSync("mkfifo", [join(content, "fifo")]);
    const sparse = openSync(join(content, "sparse"), "w");
    ftruncateSync(sparse, 1024 * 1024 * 1024);
    writeSync(sparse, Buffer.alloc(100_000), 0, 100_000, 512 * 1024 * 1024);
    fsetxattr(sparse, "user.long", Buffer.alloc(3000, "v"));
    closeSync(sparse);
    // Allocated only then, and cut off again what was allocated in advance.
    execFileSync("sync", ["--file-system", content]);
  }

  function withOpen<Result>(path: string, work: (fd: number) => Result): Result {
    const fd = openSync(path, "r");
    try {
      return work(fd);
    } finally {
      closeSync(fd);
    }
  }

  function kernelCounts(): { readonly usedBytes: number; readonly inodes: number } {
    const { usedBytes, inodes } = usageOfProject(parent.fd, id);
    return { usedBytes, inodes };
  }

  test("measure finds what the kernel counts, to the byte", async () => {
    withOpen(content, (fd) => setProject(fd, { id, inherit: true }));
    fill();
    const { usedBytes, inodes, unread } = await census.measure(parent, NAME);
    expect({ usedBytes, inodes }).toEqual(kernelCounts());
    expect(inodes).toBe(1 + 20 * 62 + 1000 + 4);
    expect(unread).toBe(0);
  });

  test("enlist has the kernel count all of a volume that was there before, but three inodes without a project", async () => {
    fill();
    const { usedBytes, inodes, entries, wrong, refused } = await census.enlist(parent, NAME, { id });
    // A FIFO and two symlinks, one of which has a block.
    expect(kernelCounts()).toEqual({ usedBytes: usedBytes - 4096, inodes: inodes - 3 });
    expect({ entries, wrong, refused }).toEqual({ entries: inodes + 20, wrong: inodes - 3, refused: 0 });
    expect(await census.measure(parent, NAME)).toMatchObject({ usedBytes, inodes });
  });

  test("enlist brings back what a container took out of the count", async () => {
    withOpen(content, (fd) => setProject(fd, { id, inherit: true }));
    const escaped = join(content, "escaped");
    writeFileSync(escaped, Buffer.alloc(1024 * 1024));
    execFileSync("sync", ["--file-system", content]);
    const before = kernelCounts();
    withOpen(escaped, (fd) => setProject(fd, { id: 0, inherit: false }));
    expect(kernelCounts().usedBytes).toBeLessThan(before.usedBytes - 1_000_000);
    expect(await census.enlist(parent, NAME, { id })).toMatchObject({ ...before, wrong: 1, refused: 0 });
    expect(kernelCounts()).toEqual(before);
  });

  test("what enlist leaves without a project cannot be renamed, only made anew", async () => {
    symlinkSync("target", join(content, "old"));
    await census.enlist(parent, NAME, { id });
    expect(() => renameSync(join(content, "old"), join(content, "renamed"))).toThrow("EXDEV");
    symlinkSync("target", join(content, "new"));
    renameSync(join(content, "new"), join(content, "old"));
  });

  test.runIf(type === "ext4")("enlist counts immutable files, names the first, and goes on", async () => {
    for (const name of ["a", "b", "c"]) writeFileSync(join(content, name), "");
    const immutable = join(content, "b");
    withOpen(immutable, (fd) => setInodeFlags(fd, INODE.IMMUTABLE));
    try {
      const outcome = await census.enlist(parent, NAME, { id });
      expect(outcome).toMatchObject({ inodes: 4, wrong: 3, refused: 1, firstRefusal: immutable });
      expect(withOpen(join(content, "c"), getProject).id).toBe(id);
    } finally {
      withOpen(immutable, (fd) => setInodeFlags(fd, 0));
    }
  });

  test("measure sees at once what was cut off", async () => {
    withOpen(content, (fd) => setProject(fd, { id, inherit: true }));
    writeFileSync(join(content, "file"), Buffer.alloc(4 * 1024 * 1024));
    execFileSync("sync", ["--file-system", content]);
    truncateSync(join(content, "file"), 4096);
    execFileSync("sync", ["--file-system", content]);
    const { usedBytes, inodes } = await census.measure(parent, NAME);
    expect({ usedBytes, inodes }).toEqual(kernelCounts());
    expect(usedBytes).toBeLessThan(64 * 1024);
  });
});
