import { mkdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { incarnationsIn } from "../../src/host/held-mounts.ts";
import { findForeignMounts } from "../../src/host/namespace-walk.ts";
import { MS, mount, UMOUNT, umount2 } from "../../src/host/syscalls.ts";
import { startContainer } from "../support/container.ts";
import { MountPlace } from "../support/mount-place.ts";

const isRoot = process.getuid?.() === 0;

describe.skipIf(!isRoot)("findForeignMounts", () => {
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
    const seen = findForeignMounts(wanted, incarnationsIn);
    // A kernel before 6.12 cannot tell; then processes are asked.
    if (seen === undefined) return container.stop();
    expect(seen.map(({ uuid }) => uuid)).toEqual([volume.uuid]);
    renameSync(join(place.root, "disk/volumes"), join(place.root, "disk/trash"));
    expect(findForeignMounts(wanted, incarnationsIn)).toHaveLength(1);
    await container.stop();
    await expect.poll(() => findForeignMounts(wanted, incarnationsIn)).toEqual([]);
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
    expect(findForeignMounts(new Set([ours.uuid]), incarnationsIn) ?? []).toEqual([]);
    await container.stop();
  });
});
