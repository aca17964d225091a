/** Project quotas, as the kernels of ext4 and XFS have them. Runs in the guest. */
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { constants, tmpdir } from "node:os";
import { execa } from "execa";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  clearProject,
  limitProject,
  ProjectIds,
  projectQuotaState,
  usageOfProject,
} from "../../../src/host/project-quota.ts";
import { AT, O, openat2, UMOUNT, umount2 } from "../../../src/host/syscalls.ts";
import { getProject, setProject } from "../../../src/host/syscalls-quota.ts";
import { NOBODY, underUser } from "../../e2e/privileges.ts";

const EXT4 = process.env["HOLDFAST_GUEST_EXT4"];
const XFS = process.env["HOLDFAST_GUEST_XFS"];

const MIB = 1024 * 1024;
/** What directories and the maps of files take of a limit. */
const METADATA_BYTES = 256 * 1024;
/** Every test has ids of its own, for XFS counts what is deleted for a moment longer. */
const IDS_PER_TEST = 10;
let lastGiven = 410_000;
const FULL_ERRNO = { ext4: constants.errno.EDQUOT, xfs: constants.errno.ENOSPC } as const;
const FULL = { ext4: "Disk quota exceeded", xfs: "No space left on device" } as const;

describe.runIf(EXT4 !== undefined && XFS !== undefined).each([
  { type: "ext4", mountPoint: EXT4 ?? "" },
  { type: "xfs", mountPoint: XFS ?? "" },
] as const)("project quotas of $type", ({ type, mountPoint }) => {
  let root: string;
  let content: string;
  let fd: number;
  let contentFd: number;
  let range: { first: number; last: number };
  let id: number;

  beforeEach(() => {
    root = mkdtempSync(`${mountPoint}/project-quota-`);
    chmodSync(root, 0o755);
    content = `${root}/volumes/uuid/content`;
    mkdirSync(content, { recursive: true });
    mkdirSync(`${root}/trash`);
    chownSync(content, NOBODY.uid, NOBODY.gid);
    fd = openSync(mountPoint, "r");
    contentFd = openSync(content, "r");
    range = { first: lastGiven + 1, last: lastGiven + IDS_PER_TEST };
    lastGiven = range.last;
    id = new ProjectIds(fd, range).allocate();
    setProject(contentFd, { id, inherit: true });
  });
  afterEach(() => {
    rmSync(root, { recursive: true });
    for (let one = range.first; one <= range.last; one += 1) clearProject(fd, one);
    closeSync(contentFd);
    closeSync(fd);
  });

  /** Writes as the owner does, who has no privilege. Returns why it stopped; nothing when it did not. */
  async function write(name: string, sizeMib: number, user = NOBODY): Promise<string> {
    const line = ["dd", "if=/dev/zero", `of=${content}/${name}`, "bs=64K", `count=${sizeMib * 16}`];
    return reasonOf(user === NOBODY ? underUser(NOBODY, line) : line);
  }
  async function writeAsRootWithout(capability: string, name: string, sizeMib: number): Promise<string> {
    const setpriv = ["setpriv", `--bounding-set=-${capability}`, `--inh-caps=-${capability}`, "--"];
    return reasonOf([...setpriv, "dd", "if=/dev/zero", `of=${content}/${name}`, "bs=64K", `count=${sizeMib * 16}`]);
  }

  test("it counts and refuses, and says so to any descriptor", () => {
    const path = openat2(AT.FDCWD, mountPoint, { flags: O.PATH });
    expect(projectQuotaState(path)).toEqual({ accounting: true, enforcing: true });
    closeSync(path);
  });

  test("a project that was never used has nothing and no limit", () => {
    expect(usageOfProject(fd, range.last)).toEqual({ usedBytes: 0, inodes: 0, limitBytes: undefined });
  });

  test("what is made inside is counted, and not any more when it is deleted", async () => {
    const empty = usageOfProject(fd, id);
    expect(empty.inodes).toBe(1);
    mkdirSync(`${content}/directory`);
    writeFileSync(`${content}/directory/file`, Buffer.alloc(MIB));
    const { usedBytes, inodes } = usageOfProject(fd, id);
    expect(inodes).toBe(3);
    expect(usedBytes - empty.usedBytes).toBeGreaterThanOrEqual(MIB);
    expect(usedBytes - empty.usedBytes).toBeLessThanOrEqual(MIB + METADATA_BYTES);
    rmSync(`${content}/directory`, { recursive: true });
    // XFS gives it back in the background.
    await expect.poll(() => usageOfProject(fd, id), { timeout: 10_000 }).toEqual(empty);
  });

  test("a limit is exactly what it says, and is shown as the size", () => {
    limitProject(fd, id, 512 * MIB);
    expect(usageOfProject(fd, id).limitBytes).toBe(512 * MIB);
    const { blocks, bsize } = statfsSync(content);
    expect(blocks * bsize).toBe(512 * MIB);
  });

  test("the smallest limit is still one", () => {
    limitProject(fd, id, 1);
    // XFS has whole blocks.
    expect(usageOfProject(fd, id).limitBytes).toBe(type === "ext4" ? 1024 : 4096);
  });

  test("a write past the limit is refused, and nothing before it", async () => {
    limitProject(fd, id, 8 * MIB);
    expect(await write("file", 10)).toBe(FULL[type]);
    const { usedBytes } = usageOfProject(fd, id);
    expect(usedBytes).toBeLessThanOrEqual(8 * MIB);
    expect(statSync(`${content}/file`).size).toBeGreaterThanOrEqual(8 * MIB - METADATA_BYTES);
  });

  test("other projects, and what is nobody's, are not touched by a full one", async () => {
    limitProject(fd, id, MIB);
    expect(await write("file", 2)).toBe(FULL[type]);
    writeFileSync(`${root}/volumes/uuid/label`, Buffer.alloc(2 * MIB));
    renameSync(`${root}/volumes/uuid`, `${root}/trash/uuid`);
    rmSync(`${root}/trash/uuid`, { recursive: true });
    // The directory itself is still open.
    await expect.poll(() => usageOfProject(fd, id).inodes, { timeout: 10_000 }).toBe(1);
  });

  test("root is refused too, but for CAP_SYS_RESOURCE on ext4", async () => {
    limitProject(fd, id, 4 * MIB);
    expect(await writeAsRootWithout("sys_resource", "without", 5)).toBe(FULL[type]);
    rmSync(`${content}/without`);
    expect(await write("with", 5, { uid: 0, gid: 0 })).toBe(type === "ext4" ? "" : FULL[type]);
  });

  test("a limit is raised and lowered while somebody writes", async () => {
    limitProject(fd, id, 4 * MIB);
    expect(await write("first", 6)).toBe(FULL[type]);
    limitProject(fd, id, 8 * MIB);
    expect(await write("second", 2)).toBe("");
    limitProject(fd, id, 7 * MIB);
    expect(usageOfProject(fd, id).limitBytes).toBe(7 * MIB);
    expect(await write("third", 2)).toBe(FULL[type]);
    clearProject(fd, id);
    expect(usageOfProject(fd, id).limitBytes).toBeUndefined();
    expect(await write("fourth", 16)).toBe("");
  });

  test("a limit below what is used deletes nothing, and lets its owner delete", async () => {
    expect(await write("file", 4)).toBe("");
    limitProject(fd, id, MIB);
    expect(usageOfProject(fd, id).usedBytes).toBeGreaterThanOrEqual(4 * MIB);
    expect(statfsSync(content).bavail).toBe(0);
    expect(await write("more", 1)).toBe(FULL[type]);
    expect(await reasonOf(underUser(NOBODY, ["rm", "--force", `${content}/file`, `${content}/more`]))).toBe("");
    expect(await reasonOf(underUser(NOBODY, ["mkdir", `${content}/again`]))).toBe("");
  });

  test("a volume of many small files is full like any other", () => {
    limitProject(fd, id, MIB);
    process.seteuid?.(NOBODY.uid);
    try {
      expect(() => {
        for (let count = 0; count < 1000; count += 1) writeFileSync(`${content}/${count}`, "x");
      }).toThrow(expect.objectContaining({ errno: -FULL_ERRNO[type] }));
    } finally {
      process.seteuid?.(0);
    }
    expect(usageOfProject(fd, id).usedBytes).toBeLessThanOrEqual(MIB);
  });

  test("a directory of nobody's moves with a limited one in it, and the limit holds where it goes", async () => {
    limitProject(fd, id, MIB);
    renameSync(`${root}/volumes/uuid`, `${root}/trash/uuid`);
    expect(getProject(contentFd)).toEqual({ id, inherit: true });
    content = `${root}/trash/uuid/content`;
    chmodSync(root, 0o755);
    expect(await write("file", 2)).toBe(FULL[type]);
  });

  test("an owner may leave its project, but not from a user namespace", async () => {
    const leave = ["chattr", "-p", "0", content];
    const apart = ["unshare", "--user", "--map-root-user", "--", ...leave];
    expect(await reasonOf(underUser(NOBODY, apart))).toContain("Invalid argument");
    expect(getProject(contentFd).id).toBe(id);
    expect(await reasonOf(underUser(NOBODY, leave))).toBe("");
    expect(getProject(contentFd).id).toBe(0);
    expect(usageOfProject(fd, id).inodes).toBe(0);
  });

  test("only root asks what others have, anybody whether there are quotas", () => {
    process.seteuid?.(NOBODY.uid);
    try {
      expect(() => usageOfProject(fd, id)).toThrow("Cannot quotactl_fd: EPERM");
      expect(() => limitProject(fd, id, MIB)).toThrow("Cannot quotactl_fd: EPERM");
      expect(projectQuotaState(fd)).toEqual({ accounting: true, enforcing: true });
    } finally {
      process.seteuid?.(0);
    }
  });

  test("the kernel's answer costs the same however much there is", () => {
    const medianMs = () => {
      const times = Array.from({ length: 101 }, () => {
        const startMs = performance.now();
        usageOfProject(fd, id);
        return performance.now() - startMs;
      });
      return times.toSorted((a, b) => a - b)[50] ?? 0;
    };
    medianMs();
    const emptyMs = medianMs();
    for (let count = 0; count < 2000; count += 1) writeFileSync(`${content}/${count}`, "");
    expect(medianMs()).toBeLessThan(emptyMs * 5 + 1);
  });

  describe("ProjectIds", () => {
    // The first is the one that the test's volume has.
    const four = () => ({ first: id, last: id + 3 });

    test("refuses when none is left, and says of how many", () => {
      const few = new ProjectIds(fd, four());
      const given = Array.from({ length: 3 }, () => few.allocate());
      expect(given).toEqual([id + 1, id + 2, id + 3]);
      expect(() => few.allocate()).toThrow(
        expect.objectContaining({
          code: "insufficient",
          message: expect.stringContaining(`all project ids from ${id} to ${id + 3} are taken`),
        }),
      );
    });

    test("gives none that the books know, that has something, or that somebody has limited", () => {
      const few = new ProjectIds(fd, four());
      few.claim(id + 1);
      limitProject(fd, id + 2, MIB);
      expect(few.allocate()).toBe(id + 3);
      expect(() => few.allocate()).toThrow("are taken");
    });

    test("two for one file system give no id twice, once a directory has it", () => {
      const [one, other] = [new ProjectIds(fd, four()), new ProjectIds(fd, four())];
      const mine = one.allocate();
      setProject(contentFd, { id: mine, inherit: true });
      expect(other.allocate()).not.toBe(mine);
    });

    test("gives an id again, after the others, when it was released", () => {
      const few = new ProjectIds(fd, four());
      const first = few.allocate();
      limitProject(fd, first, MIB);
      few.release(first);
      expect([few.allocate(), few.allocate(), few.allocate()]).toEqual([id + 2, id + 3, first]);
    });

    test("does not give an id again while a deleted file of it is open", async () => {
      const few = new ProjectIds(fd, { first: id, last: id });
      expect(await write("file", 1)).toBe("");
      const file = openSync(`${content}/file`, "r");
      rmSync(`${content}/file`);
      setProject(contentFd, { id: 0, inherit: false });
      few.release(id);
      expect(usageOfProject(fd, id)).toMatchObject({ inodes: 1, limitBytes: undefined });
      expect(() => few.allocate()).toThrow("are taken");
      closeSync(file);
      // XFS gives it back in the background.
      await expect.poll(() => usageOfProject(fd, id).inodes, { timeout: 10_000 }).toBe(0);
      expect(few.allocate()).toBe(id);
    });
  });
});

