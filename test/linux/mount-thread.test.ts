import { closeSync, mkdirSync, openSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createMounter } from "../../src/host/mount-thread.ts";
import { geteuid, mount } from "../../src/host/syscalls.ts";
import { MountPlace } from "../support/mount-place.ts";

describe.runIf(geteuid() === 0)("mount thread on Linux", () => {
  let place: MountPlace;
  let server: number | undefined;
  beforeEach(() => {
    place = new MountPlace();
  });
  afterEach(() => {
    if (server !== undefined) closeSync(server);
    server = undefined;
    place.dispose();
  });

  it("a sandbox on a file system that hangs stops neither the event loop nor, for long, other sandboxes", async () => {
    const hung = join(place.root, "hung");
    mkdirSync(hung);
    server = mountSilentFuse(hung);
    const mounter = await createMounter({ backend: "bind", timeoutMs: 2000 });
    const volume = place.volume();
    const other = place.request(volume, place.sandbox());

    const stuck = expect(mounter.attach(place.request(volume, hung))).rejects;
    const behind = expect(mounter.attach(other)).rejects;
    const ticks = countTicks();
    await stuck.toMatchObject({ code: "unavailable", message: expect.stringContaining("no answer within 2000 ms") });
    await behind.toMatchObject({ code: "unavailable" });
    expect(ticks()).toBeGreaterThan(100);

    await expect(mounter.attach(other)).resolves.toMatchObject({ madeMountpoint: true });
    closeSync(server);
    server = undefined;
    await sleep(50);
    expect(place.mounts()).toEqual([hung, join(other.sandbox, "data")]);
    await mounter.close();
  });
});

/** A FUSE file system whose server never answers; closing the returned descriptor ends what waits for it. */
function mountSilentFuse(path: string): number {
  const fuse = openSync("/dev/fuse", "r+");
  mount("silent", path, "fuse", 0, `fd=${fuse},rootmode=40000,user_id=0,group_id=0`);
  return fuse;
}

function countTicks(): () => number {
  let ticks = 0;
  const timer = setInterval(() => {
    ticks += 1;
  }, 2);
  return () => {
    clearInterval(timer);
    return ticks;
  };
}
