import { chownSync, mkdirSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createBindMounter } from "../../src/host/bind-mounter.ts";
import { mount } from "../../src/host/syscalls.ts";
import type { MountRequest } from "../../src/ports/mounter.ts";
import { mayMount } from "../e2e/privileges.ts";
import { attachAndRecord, MountPlace, type TestVolume } from "../support/mount-place.ts";
import { FIRST_ID, makeRootfs, type PivotedContainer, startPivoted } from "../support/pivoted-container.ts";

const mounter = createBindMounter();

describe.runIf(mayMount)("bind mounter in a container with users of its own", () => {
  let place: MountPlace;
  let box: string;
  let container: PivotedContainer;
  beforeEach(async () => {
    place = new MountPlace();
    const rootfs = makeRootfs(join(place.root, "rootfs"));
    box = join(rootfs, "box");
    mkdirSync(box);
    container = await startPivoted(rootfs, { ownUsers: true });
  });
  afterEach(async () => {
    await container.stop();
    place.dispose();
  });

  const request = (volume: TestVolume, rest: Partial<MountRequest> = {}) =>
    place.request(volume, "/box", { process: container.process, ...rest });

  it("refuses read-only, which its root could undo", async () => {
    await expect(mounter.attach(request(place.volume(), { mode: "RO" }))).rejects.toMatchObject({
      code: "unsupported",
      message: expect.stringContaining("read-only"),
    });
    expect(readdirSync(box)).toEqual([]);
  });

  it("refuses a file system that cannot map ids, and leaves nothing behind", async () => {
    mkdirSync(join(place.root, "disk"));
    mount("none", join(place.root, "disk"), "ramfs", 0);
    await expect(mounter.attach(request(place.volume()))).rejects.toMatchObject({
      code: "unsupported",
      message: expect.stringContaining("ids cannot be mapped"),
    });
    expect([container.mounts(), readdirSync(box)]).toEqual([["/"], []]);
  });

  it("lets its root write files that are root's on disk, and read them as its own", async () => {
    const volume = place.volume();
    const mounted = await attachAndRecord(mounter, request(volume));
    container.run("touch", "/box/data/new");
    expect(statSync(join(volume.content, "new"))).toMatchObject({ uid: 0, gid: 0 });
    expect(container.run("stat", "-c", "%u:%g", "/box/data/new").trim()).toBe("0:0");
    expect(await mounter.inspect(mounted)).toEqual({ state: "exact", mount: mounted.mount });
    await mounter.detach(mounted, { lazy: false });
    expect([container.mounts(), readdirSync(box)]).toEqual([["/"], []]);
  });

  it.each([
    ["the sandbox's owner, as the container calls it", FIRST_ID + 7, "sandbox", 7],
    ["its root, when nobody there owns the sandbox", 0, "sandbox", 0],
    ["who was named, as the container calls it", FIRST_ID, { uid: 5, gid: 5 }, 5],
  ] as const)("gives an empty volume to %s", async (_, sandboxOwner, owner, onDisk) => {
    chownSync(box, sandboxOwner, sandboxOwner);
    const volume = place.volume("empty");
    chownSync(volume.content, 1, 1);
    await attachAndRecord(mounter, request(volume, { owner }));
    expect(statSync(volume.content)).toMatchObject({ uid: onDisk, gid: onDisk });
    expect(container.run("stat", "-c", "%u:%g", "/box/data").trim()).toBe(`${onDisk}:${onDisk}`);
  });
});
