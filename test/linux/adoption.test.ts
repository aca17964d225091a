import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { codeOf } from "../../src/domain/error.ts";
import type { Volume } from "../../src/domain/records.ts";
import { type DiskSource, ROOT_DISK } from "../../src/domain/resource.ts";
import type { Role, VolumeId } from "../../src/domain/units.ts";
import { openDirectoryDisk } from "../../src/host/directory-disk.ts";
import { getInodeFlags, INODE, MS, mount, setInodeFlags, UMOUNT, umount2 } from "../../src/host/syscalls.ts";
import type { Disk } from "../../src/ports/disk.ts";
import { createMemoryLog } from "../auth/memory-log.ts";
import { isRoot, mayMount } from "../e2e/privileges.ts";
import { PLAIN_LABELS } from "../support/directory-world.ts";
import { racing } from "../support/racing.ts";
import { volumeOn } from "../support/sample-volume.ts";

let base: string;
let root: string;
let srv: string;
let disk: Disk;
const mounts: string[] = [];

beforeEach(async () => {
  base = mkdtempSync(`${realpathSync(tmpdir())}/holdfast-adoption-`);
  root = `${base}/root`;
  srv = `${base}/srv`;
  mkdirSync(root);
  mkdirSync(srv);
  disk = await open();
});
afterEach(async () => {
  await disk.close();
  for (const path of mounts.splice(0).toReversed()) umount2(path, UMOUNT.DETACH | UMOUNT.NOFOLLOW);
  rmSync(base, { recursive: true });
});

function open(source: DiskSource = ROOT_DISK, at = root): Promise<Disk> {
  return openDirectoryDisk({
    root: at,
    source,
    labels: PLAIN_LABELS,
    log: createMemoryLog(),
    spares: { min: 2, max: 4 },
  });
}

/** A directory with a file in it. */
function make(path: string): string {
  mkdirSync(path, { recursive: true });
  writeFileSync(`${path}/file`, "content");
  return path;
}

function mounted(from: string, to: string, type: string | null = null): void {
  mount(from, to, type, type === null ? MS.BIND : 0);
  mounts.push(to);
}

/** What it would be as a volume. */
function plan(origin: string, rest: Partial<Volume> = {}): Volume {
  const found = disk.examineForeign(origin);
  if (found === undefined) throw new Error(`${origin} would have to be copied`);
  return volumeOn(found, { origin, ...rest });
}

const refusal = (path: string) => expect(() => disk.examineForeign(path));
const contentOf = (volume: Volume) => `${root}/volumes/${volume.uuid}/content`;

