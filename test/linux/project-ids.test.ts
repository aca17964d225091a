/** Project ids on XFS, whose quotas may be missing in this kernel: they are tested in the guest. */
import { execFileSync } from "node:child_process";
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { ProjectIds, projectQuotaState, usageOfProject } from "../../src/host/project-quota.ts";
import { O, UMOUNT, umount2 } from "../../src/host/syscalls.ts";
import { getProject, type Project, setProject } from "../../src/host/syscalls-quota.ts";
import { mayMount } from "../e2e/privileges.ts";

const OURS: Project = { id: 4711, inherit: true };
const NOBODYS: Project = { id: 0, inherit: false };

describe.runIf(mayMount)("project ids on XFS", () => {
  let base: string;
  let mounted: string;
  let root: string;

  beforeAll(() => {
    base = mkdtempSync(`${realpathSync(tmpdir())}/holdfast-xfs-`);
    mounted = `${base}/mounted`;
    mkdirSync(mounted);
    execFileSync("truncate", ["-s", "300M", `${base}/image`]);
    execFileSync("mkfs.xfs", ["-q", `${base}/image`]);
    execFileSync("mount", ["-o", "loop", `${base}/image`, mounted]);
  });
  afterAll(() => {
    try {
      umount2(mounted, UMOUNT.NOFOLLOW | UMOUNT.DETACH);
    } finally {
      rmSync(base, { recursive: true });
    }
  });
  beforeEach(() => {
    root = mkdtempSync(`${mounted}/test-`);
    mkdirSync(`${root}/content`);
  });
  afterEach(() => rmSync(root, { recursive: true }));

  function withOpen<T>(path: string, work: (fd: number) => T): T {
    const fd = openSync(`${root}/${path}`, O.RDONLY | O.NONBLOCK);
    try {
      return work(fd);
    } finally {
      closeSync(fd);
    }
  }
  const projectOf = (path: string) => withOpen(path, getProject);
  const give = (path: string, project: Project) => withOpen(path, (fd) => setProject(fd, project));

  test("a directory is nobody's until it is given to a project, and can be given back", () => {
    expect(projectOf("content")).toEqual(NOBODYS);
    give("content", OURS);
    expect(projectOf("content")).toEqual(OURS);
    give("content", NOBODYS);
    expect(projectOf("content")).toEqual(NOBODYS);
  });

  test("the largest id is as good as any", () => {
    give("content", { id: 0xffff_fffe, inherit: true });
    expect(projectOf("content")).toEqual({ id: 0xffff_fffe, inherit: true });
  });

  test("setProject leaves the other attributes as they are", () => {
    execFileSync("xfs_io", ["-c", "extsize 65536", `${root}/content`]);
    give("content", OURS);
    expect(projectOf("content")).toEqual(OURS);
    expect(execFileSync("xfs_io", ["-r", "-c", "extsize", `${root}/content`], { encoding: "utf8" })).toMatch(
      /^\[65536\]/,
    );
  });

  test("setProject writes nothing when nothing changes", async () => {
    give("content", OURS);
    const { ctimeNs } = statSync(`${root}/content`, { bigint: true });
    await new Promise((resolve) => setTimeout(resolve, 20));
    give("content", OURS);
    expect(statSync(`${root}/content`, { bigint: true }).ctimeNs).toBe(ctimeNs);
    give("content", { ...OURS, inherit: false });
    expect(statSync(`${root}/content`, { bigint: true }).ctimeNs).not.toBe(ctimeNs);
  });

  test("what is made inside belongs to the same project, and what was there does not", () => {
    writeFileSync(`${root}/content/before`, "");
    give("content", OURS);
    mkdirSync(`${root}/content/deep/deeper`, { recursive: true });
    writeFileSync(`${root}/content/deep/deeper/file`, "");
    expect(projectOf("content/deep/deeper")).toEqual(OURS);
    expect(projectOf("content/deep/deeper/file")).toEqual({ ...OURS, inherit: false });
    expect(projectOf("content/before")).toEqual(NOBODYS);
  });

  test("a directory of nobody's moves with what is in it, whosever that is", () => {
    mkdirSync(`${root}/volumes/uuid/content`, { recursive: true });
    mkdirSync(`${root}/trash`);
    give("volumes/uuid/content", OURS);
    renameSync(`${root}/volumes/uuid`, `${root}/trash/uuid`);
    expect(projectOf("trash/uuid/content")).toEqual(OURS);
    expect(projectOf("trash/uuid")).toEqual(NOBODYS);
  });

  test("nothing of another project is moved in, but what is moved out stays its project's", () => {
    give("content", OURS);
    writeFileSync(`${root}/outside`, "");
    writeFileSync(`${root}/content/inside`, "");
    expect(() => renameSync(`${root}/outside`, `${root}/content/outside`)).toThrow("EXDEV");
    renameSync(`${root}/content/inside`, `${root}/inside`);
    expect(projectOf("inside").id).toBe(OURS.id);
  });

  test("where nothing counts, the state says so, and no id is given out", () => {
    withOpen("content", (fd) => {
      expect(projectQuotaState(fd)).toEqual({ accounting: false, enforcing: false });
      expect(() => usageOfProject(fd, OURS.id)).toThrow(/Cannot quotactl_fd: (?:ENOSYS|ESRCH)/);
      expect(() => new ProjectIds(fd, { first: 1, last: 2 }).allocate()).toThrow("Cannot quotactl_fd");
    });
  });
});
