import { closeSync, mkdirSync, readlinkSync, renameSync, rmdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  isRecordedDirectory,
  openChildDirectory,
  openContent,
  openSandbox,
  openSandboxIfPresent,
  withDescriptors,
} from "../../src/host/walk.ts";
import { MountPlace } from "../support/mount-place.ts";

let place: MountPlace;
let open: number[];
const keep = (fd: number) => {
  open.push(fd);
  return fd;
};

beforeEach(() => {
  place = new MountPlace();
  open = [];
});

afterEach(() => {
  for (const fd of open) closeSync(fd);
  place.dispose();
});

const pathOf = (fd: number) => readlinkSync(`/proc/self/fd/${keep(fd)}`);

describe("openSandbox", () => {
  it("names the symlink in a path and the real path", () => {
    const sandbox = place.sandbox();
    symlinkSync(place.root, join(place.root, "link"));
    const path = join(place.root, "link", "sandbox-1");
    const message = `Cannot use sandbox "${path}": ${place.root}/link is a symlink; use ${sandbox}`;
    expect(() => openSandbox(path)).toThrow(expect.objectContaining({ code: "invalid", message }));
  });

  it("refuses a symlink at the end, and one that leads nowhere", () => {
    symlinkSync("/nowhere/at/all", join(place.root, "link"));
    expect(() => openSandbox(join(place.root, "link"))).toThrow("is a symlink; it leads nowhere");
  });

  it.each([
    ["a relative path", "sandbox", "not an absolute path"],
    ["an empty path", "", "not an absolute path"],
    ["a missing directory", "/nowhere/at/all", "no such directory"],
    ["a file", "/proc/version", "not a directory"],
    ["a path with a NUL", "/proc\0/x", "EINVAL"],
  ])("refuses %s", (_, path, reason) => {
    expect(() => openSandbox(path)).toThrow(expect.objectContaining({ code: "invalid" }));
    expect(() => openSandbox(path)).toThrow(reason);
  });

  it("opens a directory, whose descriptor stays with it", () => {
    const sandbox = place.sandbox();
    const fd = openSandbox(sandbox);
    expect(pathOf(fd)).toBe(sandbox);
    renameSync(sandbox, `${sandbox}.moved`);
    expect(readlinkSync(`/proc/self/fd/${fd}`)).toBe(`${sandbox}.moved`);
  });
});

describe("openSandboxIfPresent", () => {
  it("is undefined for what is gone or replaced, and refuses a malformed path", () => {
    symlinkSync("/", join(place.root, "link"));
    expect(openSandboxIfPresent("/nowhere")).toBeUndefined();
    expect(openSandboxIfPresent("/proc/version/x")).toBeUndefined();
    expect(openSandboxIfPresent(join(place.root, "link"))).toBeUndefined();
    expect(() => openSandboxIfPresent("relative")).toThrow("not an absolute path");
  });
});

describe("openChildDirectory", () => {
  it.each(["", ".", "..", "a/b", "/"])("refuses the name %j", (name) => {
    const sandbox = keep(openSandbox(place.sandbox()));
    expect(() => openChildDirectory(sandbox, name)).toThrow(expect.objectContaining({ code: "invalid" }));
  });

  it.each([
    ["a symlink", "link", "ELOOP"],
    ["a file", "file", "ENOTDIR"],
    ["nothing", "nothing", "ENOENT"],
  ])("fails on %s", (_, name, errno) => {
    const path = place.sandbox();
    symlinkSync("/", join(path, "link"));
    writeFileSync(join(path, "file"), "");
    const sandbox = keep(openSandbox(path));
    expect(() => openChildDirectory(sandbox, name)).toThrow(expect.objectContaining({ errno }));
  });

  it("fails on a mount point", () => {
    const root = keep(openSandbox("/"));
    expect(() => openChildDirectory(root, "proc")).toThrow(expect.objectContaining({ errno: "EXDEV" }));
  });

  it("opens a directory", () => {
    const path = place.sandbox();
    mkdirSync(join(path, "data"));
    const sandbox = keep(openSandbox(path));
    expect(pathOf(openChildDirectory(sandbox, "data"))).toBe(join(path, "data"));
  });
});

describe("openContent", () => {
  it("opens the recorded directory, whatever the operator's path to the disk is", () => {
    const { uuid, directory, content, diskRoot } = place.volume();
    symlinkSync(diskRoot, join(place.root, "link"));
    for (const disk of [diskRoot, join(place.root, "link")]) {
      expect(pathOf(openContent(disk, uuid, directory))).toBe(content);
    }
  });

  it("calls it damaged when it is missing, replaced or a symlink, or the disk is missing", () => {
    const { uuid, directory, content, diskRoot } = place.volume("empty");
    const attempt = (disk = diskRoot) => openContent(disk, uuid, directory);
    expect(() => attempt(join(place.root, "other"))).toThrow(expect.objectContaining({ code: "damaged" }));
    renameSync(content, `${content}.aside`);
    expect(attempt).toThrow("it is missing");
    symlinkSync(`${content}.aside`, content);
    expect(attempt).toThrow("something else is in its place");
    renameSync(content, `${content}.link`);
    mkdirSync(content);
    expect(attempt).toThrow("it is not the recorded directory");
    rmdirSync(content);
  });
});

describe("withDescriptors", () => {
  it("closes what was kept, also when the work throws", () => {
    const sandbox = place.sandbox();
    const kept: number[] = [];
    const failing = () =>
      withDescriptors((take) => {
        kept.push(take(openSandbox(sandbox)), take(openSandbox(sandbox)));
        throw new Error("work");
      });
    expect(failing).toThrow("work");
    for (const fd of kept) expect(() => closeSync(fd)).toThrow("EBADF");
  });
});

describe("isRecordedDirectory", () => {
  it("compares inode, and birth time where both are known", () => {
    const recorded = { ino: "7", birthNs: "5" };
    expect(isRecordedDirectory(recorded, { ino: 7n, birthNs: 5n })).toBe(true);
    expect(isRecordedDirectory(recorded, { ino: 8n, birthNs: 5n })).toBe(false);
    expect(isRecordedDirectory(recorded, { ino: 7n, birthNs: 6n })).toBe(false);
    expect(isRecordedDirectory(recorded, { ino: 7n, birthNs: 0n })).toBe(true);
    expect(isRecordedDirectory({ ino: "7", birthNs: "0" }, { ino: 7n, birthNs: 6n })).toBe(true);
  });
});
