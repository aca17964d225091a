/** Labels on real file systems. A kernel without SELinux keeps the attribute and gives it no meaning. */
import { execFileSync } from "node:child_process";
import { closeSync, mkdirSync, mkdtempSync, openSync, readdirSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ROOT_DISK } from "../../src/domain/resource.ts";
import { openDirectoryDisk } from "../../src/host/directory-disk.ts";
import { getSelinuxLabel, setSelinuxLabel } from "../../src/host/selinux.ts";
import { surveySelinuxLabels } from "../../src/host/survey.ts";
import { mount, setInodeFlags, UMOUNT, umount2 } from "../../src/host/syscalls.ts";
import type { Disk } from "../../src/ports/disk.ts";
import { createMemoryLog } from "../auth/memory-log.ts";
import { refusalOf } from "../domain/refusals.ts";
import { mayMount } from "../e2e/privileges.ts";
import { PLAIN_LABELS } from "../support/directory-world.ts";
import { volumeOn } from "../support/sample-volume.ts";

const LABEL = "system_u:object_r:container_file_t:s0";
const IMMUTABLE = 0x10;

describe.runIf(mayMount)("SELinux labels", () => {
  let base: string;
  let disk: Disk | undefined;
  let notices: string[];

  beforeEach(() => {
    base = mkdtempSync(`${realpathSync(tmpdir())}/holdfast-selinux-`);
    notices = [];
  });

  afterEach(async () => {
    await disk?.close();
    disk = undefined;
    rmSync(base, { recursive: true, force: true });
  });

  async function open(label: string | undefined, required = false): Promise<Disk> {
    await disk?.close();
    const selinux =
      label === undefined
        ? undefined
        : { label, required, onUnlabelled: (notice: string) => void notices.push(notice) };
    const spares = { min: 4, max: 8 };
    disk = await openDirectoryDisk({
      root: base,
      source: ROOT_DISK,
      labels: PLAIN_LABELS,
      log: createMemoryLog(),
      spares,
      selinux,
    });
    return disk;
  }

  async function create(on: Disk): Promise<void> {
    const [spare] = await on.take(1);
    if (spare === undefined) throw new Error("There is no spare");
    on.writeLabel(volumeOn(spare));
  }

  const typesOf = () => surveySelinuxLabels(base).map(({ label }) => label);

  test("a label that is asked for and cannot be given refuses the volume, and leaves no directory", async () => {
    const refusing = await open(`a:b:${"c".repeat(70_000)}`, true);
    await expect(refusing.take(1)).rejects.toMatchObject({
      code: "unsupported",
      message: expect.stringContaining("set selinuxLabel to another one, or to none"),
    });
    expect(readdirSync(`${base}/volumes`)).toEqual(["roles"]);
  });

  test("one that was guessed is done without, and told once", async () => {
    await create(await open(`a:b:${"c".repeat(70_000)}`));
    expect(typesOf()).toEqual([undefined]);
    expect(notices).toEqual([expect.stringContaining(`New volumes on ${base} get no SELinux label: Cannot give`)]);
  });

  test("a file system that keeps none is no reason to refuse", async () => {
    mount("none", base, "ramfs", 0);
    try {
      await create(await open(LABEL, true));
      expect(typesOf()).toEqual([undefined]);
      expect(notices).toEqual([`New volumes on ${base} get no SELinux label: its file system keeps none`]);
      await disk?.close();
      disk = undefined;
    } finally {
      umount2(base, UMOUNT.NOFOLLOW | UMOUNT.DETACH);
    }
  });

  test("a directory that may not be changed says so", () => {
    const path = `${base}/immutable`;
    mkdirSync(path);
    const fd = openSync(path, "r");
    try {
      setInodeFlags(fd, IMMUTABLE);
      expect(refusalOf(() => setSelinuxLabel(fd, LABEL)).message).toContain("(EPERM)");
    } finally {
      setInodeFlags(fd, 0);
      closeSync(fd);
    }
  });

  test("the content of a new volume has the label, and nobody reads a zero at its end", async () => {
    await create(await open(LABEL));
    expect(typesOf()).toEqual([LABEL]);
    const path = surveySelinuxLabels(base)[0]?.path ?? "";
    expect(execFileSync("stat", ["--format", "%C", path]).toString()).toContain(LABEL);
    const fd = openSync(path, "r");
    expect(getSelinuxLabel(fd)).toBe(LABEL);
    closeSync(fd);
    expect(notices).toEqual([]);
  });

  test("spares of an earlier process get the label of now, volumes keep theirs", async () => {
    const before = await open(undefined);
    await create(before);
    const after = await open(LABEL);
    const isVolume = new Set(surveySelinuxLabels(base).map(({ path }) => path.split("/").at(-2)));
    await after.list((uuid) => isVolume.has(uuid));
    await create(after);
    expect(typesOf().toSorted()).toEqual([LABEL, undefined]);
  });
});
