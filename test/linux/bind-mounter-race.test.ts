import { mkdirSync, readdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { codeOf } from "../../src/domain/error.ts";
import { createBindMounter } from "../../src/host/bind-mounter.ts";
import { geteuid } from "../../src/host/syscalls.ts";
import type { MountedAt, MountRequest } from "../../src/ports/mounter.ts";
import { attachAndRecord, MountPlace, pathOf } from "../support/mount-place.ts";
import { racing } from "../support/racing.ts";

const mounter = createBindMounter();

describe.runIf(geteuid() === 0)("bind mounter against a racing container", () => {
  let place: MountPlace;
  beforeEach(() => {
    place = new MountPlace();
  });
  afterEach(() => place.dispose());

  it.each([
    ["exchange", false],
    ["exchange", true],
    ["replant", false],
    ["replant", true],
  ] as const)("cannot lead a mount astray by %s (own namespace: %s)", async (how, ownNamespace) => {
    const request = place.newRequest();
    const canary = place.sandbox();
    if (how === "exchange") {
      mkdirSync(pathOf(request));
      symlinkSync(canary, join(request.sandbox, "other"));
    }
    await racing({ sandbox: request.sandbox, canary, how, ownNamespace }, async () => {
      for (let round = 0; round < 300; round += 1) {
        const mounted = await attachOrRefuse(request);
        expect(place.mounts().filter((path) => path.startsWith(canary))).toEqual([]);
        if (mounted !== undefined) await detachPersistently(mounted);
      }
    });
    expect(place.mounts()).toEqual([]);
    expect(readdirSync(canary)).toEqual([]);
  });
});

async function attachOrRefuse(request: MountRequest): Promise<MountedAt | undefined> {
  try {
    return await attachAndRecord(mounter, request);
  } catch (error) {
    expect(codeOf(error), String(error)).toBe("conflict");
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
