import { mkdirSync, readdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { codeOf } from "../../src/domain/error.ts";
import type { ContainerPath } from "../../src/domain/units.ts";
import { createBindMounter } from "../../src/host/bind-mounter.ts";
import type { MountedAt, MountRequest } from "../../src/ports/mounter.ts";
import { mayMount } from "../e2e/privileges.ts";
import { attachAndRecord, MountPlace } from "../support/mount-place.ts";
import { makeRootfs, type PivotedContainer, startPivoted } from "../support/pivoted-container.ts";
import { racing } from "../support/racing.ts";

const ROUNDS = 1000;
const mounter = createBindMounter();

describe.runIf(mayMount)("bind mounter against a container that races it in its own root", () => {
  let place: MountPlace;
  let rootfs: string;
  let container: PivotedContainer;
  beforeEach(async () => {
    place = new MountPlace();
    rootfs = makeRootfs(join(place.root, "rootfs"));
    container = await startPivoted(rootfs);
  });
  afterEach(async () => {
    await container.stop();
    place.dispose();
  });

  it.each([
    ["the sandbox for a symlink to a directory of the host", { sandbox: "/data", containerPath: "volume" }],
    ["the sandbox's parent for one", { sandbox: "/data/box", containerPath: "volume" }],
    ["the mountpoint for one", { sandbox: "/", containerPath: "data" }],
  ])("exchanging %s never leads a mount or a directory out", async (_, target) => {
    const decoy = join(place.root, "decoy");
    mkdirSync(join(decoy, "box"), { recursive: true });
    mkdirSync(join(rootfs, "data/box"), { recursive: true });
    symlinkSync(decoy, join(rootfs, "other"));
    const wanted: MountRequest = {
      ...place.request(place.volume(), target.sandbox),
      containerPath: target.containerPath as ContainerPath,
      process: container.process,
    };
    let attached = 0;
    await racing({ sandbox: rootfs, canary: decoy, how: "exchange", ownNamespace: false }, async () => {
      for (let round = 0; round < ROUNDS; round += 1) {
        const mounted = await attachOrRefuse(wanted);
        expect(place.mounts()).toEqual([]);
        if (mounted === undefined) continue;
        attached += 1;
        await detachPersistently(mounted);
      }
    });
    expect(attached, "attached of 1,000").toBeGreaterThan(10);
    expect(attached, "attached of 1,000").toBeLessThan(ROUNDS);
    expect([container.mounts(), place.mounts()]).toEqual([["/"], []]);
    expect([readdirSync(decoy), readdirSync(join(decoy, "box"))]).toEqual([["box"], []]);
  });
});

async function attachOrRefuse(request: MountRequest): Promise<MountedAt | undefined> {
  try {
    return await attachAndRecord(mounter, request);
  } catch (error) {
    expect(["conflict", "invalid"], String(error)).toContain(codeOf(error));
    return undefined;
  }
}

/** As the engine would: a conflict is tried again. */
async function detachPersistently(mounted: MountedAt): Promise<void> {
  for (let attempt = 0; attempt < 1000; attempt += 1) {
    try {
      return await mounter.detach(mounted, { lazy: false });
    } catch (error) {
      expect(codeOf(error), String(error)).toBe("conflict");
    }
  }
  throw new Error("Cannot detach in 1000 attempts");
}
