/** What every adapter of sandboxes must do, on the real one and on the fake. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { codeOf, type ErrorCode } from "../../src/domain/error.ts";
import type { Incarnation } from "../../src/domain/units.ts";
import type { Sandbox, Sandboxes } from "../../src/ports/sandboxes.ts";

/** Sandboxes, and the world around them as the suite must arrange it. */
export interface SandboxesWorld {
  readonly sandboxes: Sandboxes;
  /** Absolute path of a disk's root. */
  readonly disk: string;
  /** A directory that the daemon needs. */
  readonly foundation: string;
  /** Makes a directory with something in it, also in place of another one. */
  make(name: string): string;
  /** A path below the same directory where nothing is. */
  absent(name: string): string;
  remove(path: string): void;
  exists(path: string): boolean;
  /** Mounts a new volume below a sandbox. */
  mountVolume(sandbox: string, name: string): Promise<Incarnation>;
  mountForeign(sandbox: string, name: string): void;
  isMounted(sandbox: string, name: string): boolean;
  /** Whether the volume still has its content. */
  isWhole(uuid: Incarnation): boolean;
  dispose(): Promise<void>;
}

export function sandboxesContract(name: string, make: () => Promise<SandboxesWorld>): void {
  describe(`sandboxes contract: ${name}`, () => {
    let world: SandboxesWorld;
    beforeEach(async () => {
      world = await make();
    });
    afterEach(() => world.dispose());

    const handOver = (path = world.make("box")): Sandbox => ({
      path,
      directory: world.sandboxes.examine(path, [world.disk]),
    });
    const detach = (sandbox: Sandbox, dryRun = false) => world.sandboxes.detach(sandbox, [world.disk], { dryRun });

    it.each([
      ["a relative path", "box"],
      ["the root", "/"],
      ["what lies directly below the root", "/tmp"],
    ])("refuses %s", (_what, path) => {
      expect(refusalOf(() => world.sandboxes.examine(path, []))).toBe("invalid");
    });

    it("refuses what is not there", () => {
      expect(refusalOf(() => world.sandboxes.examine(world.absent("none"), []))).toBe("invalid");
    });

    it("refuses a part of a disk, and what has a disk or what the daemon needs in it", () => {
      expect(refusalOf(() => world.sandboxes.examine(world.disk, [world.disk]))).toBe("conflict");
      const box = world.make("box");
      expect(refusalOf(() => world.sandboxes.examine(box, [`${box}/not/there`]))).toBe("conflict");
      expect(refusalOf(() => world.sandboxes.examine(world.foundation, []))).toBe("conflict");
    });

    it("refuses a mount point", () => {
      const path = world.make("box");
      world.mountForeign(path, ".");
      expect(refusalOf(() => world.sandboxes.examine(path, []))).toBe("in_use");
    });

    it("tells a directory from another one in its place, and from none", () => {
      const sandbox = handOver();
      expect(world.sandboxes.find(sandbox)).toEqual({ state: "present" });
      world.make("box");
      expect(world.sandboxes.find(sandbox).state).toBe("foreign");
      world.remove(sandbox.path);
      expect(world.sandboxes.find(sandbox)).toEqual({ state: "gone" });
    });

    it("measures the file system", async () => {
      const usage = await world.sandboxes.usage(handOver().path);
      expect(usage.device).toMatch(/^\d+:\d+$/);
      expect(usage.totalBytes).toBeGreaterThan(0);
      expect(usage.freeBytes).toBeLessThanOrEqual(usage.totalBytes);
    });

    it("detaches nothing when something foreign is mounted", async () => {
      const sandbox = handOver();
      await world.mountVolume(sandbox.path, "data");
      world.mountForeign(sandbox.path, "tmp");
      for (const dryRun of [true, false]) expect(refusalOf(() => detach(sandbox, dryRun))).toBe("in_use");
      expect(world.isMounted(sandbox.path, "data")).toBe(true);
    });

    it("detaches nothing in a dry run", async () => {
      const sandbox = handOver();
      await world.mountVolume(sandbox.path, "data");
      detach(sandbox, true);
      expect(world.isMounted(sandbox.path, "data")).toBe(true);
    });

    it("detaches volumes, one on another too, and leaves their content", async () => {
      const sandbox = handOver();
      const uuids: Incarnation[] = [];
      for (const place of ["data", "logs", "data"]) uuids.push(await world.mountVolume(sandbox.path, place));
      detach(sandbox);
      expect(world.isMounted(sandbox.path, "data") || world.isMounted(sandbox.path, "logs")).toBe(false);
      for (const uuid of uuids) expect(world.isWhole(uuid)).toBe(true);
    });

    it("leaves alone what has the sandbox's place", async () => {
      const sandbox = handOver();
      world.make("box");
      await world.mountVolume(sandbox.path, "data");
      detach(sandbox);
      expect(world.isMounted(sandbox.path, "data")).toBe(true);
    });

    it("deletes a sandbox, and is done when it is gone", async () => {
      const sandbox = handOver();
      const neighbour = world.make("neighbour");
      expect((await world.sandboxes.purge(sandbox)).entries).toBeGreaterThan(1);
      expect(await world.sandboxes.purge(sandbox)).toEqual({ entries: 0 });
      expect([world.exists(sandbox.path), world.exists(neighbour)]).toEqual([false, true]);
    });

    it("does not delete another directory in its place", async () => {
      const sandbox = handOver();
      world.make("box");
      await expect(world.sandboxes.purge(sandbox)).rejects.toMatchObject({ code: "damaged" });
      expect(world.exists(sandbox.path)).toBe(true);
    });

    it("does not delete what is mounted in it", async () => {
      const sandbox = handOver();
      const uuid = await world.mountVolume(sandbox.path, "data");
      await expect(world.sandboxes.purge(sandbox)).rejects.toMatchObject({ code: "in_use" });
      expect([world.isMounted(sandbox.path, "data"), world.isWhole(uuid)]).toEqual([true, true]);
    });

    it("stops when it is told to", async () => {
      const sandbox = handOver();
      const { signal } = { signal: AbortSignal.abort() };
      await expect(world.sandboxes.purge(sandbox, { signal })).rejects.toMatchObject({ code: "unavailable" });
      await world.sandboxes.purge(sandbox);
      expect(world.exists(sandbox.path)).toBe(false);
    });
  });
}

function refusalOf(work: () => unknown): ErrorCode | "done" {
  try {
    work();
    return "done";
  } catch (error) {
    return codeOf(error);
  }
}
