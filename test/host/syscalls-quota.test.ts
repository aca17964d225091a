import { closeSync, mkdtempSync, openSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { projectQuotaState } from "../../src/host/project-quota.ts";
import { AT, O, openat2 } from "../../src/host/syscalls.ts";
import { getProject, getProjectCounts, projectQuotaFlags, setProject } from "../../src/host/syscalls-quota.ts";

const NOT_OPEN = 1_000_000;

let root: string;
let opened: number[];
beforeEach(() => {
  root = mkdtempSync(join(realpathSync(tmpdir()), "holdfast-quota-"));
  opened = [];
});
afterEach(() => {
  for (const fd of opened) closeSync(fd);
  rmSync(root, { recursive: true });
});

function open(path: string, flags: number = O.RDONLY): number {
  const fd = flags === O.RDONLY ? openSync(path, flags) : openat2(AT.FDCWD, path, { flags });
  opened.push(fd);
  return fd;
}

describe("getProject and setProject", () => {
  it("refuse a descriptor that is not open enough", () => {
    const fd = open(root, O.PATH);
    expect(() => getProject(fd)).toThrow("Cannot FS_IOC_FSGETXATTR: EBADF");
    expect(() => setProject(fd, { id: 1, inherit: true })).toThrow("EBADF");
  });

  it("refuse a file system without projects", () => {
    expect(() => getProject(open("/proc"))).toThrow("Cannot FS_IOC_FSGETXATTR: ENOTTY");
  });
});

describe("quota commands", () => {
  it("refuse a file system that does not count", () => {
    expect(() => projectQuotaFlags(open("/proc"))).toThrow("Cannot quotactl_fd: ENOSYS");
    expect(() => getProjectCounts(open("/proc"), 1)).toThrow(/Cannot quotactl_fd: (?:ENOSYS|EPERM)/);
    expect(projectQuotaState(open("/proc"))).toEqual({ accounting: false, enforcing: false });
  });

  it("refuse what is not open", () => {
    expect(() => projectQuotaFlags(NOT_OPEN)).toThrow("EBADF");
  });
});
