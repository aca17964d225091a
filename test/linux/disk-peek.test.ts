import { execFileSync } from "node:child_process";
import { closeSync, mkdirSync, mkdtempSync, openSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { lookAtDrive } from "../../src/host/disk-peek.ts";
import { UMOUNT, umount2 } from "../../src/host/syscalls.ts";
import { mayMount } from "../e2e/privileges.ts";

let base: string;
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), "holdfast-peek-"));
});
afterEach(() => rmSync(base, { recursive: true, force: true }));

test("what is not there, or no directory, is absent with what to do", async () => {
  writeFileSync(join(base, "file"), "");
  expect(await lookAtDrive({ root: join(base, "nothing") })).toEqual({
    state: "absent",
    reason: "there is no such directory: mount the disk there",
  });
  expect(await lookAtDrive({ root: join(base, "file") })).toMatchObject({ state: "absent" });
});

test("a fresh directory has no volumes, and gets none from a look", async () => {
  const look = await lookAtDrive({ root: base });
  expect(look).toMatchObject({ state: "present", isMountPoint: false, isReadOnly: false });
  expect(look).not.toHaveProperty("directory");
  expect(readdirSync(base)).toEqual([]);
});

describe.runIf(mayMount)("a file system of its own", () => {
  const UUID = "12345678-9abc-4def-8123-456789abcdef";
  let root: string;

  beforeEach(() => {
    root = join(base, "mounted");
    mkdirSync(root);
    execFileSync("truncate", ["--size", "16M", join(base, "image")]);
    execFileSync("mkfs.ext4", ["-q", "-U", UUID, join(base, "image")]);
    execFileSync("mount", ["-o", "loop", join(base, "image"), root]);
  });

  afterEach(() => umount2(root, UMOUNT.NOFOLLOW | UMOUNT.DETACH));

  test("is a mount point with its UUID, and with its volumes when it has them", async () => {
    mkdirSync(join(root, "volumes"));
    expect(await lookAtDrive({ root })).toMatchObject({
      state: "present",
      isMountPoint: true,
      isReadOnly: false,
      fileSystemUuid: UUID,
      directory: { ino: expect.stringMatching(/^\d+$/) },
    });
  });

  test("is read-only as its file system or its mount is", async () => {
    execFileSync("mount", ["-o", "remount,bind,ro", root]);
    expect(await lookAtDrive({ root })).toMatchObject({ isReadOnly: true });
    execFileSync("mount", ["-o", "remount,ro", root]);
    expect(await lookAtDrive({ root })).toMatchObject({ isReadOnly: true });
  });

  test("that was shut down by its kernel is absent, whatever memory still has of it", async () => {
    execFileSync("xfs_io", ["-x", "-c", "shutdown", root]);
    expect(await lookAtDrive({ root })).toMatchObject({
      state: "absent",
      reason: expect.stringContaining("it reports an error"),
    });
  });

  test("that is mounted anew has another mount, and is the same otherwise", async () => {
    const before = await lookAtDrive({ root });
    const held = openSync(root, "r");
    umount2(root, UMOUNT.NOFOLLOW | UMOUNT.DETACH);
    execFileSync("mount", ["-o", "loop", join(base, "image"), root]);
    expect(await lookAtDrive({ root })).toMatchObject({ fileSystemUuid: UUID });
    expect(await lookAtDrive({ root })).not.toEqual(before);
    expect(await lookAtDrive({ root })).toEqual(await lookAtDrive({ root }));
    closeSync(held);
  });
});
