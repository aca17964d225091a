import { mkdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { incarnationsIn } from "../../src/host/held-mounts.ts";
import { findShownMounts, type KnownMounts } from "../../src/host/namespace-walk.ts";
import { MS, mount, UMOUNT, umount2 } from "../../src/host/syscalls.ts";
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
    const seen = findShownMounts(wanted, { incarnationsIn });
    // A kernel before 6.12 cannot tell; then processes are asked.
    if (seen === undefined) return container.stop();
    expect(seen.map(({ uuid }) => uuid)).toEqual([volume.uuid]);
    renameSync(join(place.root, "disk/volumes"), join(place.root, "disk/trash"));
    expect(findShownMounts(wanted, { incarnationsIn })).toHaveLength(1);
    await container.stop();
    await expect.poll(() => findShownMounts(wanted, { incarnationsIn })).toEqual([]);
  });

  test("leaves out our own namespace and other volumes", async () => {
    const [ours, other] = [place.volume(), place.volume()];
    const target = join(place.sandbox(), "data");
    mkdirSync(target);
    mount(other.content, target, null, MS.BIND);
    const container = await startContainer("private");
    const target2 = join(place.sandbox(), "data");
    mkdirSync(target2);
    mount(ours.content, target2, null, MS.BIND);
    expect(findShownMounts(new Set([ours.uuid]), { incarnationsIn }) ?? []).toEqual([]);
    await container.stop();
  });

  test("asks for each mount once where it may remember, and forgets those that are gone", async () => {
    const [first, second] = [place.volume(), place.volume()];
    const [here, there] = [join(place.sandbox(), "data"), join(place.sandbox(), "data")];
    for (const target of [here, there]) mkdirSync(target);
    const known: KnownMounts = new Map();
    const asked: string[] = [];
    const look = (): readonly string[] | undefined => {
      const remember = (root: string) => {
        asked.push(root);
        return incarnationsIn(root);
      };
      const found = findShownMounts(new Set([first.uuid, second.uuid]), { incarnationsIn: remember, known });
      return found?.map(({ uuid }) => uuid);
    };
    mount(first.content, here, null, MS.BIND);
    const container = await startContainer("private");
    umount2(here, UMOUNT.NOFOLLOW);
    if (look() === undefined) return container.stop();
    const timesAsked = asked.filter((root) => root.includes(first.uuid)).length;
    mount(second.content, there, null, MS.BIND);
    const other = await startContainer("private");
    umount2(there, UMOUNT.NOFOLLOW);
    expect(new Set(look())).toEqual(new Set([first.uuid, second.uuid]));
    expect(asked.filter((root) => root.includes(first.uuid))).toHaveLength(timesAsked);
    await container.stop();
    await expect.poll(look).toEqual([second.uuid]);
    expect([...known.values()].flat()).not.toContain(first.uuid);
    await other.stop();
  });
});
