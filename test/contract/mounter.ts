/** What every mounter must do, on the real ones and on the fake. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { DirectoryIdentity } from "../../src/domain/records.ts";
import type { Mode } from "../../src/domain/resource.ts";
import type { ContainerPath, Incarnation } from "../../src/domain/units.ts";
import type { Mounted, MountedAt, Mounter, MountRequest, MountTarget } from "../../src/ports/mounter.ts";

/** A mounter, and the world around it as the suite must arrange it. */
export interface MounterWorld {
  readonly mounter: Mounter;
  /** A new volume with a file in it. */
  volume(): ContractVolume;
  /** Absolute path of a new, empty sandbox. */
  sandbox(): string;
  /** Removes a sandbox in which nothing is mounted. */
  loseSandbox(sandbox: string): void;
  /** Removes the volume's content, or puts another directory in its place. */
  harm(volume: ContractVolume, how: "missing" | "replaced"): void;
  /** Puts something there that is not ours and hides what was there; `makeRoom` takes it away. */
  occupy(target: MountTarget): void;
  makeRoom(target: MountTarget): void;
  /** Takes away what the mounter put there, behind its back; what it made to put it on stays. */
  lose(target: MountTarget): void;
  /** Which volume a process sees at a place. */
  shown(target: MountTarget): Incarnation | "foreign" | undefined;
  /** Whether there is anything by this name in the sandbox. */
  exists(target: MountTarget): boolean;
  dispose(): Promise<void>;
}

export interface ContractVolume {
  readonly uuid: Incarnation;
  readonly diskRoot: string;
  readonly directory: DirectoryIdentity;
}

