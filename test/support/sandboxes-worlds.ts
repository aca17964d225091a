/** The worlds in which the contract of sandboxes is run. */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ContainerPath, Incarnation } from "../../src/domain/units.ts";
import { createSandboxes } from "../../src/host/sandboxes.ts";
import { MS, mount } from "../../src/host/syscalls.ts";
import type { SandboxesWorld } from "../contract/sandboxes.ts";
import { fakeRandom } from "../fakes/fake-random.ts";
import { MemoryMounter } from "../fakes/memory-mounter.ts";
import { MemorySandboxes } from "../fakes/memory-sandboxes.ts";
import { MountPlace, type TestVolume } from "./mount-place.ts";

export async function memorySandboxesWorld(): Promise<SandboxesWorld> {
  const mounter = new MemoryMounter();
  const [disk, foundation] = ["/srv/disks/one", "/srv/run"];
  const sandboxes = new MemorySandboxes({ mounter, foundations: [`${foundation}/socket`] });
  const random = fakeRandom(1);
  for (const path of [disk, foundation]) sandboxes.add(path);
  const target = (sandbox: string, name: string) =>
    name === "."
      ? {
          sandbox: sandbox.slice(0, sandbox.lastIndexOf("/")),
          containerPath: sandbox.split("/").at(-1) as ContainerPath,
        }
      : { sandbox, containerPath: name as ContainerPath };
  return {
    sandboxes,
    disk,
    foundation,
    make(name) {
      sandboxes.add(`/srv/boxes/${name}`);
      return `/srv/boxes/${name}`;
    },
    absent: (name) => `/srv/boxes/${name}`,
    remove: (path) => sandboxes.remove(path),
    exists: (path) => sandboxes.has(path),
    async mountVolume(sandbox, name) {
      const uuid = random.uuid() as Incarnation;
      if (mounter.shown(target(sandbox, name)) !== undefined) mounter.stack(target(sandbox, name));
      else {
        const volume = { uuid, diskRoot: disk, directory: { ino: "5", birthNs: "0" }, mode: "RW" as const };
        await mounter.attach({ ...target(sandbox, name), ...volume });
      }
      return uuid;
    },
    mountForeign: (sandbox, name) => mounter.occupy(target(sandbox, name)),
    isMounted: (sandbox, name) => mounter.shown(target(sandbox, name)) !== undefined,
    isWhole: () => true,
    dispose: () => sandboxes.close(),
  };
}

export interface RealSandboxesWorld extends SandboxesWorld {
  readonly place: MountPlace;
  /** What nothing may change. */
  readonly canary: string;
  isUntouched(): boolean;
}

/** Needs root. Every sandbox has links that lead out of it. */
export async function realSandboxesWorld(): Promise<RealSandboxesWorld> {
  const place = new MountPlace();
  const disk = join(place.root, "disk");
  const foundation = join(place.root, "run");
  const canary = join(place.root, "canary");
  for (const path of [join(disk, "volumes"), join(disk, "trash"), foundation, join(canary, "deep")]) {
    mkdirSync(path, { recursive: true });
  }
  writeFileSync(join(canary, "deep", "file"), "untouched");
  const sandboxes = createSandboxes({ foundations: [foundation] });
  const volumes = new Map<Incarnation, TestVolume>();
  let aside = 0;
  return {
    place,
    canary,
    sandboxes,
    disk,
    foundation,
    make(name) {
      const path = join(place.root, name);
      aside += 1;
      if (existsSync(path)) renameSync(path, `${path}-${aside}`);
      mkdirSync(join(path, "logs", "deep"), { recursive: true });
      writeFileSync(join(path, "logs", "deep", "stdout"), "hello");
      symlinkSync(canary, join(path, "out"));
      symlinkSync(join(canary, "deep", "file"), join(path, "logs", "out"));
      return path;
    },
    absent: (name) => join(place.root, name),
    remove: (path) => rmSync(path, { recursive: true }),
    exists: (path) => existsSync(path),
    async mountVolume(sandbox, name) {
      const volume = place.volume();
      volumes.set(volume.uuid, volume);
      const target = join(sandbox, name);
      mkdirSync(target, { recursive: true });
      mount(volume.content, target, null, MS.BIND);
      return volume.uuid;
    },
    mountForeign(sandbox, name) {
      const target = join(sandbox, name);
      mkdirSync(target, { recursive: true });
      mount("none", target, "tmpfs", 0);
    },
    isMounted: (sandbox, name) => place.mounts().includes(join(sandbox, name)),
    isWhole: (uuid) => readFileSync(join(volumes.get(uuid)?.content ?? "", "name"), "utf8") === uuid,
    isUntouched: () => readFileSync(join(canary, "deep", "file"), "utf8") === "untouched",
    async dispose() {
      await sandboxes.close();
      place.dispose();
    },
  };
}