describe("examineForeign", () => {
  test.each([
    ["nothing", () => `${srv}/none`, /no such directory/],
    ["a file", () => `${make(`${srv}/db`)}/file`, /not a directory/],
    ["a relative path", () => "srv/db", /absolute/],
    ["a path with ..", () => `${make(`${srv}/db`)}/../db`, /absolute/],
  ])("refuses %s", (_what, path, reason) => {
    refusal(path()).toThrow(expect.objectContaining({ code: "invalid", message: expect.stringMatching(reason) }));
  });

  test("refuses a symlink anywhere in the path, and names the real one", () => {
    make(`${srv}/db`);
    symlinkSync(srv, `${base}/link`);
    symlinkSync("db", `${srv}/last`);
    refusal(`${base}/link/db`).toThrow(`${base}/link is a symlink; use ${srv}/db`);
    refusal(`${srv}/last`).toThrow(`${srv}/last is a symlink; use ${srv}/db`);
  });

  test("refuses what the disk lies in, and what is a part of it", () => {
    for (const path of [
      "/",
      base,
      root,
      `${root}/volumes`,
      `${root}/trash`,
      `${root}/volumes/roles`,
      make(`${root}/meta`),
    ]) {
      refusal(path).toThrow(expect.objectContaining({ code: "conflict" }));
    }
    const [uuid = ""] = readdirSync(`${root}/volumes`).filter((name) => name !== "roles");
    if (uuid !== "") refusal(`${root}/volumes/${uuid}/content`).toThrow(expect.objectContaining({ code: "conflict" }));
  });

  test("takes what lies beside the volumes of a PATH disk, and not the volumes", async () => {
    make(`${base}/other/db`);
    const other = await open({ type: "PATH", root: `${base}/other` }, `${base}/other`);
    try {
      expect(other.examineForeign(`${base}/other/db`)).toBeDefined();
      expect(() => other.examineForeign(`${base}/other/volumes/roles`)).toThrow(/part of disk/);
    } finally {
      await other.close();
    }
  });

  test("refuses an immutable directory, and one in an immutable directory", () => {
    const db = make(`${srv}/db`);
    for (const path of [db, srv]) {
      const fd = openSync(path, "r");
      const flags = getInodeFlags(fd);
      setInodeFlags(fd, flags | INODE.IMMUTABLE);
      try {
        refusal(db).toThrow(
          expect.objectContaining({ code: "unsupported", message: expect.stringMatching(/immutable/) }),
        );
      } finally {
        setInodeFlags(fd, flags);
        closeSync(fd);
      }
    }
  });

  test.runIf(mayMount)("refuses a mount point, and leaves what is on another file system or mount to others", () => {
    const db = make(`${srv}/db`);
    mkdirSync(`${base}/bound`);
    mounted(srv, `${base}/bound`);
    expect(disk.examineForeign(`${base}/bound/db`)).toBeUndefined();
    mounted("none", db, "tmpfs");
    refusal(db).toThrow(expect.objectContaining({ code: "in_use" }));
    mkdirSync(`${db}/inside`);
    expect(disk.examineForeign(`${db}/inside`)).toBeUndefined();
  });
});

describe("adopt", () => {
  test("refuses another directory than was looked at, and leaves it", async () => {
    const volume = plan(make(`${srv}/db`));
    renameSync(`${srv}/db`, `${srv}/moved`);
    make(`${srv}/db`);
    await expect(disk.adopt(volume)).rejects.toMatchObject({ code: "conflict" });
    expect(readdirSync(srv).sort()).toEqual(["db", "moved"]);
    expect(existsSync(`${root}/volumes/${volume.uuid}`)).toBe(false);
  });

  test.runIf(mayMount)("refuses what has come to be a mount point", async () => {
    const volume = plan(make(`${srv}/db`));
    mounted("none", `${srv}/db`, "tmpfs");
    await expect(disk.adopt(volume)).rejects.toMatchObject({ code: "in_use" });
  });

  test("moves the directory as it is: content, owner and mode", async () => {
    const db = make(`${srv}/db`);
    if (isRoot) chownSync(db, 1234, 1235);
    chmodSync(db, 0o2750);
    const before = lstatSync(db);
    const volume = plan(db);
    await disk.adopt(volume);
    expect(existsSync(db)).toBe(false);
    const { ino, mode, uid, gid } = lstatSync(contentOf(volume));
    expect({ ino, mode, uid, gid }).toEqual({ ino: before.ino, mode: before.mode, uid: before.uid, gid: before.gid });
    expect(readFileSync(`${contentOf(volume)}/file`, "utf8")).toBe("content");
    expect(disk.examine(volume.uuid)).toEqual({ state: "present", directory: volume.directory });
    expect(disk.contentPath(volume)).toBe(contentOf(volume));
  });

  test("takes what a Mesos agent left on the same root, and puts the symlink in its place", async () => {
    const origin = make(`${root}/volumes/roles/eng web/db`);
    const volume = plan(origin, { role: "eng/web" as Role, id: "db" as VolumeId });
    await disk.adopt(volume);
    const { origin: _, ...adopted } = volume;
    disk.writeLabel(adopted);
    expect(readlinkSync(origin)).toBe(`../../${volume.uuid}/content`);
    expect(readFileSync(`${origin}/file`, "utf8")).toBe("content");
  });

  test.each([" ", "a\nb", "back\\slash", "über", "x (deleted)", "-rf", "tab\there", "😀", "%s"])(
    "takes a directory called %j, and gives it back",
    async (name) => {
      const volume = plan(make(`${srv}/${name}`));
      expect((await disk.measureForeign(`${srv}/${name}`)).usedBytes).toBeGreaterThan(0);
      await disk.adopt(volume);
      expect(readdirSync(srv)).toEqual([]);
      await disk.unadopt(volume);
      expect(readdirSync(srv)).toEqual([name]);
    },
  );

  test("never moves what somebody exchanges for it in between", async () => {
    make(`${srv}/data`);
    const canary = make(`${base}/canary`);
    symlinkSync(canary, `${srv}/other`);
    const outcomes = new Map<string, number>();
    await racing({ sandbox: srv, canary, how: "exchange", ownNamespace: false }, async () => {
      for (let round = 0; round < 400; round += 1) {
        const outcome = await adoptAndGiveBack();
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
        expect(readdirSync(canary)).toEqual(["file"]);
      }
    });
    const names = readdirSync(srv).sort();
    expect(names).toEqual(["data", "other"]);
    expect(names.filter((name) => lstatSync(`${srv}/${name}`).isSymbolicLink())).toHaveLength(1);
    expect(outcomes.get("adopted")).toBeGreaterThan(0);
    expect(outcomes.size).toBeGreaterThan(1);
  });

  async function adoptAndGiveBack(): Promise<string> {
    try {
      const volume = plan(`${srv}/data`);
      await disk.adopt(volume);
      expect(readFileSync(`${contentOf(volume)}/file`, "utf8")).toBe("content");
      expect(disk.examine(volume.uuid)).toEqual({ state: "present", directory: volume.directory });
      await disk.unadopt(volume);
      return "adopted";
    } catch (error) {
      if (!["invalid", "conflict"].includes(codeOf(error))) throw error;
      return codeOf(error);
    }
  }
});