export function mounterContract(name: string, make: () => Promise<MounterWorld>): void {
  describe(`mounter contract: ${name}`, () => {
    let world: MounterWorld;
    beforeEach(async () => {
      world = await make();
    });
    afterEach(() => world.dispose());

    const request = (volume = world.volume(), sandbox = world.sandbox(), mode: Mode = "RW"): MountRequest => ({
      ...volume,
      sandbox,
      containerPath: "data" as ContainerPath,
      mode,
    });
    const attach = async (wanted = request()): Promise<MountedAt> =>
      recorded(wanted, await world.mounter.attach(wanted));
    const keep = { lazy: false };

    describe("attach", () => {
      it("refuses a sandbox that is not there or not an absolute path", async () => {
        const sandbox = world.sandbox();
        world.loseSandbox(sandbox);
        for (const path of [sandbox, "relative"]) {
          const wanted = request(world.volume(), path);
          await expect(world.mounter.attach(wanted)).rejects.toMatchObject({ code: "invalid" });
        }
      });

      it.each(["missing", "replaced"] as const)("refuses %s content and leaves nothing behind", async (how) => {
        const wanted = request();
        world.harm(wanted, how);
        await expect(world.mounter.attach(wanted)).rejects.toMatchObject({ code: "damaged" });
        expect(world.exists(wanted)).toBe(false);
      });

      it("refuses a place that is occupied and leaves it alone", async () => {
        const wanted = request();
        world.occupy(wanted);
        await expect(world.mounter.attach(wanted)).rejects.toMatchObject({ code: "conflict" });
        expect(world.shown(wanted)).toBe("foreign");
      });

      it("refuses a place where the same volume is, which stays", async () => {
        const mounted = await attach();
        await expect(world.mounter.attach(mounted)).rejects.toMatchObject({ code: "conflict" });
        expect(world.shown(mounted)).toBe(mounted.uuid);
        expect(await world.mounter.inspect(mounted)).toMatchObject({ state: "exact" });
      });

      it("mounts read-only or refuses to", async () => {
        const wanted = request(world.volume(), world.sandbox(), "RO");
        if (world.mounter.backend === "symlink") {
          await expect(world.mounter.attach(wanted)).rejects.toMatchObject({ code: "unsupported" });
          expect(world.exists(wanted)).toBe(false);
        } else {
          expect(await world.mounter.inspect(await attach(wanted))).toMatchObject({ state: "exact" });
        }
      });

      it("shows the volume, and inspect confirms exactly what was recorded", async () => {
        const mounted = await attach();
        expect(world.shown(mounted)).toBe(mounted.uuid);
        expect(mounted).toMatchObject({ madeMountpoint: true, mount: { backend: world.mounter.backend } });
        expect(await world.mounter.inspect(mounted)).toEqual({ state: "exact", mount: mounted.mount });
      });

      it("puts several volumes in one sandbox", async () => {
        const sandbox = world.sandbox();
        const first = await attach(request(world.volume(), sandbox));
        const second = await attach({ ...request(world.volume(), sandbox), containerPath: "logs" as ContainerPath });
        expect([world.shown(first), world.shown(second)]).toEqual([first.uuid, second.uuid]);
      });

      it("puts one volume in several sandboxes, and detach takes one of them", async () => {
        const volume = world.volume();
        const first = await attach(request(volume));
        const second = await attach(request(volume));
        await world.mounter.detach(first, keep);
        expect([world.shown(first), world.shown(second)]).toEqual([undefined, volume.uuid]);
      });
    });

    describe("detach", () => {
      it("refuses what is not ours, until it is gone", async () => {
        const mounted = await attach();
        world.occupy(mounted);
        for (const lazy of [false, true]) {
          await expect(world.mounter.detach(mounted, { lazy })).rejects.toMatchObject({ code: "conflict" });
        }
        expect(world.shown(mounted)).toBe("foreign");
        world.makeRoom(mounted);
        await world.mounter.detach(mounted, keep);
        expect(world.shown(mounted)).toBeUndefined();
      });

      it.each([false, true])("leaves the sandbox as it was (lazy: %s)", async (lazy) => {
        const mounted = await attach();
        await world.mounter.detach(mounted, { lazy });
        expect(world.exists(mounted)).toBe(false);
        expect(await world.mounter.inspect(mounted)).toEqual({ state: "missing" });
      });

      it("is fine when repeated", async () => {
        const mounted = await attach();
        await world.mounter.detach(mounted, keep);
        await world.mounter.detach(mounted, keep);
        expect(world.exists(mounted)).toBe(false);
      });

      it("is fine when the mount was lost, and removes the mountpoint", async () => {
        const mounted = await attach();
        world.lose(mounted);
        expect(await world.mounter.inspect(mounted)).toEqual({ state: "missing" });
        await world.mounter.detach(mounted, keep);
        expect(world.exists(mounted)).toBe(false);
      });

      it("is fine when the sandbox is gone", async () => {
        const mounted = await attach();
        world.lose(mounted);
        world.loseSandbox(mounted.sandbox);
        expect(await world.mounter.inspect(mounted)).toEqual({ state: "sandbox_gone" });
        await world.mounter.detach(mounted, keep);
      });

      it("takes what shows the directory for ours when the attach was not recorded", async () => {
        const { mount: _, ...interrupted } = await attach();
        expect(await world.mounter.inspect(interrupted)).toMatchObject({ state: "exact" });
        await world.mounter.detach(interrupted, keep);
        expect(world.exists(interrupted)).toBe(false);
      });

      it("is fine when the attach never happened", async () => {
        await world.mounter.detach({ ...request(), madeMountpoint: false }, keep);
      });

      it("makes room for the same volume again", async () => {
        const mounted = await attach();
        await world.mounter.detach(mounted, keep);
        const again = await attach(mounted);
        expect(world.shown(again)).toBe(mounted.uuid);
      });
    });

    describe("inspect", () => {
      it("calls what is not ours foreign", async () => {
        const mounted = await attach();
        world.occupy(mounted);
        expect(await world.mounter.inspect(mounted)).toMatchObject({ state: "foreign", reason: expect.any(String) });
      });
    });

    describe("clear", () => {
      it("removes what a lost mount leaves", async () => {
        const mounted = await attach();
        world.lose(mounted);
        await world.mounter.clear(mounted);
        expect(world.exists(mounted)).toBe(false);
      });

      it("leaves what is not ours", async () => {
        const mounted = await attach();
        world.lose(mounted);
        world.occupy(mounted);
        await world.mounter.clear(mounted);
        expect(world.shown(mounted)).toBe("foreign");
      });

      it("is fine when the sandbox is gone", async () => {
        const mounted = await attach();
        world.lose(mounted);
        world.loseSandbox(mounted.sandbox);
        await world.mounter.clear(mounted);
      });
    });
  });
}

/** What the engine would remember of an attach. */
function recorded(request: MountRequest, mounted: Mounted): MountedAt {
  return { ...request, ...mounted };
}
