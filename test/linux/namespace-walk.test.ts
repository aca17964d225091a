import { execFileSync } from "node:child_process";
import { closeSync, mkdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { KnownMounts } from "../../src/host/known-mounts.ts";
import { findShownMounts, OWN_NAMESPACE } from "../../src/host/namespace-walk.ts";
import {
  AT,
  MOVE_MOUNT,
  MS,
  mkdirat,
  mount,
  moveMount,
  O,
  OPEN_TREE,
  openat2,
  openTree,
  UMOUNT,
  umount2,
} from "../../src/host/syscalls.ts";
import { startContainer } from "../support/container.ts";
import { MountPlace } from "../support/mount-place.ts";

const isRoot = process.getuid?.() === 0;

describe.skipIf(!isRoot)("findShownMounts", () => {
  let place: MountPlace;

  beforeEach(() => {
    place = new MountPlace();
  });

  afterEach(() => place.dispose());

  test("sees a mount that only another namespace has, also when its source is renamed, until the namespace ends", async () => {
    const volume = place.volume();
    const wanted = new Set([volume.uuid]);
    const target = join(place.sandbox(), "data");
    mkdirSync(target);
    mount(volume.content, target, null, MS.BIND);
    const container = await startContainer("private");
    umount2(target, UMOUNT.NOFOLLOW);
    const seen = findShownMounts(wanted);
    // A kernel before 6.12 cannot tell; then processes are asked.
    if (seen === undefined) return container.stop();
    expect(seen.map(({ uuid }) => uuid)).toEqual([volume.uuid]);
    renameSync(join(place.root, "disk/volumes"), join(place.root, "disk/trash"));
    expect(findShownMounts(wanted)).toHaveLength(1);
    await container.stop();
    await expect.poll(() => findShownMounts(wanted)).toEqual([]);
  });

  test("tells our own namespace apart, and leaves out other volumes", async () => {
    const [ours, other] = [place.volume(), place.volume()];
    const target = join(place.sandbox(), "data");
    mkdirSync(target);
    mount(other.content, target, null, MS.BIND);
    const container = await startContainer("private");
    const target2 = join(place.sandbox(), "data");
    mkdirSync(target2);
    mount(ours.content, target2, null, MS.BIND);
    const seen = findShownMounts(new Set([ours.uuid])) ?? [];
    expect(seen.every(({ namespaceId }) => namespaceId === OWN_NAMESPACE)).toBe(true);
    expect(new Set(seen.map(({ uuid }) => uuid)).size).toBeLessThanOrEqual(1);
    await container.stop();
  });

  test("finds with what is known from earlier what it finds without, and forgets what is gone", async () => {
    const [first, second] = [place.volume(), place.volume()];
    const [here, there] = [join(place.sandbox(), "data"), join(place.sandbox(), "data")];
    for (const target of [here, there]) mkdirSync(target);
    const known = new Map<bigint, KnownMounts>();
    const look = () => findShownMounts(new Set([first.uuid, second.uuid]), { known })?.map(({ uuid }) => uuid);
    mount(first.content, here, null, MS.BIND);
    const container = await startContainer("private");
    umount2(here, UMOUNT.NOFOLLOW);
    if (look() === undefined) return container.stop();
    mount(second.content, there, null, MS.BIND);
    const other = await startContainer("private");
    umount2(there, UMOUNT.NOFOLLOW);
    expect(new Set(look())).toEqual(new Set([first.uuid, second.uuid]));
    await container.stop();
    await expect.poll(() => [...new Set(look())]).toEqual([second.uuid]);
    await other.stop();
    await expect.poll(look).toEqual([]);
  });

  test("is not stopped by a mount whose root has a path of any length", async () => {
    const volume = place.volume();
    const target = place.sandbox();
    mount(volume.content, target, null, MS.BIND);
    const sandbox = place.sandbox();
    const deep = openDeep(sandbox);
    const at = openat2(AT.FDCWD, place.sandbox(), { flags: O.PATH });
    const tree = openTree(deep, "", OPEN_TREE.CLONE | AT.EMPTY_PATH);
    moveMount(tree, "", at, "", MOVE_MOUNT.F_EMPTY_PATH | MOVE_MOUNT.T_EMPTY_PATH);
    for (const fd of [deep, at, tree]) closeSync(fd);
    const seen = findShownMounts(new Set([volume.uuid]));
    for (const mountPoint of place.mounts().toReversed()) umount2(mountPoint, UMOUNT.NOFOLLOW | UMOUNT.DETACH);
    execFileSync("rm", ["-rf", sandbox]);
    expect(seen?.map(({ uuid }) => uuid) ?? [volume.uuid]).toContain(volume.uuid);
  });
});

/** Deeper than any path can say. */
function openDeep(directory: string): number {
  let fd = openat2(AT.FDCWD, directory, { flags: O.PATH });
  for (let depth = 0; depth < 100; depth += 1) {
    const name = "x".repeat(250);
    mkdirat(fd, name, 0o755);
    const next = openat2(fd, name, { flags: O.PATH });
    closeSync(fd);
    fd = next;
  }
  return fd;
}