describe("unadopt", () => {
  async function adopted(): Promise<Volume> {
    const volume = plan(make(`${srv}/db`));
    await disk.adopt(volume);
    return volume;
  }

  test("refuses where something else has the name, and keeps the content", async () => {
    const volume = await adopted();
    mkdirSync(`${srv}/db`);
    await expect(disk.unadopt(volume)).rejects.toMatchObject({
      code: "conflict",
      message: expect.stringMatching(/something else has its name/),
    });
    expect(disk.examine(volume.uuid).state).toBe("present");
  });

  test("refuses where its old place is gone, or has become a symlink", async () => {
    const volume = await adopted();
    renameSync(srv, `${base}/moved`);
    await expect(disk.unadopt(volume)).rejects.toMatchObject({ code: "conflict" });
    symlinkSync(`${base}/moved`, srv);
    await expect(disk.unadopt(volume)).rejects.toMatchObject({ code: "conflict" });
    expect(readdirSync(`${base}/moved`)).toEqual([]);
  });

  test("refuses something else in the place of the content", async () => {
    const volume = await adopted();
    renameSync(contentOf(volume), `${base}/away`);
    mkdirSync(contentOf(volume));
    await expect(disk.unadopt(volume)).rejects.toMatchObject({ code: "damaged" });
  });

  test("gives it back, and leaves nothing; twice is fine", async () => {
    const volume = await adopted();
    for (let round = 0; round < 2; round += 1) {
      await disk.unadopt(volume);
      expect(readFileSync(`${srv}/db/file`, "utf8")).toBe("content");
      expect(existsSync(`${root}/volumes/${volume.uuid}`)).toBe(false);
    }
  });

  test("of what never came here touches nothing", async () => {
    const volume = plan(make(`${srv}/db`));
    await disk.unadopt(volume);
    rmSync(srv, { recursive: true });
    await disk.unadopt(volume);
  });
});

test("measureForeign counts what is allocated", async () => {
  const db = make(`${srv}/db`);
  writeFileSync(`${db}/large`, Buffer.alloc(3 * 2 ** 20, 1));
  const { usedBytes, inodes } = await disk.measureForeign(db);
  expect(usedBytes).toBeGreaterThanOrEqual(3 * 2 ** 20);
  expect(usedBytes).toBeLessThan(4 * 2 ** 20);
  expect(inodes).toBe(3);
});