describe.runIf(EXT4 !== undefined && XFS !== undefined)("project quotas that nobody switched on", () => {
  const ext4 = ["mkfs.ext4", "-q"];
  const ext4Counting = [...ext4, "-O", "project,quota", "-E", "quotatype=prjquota"];
  const xfs = ["mkfs.xfs", "-q"];
  const nothing = { accounting: false, enforcing: false };
  const counts = { accounting: true, enforcing: false };

  test.each([
    { name: "ext4 does nothing", make: ext4, options: "loop", expected: nothing },
    { name: "ext4 that was made for it counts", make: ext4Counting, options: "loop", expected: counts },
    { name: "XFS does nothing", make: xfs, options: "loop", expected: nothing },
    { name: "XFS with pqnoenforce counts", make: xfs, options: "loop,pqnoenforce", expected: counts },
    { name: "XFS with quotas for users only does nothing", make: xfs, options: "loop,uquota", expected: nothing },
  ])("$name", ({ make: [program = "", ...args], options, expected }) => {
    const base = mkdtempSync(`${realpathSync(tmpdir())}/holdfast-unlimited-`);
    let mounted = false;
    try {
      execFileSync("truncate", ["-s", "300M", `${base}/image`]);
      execFileSync(program, [...args, `${base}/image`]);
      mkdirSync(`${base}/mounted`);
      execFileSync("modprobe", ["loop"]);
      execFileSync("mount", ["-o", options, `${base}/image`, `${base}/mounted`]);
      mounted = true;
      const fd = openSync(`${base}/mounted`, "r");
      expect(projectQuotaState(fd)).toEqual(expected);
      if (!expected.accounting) expect(() => usageOfProject(fd, 1)).toThrow("Cannot quotactl_fd");
      closeSync(fd);
    } finally {
      if (mounted) umount2(`${base}/mounted`, UMOUNT.NOFOLLOW | UMOUNT.DETACH);
      rmSync(base, { recursive: true });
    }
  });
});

/** What a program says why it failed; nothing when it did not. */
async function reasonOf([program = "", ...args]: readonly string[]): Promise<string> {
  const { exitCode, stderr } = await execa(program, args, { stdin: "ignore", reject: false, env: { LC_ALL: "C" } });
  if (exitCode === 0) return "";
  const [first = ""] = stderr.split("\n");
  return /: ([^:]+)$/.exec(first)?.[1] ?? stderr;
}
