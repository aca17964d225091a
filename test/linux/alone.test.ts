/** What a mounter is asked to do only if nobody else has the volume. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createBindMounter } from "../../src/host/bind-mounter.ts";
import { findShownMounts } from "../../src/host/namespace-walk.ts";
import { MS, mount, UMOUNT, umount2 } from "../../src/host/syscalls.ts";
import { mayMount } from "../e2e/privileges.ts";
import { startContainer } from "../support/container.ts";
import { attachAndRecord, MountPlace, pathOf } from "../support/mount-place.ts";
import { makeRootfs, startPivoted } from "../support/pivoted-container.ts";

const mounter = createBindMounter();
const alone = { lazy: false, alone: true };
/** Else every answer is "look closer". */
const kernelTells = mayMount && findShownMounts(new Set()) !== undefined;

describe.runIf(kernelTells)("alone", () => {
  let place: MountPlace;

  beforeEach(() => {
    place = new MountPlace();
  });
  afterEach(() => place.dispose());

  test("attaches and detaches what nobody has", async () => {
    const at = await attachAndRecord(mounter, place.newRequest({ alone: true }));
    await mounter.detach(at, alone);
    expect(place.mounts()).toEqual([]);
  });

  test("does not attach what is mounted in our own namespace, nor leave a mountpoint", async () => {
    const request = place.newRequest();
    await attachAndRecord(mounter, request);
    const second = { ...request, sandbox: place.sandbox(), alone: true };
    await expect(mounter.attach(second)).rejects.toMatchObject({ code: "in_use" });
    expect(place.mounts()).toEqual([pathOf(request)]);
    await mounter.attach({ ...second, alone: false });
  });

  test("neither attaches nor detaches what only another namespace has besides", async () => {
    const request = place.newRequest();
    // What the mounter has made it removes, and the other namespace's mount goes with it.
    mkdirSync(pathOf(request));
    const at = await attachAndRecord(mounter, request);
    const container = await startContainer("private");
    try {
      await expect(mounter.detach(at, alone)).rejects.toMatchObject({ code: "in_use" });
      expect(place.mounts()).toEqual([pathOf(request)]);
      await mounter.detach(at, { lazy: false });
      await expect(mounter.attach({ ...request, alone: true })).rejects.toMatchObject({ code: "in_use" });
    } finally {
      await container.stop();
    }
    await expect
      .poll(() => mounter.attach({ ...request, alone: true }).then(() => "attached", String))
      .toBe("attached");
  });

  test("means a part of the content too", async () => {
    const volume = place.volume();
    mkdirSync(join(volume.content, "part"));
    const elsewhere = place.sandbox();
    mount(join(volume.content, "part"), elsewhere, null, MS.BIND);
    const request = place.request(volume, place.sandbox(), { alone: true });
    await expect(mounter.attach(request)).rejects.toMatchObject({ code: "in_use" });
    umount2(elsewhere, UMOUNT.NOFOLLOW);
    await mounter.attach(request);
  });

  test("takes a container's own mount for its own", async () => {
    const rootfs = makeRootfs(join(place.root, "rootfs"));
    mkdirSync(join(rootfs, "box"));
    const container = await startPivoted(rootfs, {});
    try {
      const { process } = container;
      const at = await attachAndRecord(mounter, place.request(place.volume(), "/box", { process, alone: true }));
      await mounter.detach(at, alone);
    } finally {
      await container.stop();
    }
  });
});
