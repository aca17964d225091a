/** The worlds in which the mounter contract is run. */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Incarnation } from "../../src/domain/units.ts";
import { MS, mount, UMOUNT, umount2 } from "../../src/host/syscalls.ts";
import type { Mounter, MountTarget } from "../../src/ports/mounter.ts";
import type { ContractVolume, MounterWorld } from "../contract/mounter.ts";
import { fakeRandom } from "../fakes/fake-random.ts";
import { MemoryMounter } from "../fakes/memory-mounter.ts";
import { MountPlace, pathOf } from "./mount-place.ts";
import { isThere, makeRootfs, type PivotedContainer, startPivoted } from "./pivoted-container.ts";

export async function memoryWorld(backend: Mounter["backend"]): Promise<MounterWorld> {
  const mounter = new MemoryMounter({ backend });
  const random = fakeRandom(1);
  let count = 100;
  const next = () => {
    count += 1;
    return String(count);
  };
  return {
    mounter,
    volume: () => ({ uuid: random.uuid() as Incarnation, diskRoot: "/disk", directory: { ino: next(), birthNs: "0" } }),
    sandbox: () => `/sandbox-${next()}`,
    loseSandbox: (sandbox) => mounter.loseSandbox(sandbox),
    harm: ({ uuid }, how) => mounter.replaceContent(uuid, how === "missing" ? how : { ino: next(), birthNs: "0" }),
    occupy: (target) => mounter.occupy(target),
    makeRoom: (target) => mounter.makeRoom(target),
    lose: (target) => mounter.lose(target),
    shown: (target) => mounter.shown(target),
    exists: (target) => mounter.mountpoints().includes(pathOf(target)),
    dispose: async () => {},
  };
}

/** Needs root. */
export async function bindWorld(makeMounter: () => Promise<Mounter>): Promise<MounterWorld> {
  return {
    ...(await realWorld(makeMounter)),
    occupy: (target) => {
      mkdirSync(pathOf(target), { recursive: true });
      mount(foreignDirectory(target), pathOf(target), null, MS.BIND);
    },
    makeRoom: (target) => umount2(pathOf(target), UMOUNT.NOFOLLOW),
    lose: (target) => umount2(pathOf(target), UMOUNT.NOFOLLOW),
  };
}

export async function symlinkWorld(makeMounter: () => Promise<Mounter>): Promise<MounterWorld> {
  return {
    ...(await realWorld(makeMounter)),
    occupy: (target) => {
      if (isThere(pathOf(target))) renameSync(pathOf(target), `${pathOf(target)}.aside`);
      renameSync(foreignDirectory(target), pathOf(target));
    },
    makeRoom: (target) => {
      rmSync(pathOf(target), { recursive: true });
      renameSync(`${pathOf(target)}.aside`, pathOf(target));
    },
    lose: (target) => unlinkSync(pathOf(target)),
  };
}

/** Sandboxes in a container, whose mounts nobody else sees. Needs root. */
export async function containerWorld(makeMounter: () => Promise<Mounter>): Promise<MounterWorld> {
  const place = new MountPlace();
  const rootfs = makeRootfs(join(place.root, "rootfs"));
  const container = await startPivoted(rootfs);
  const mounter = await makeMounter();
  let sandboxes = 0;
  return {
    mounter: inContainer(mounter, container),
    volume: () => place.volume(),
    sandbox: () => {
      sandboxes += 1;
      mkdirSync(`${rootfs}/sandbox-${sandboxes}`);
      return `/sandbox-${sandboxes}`;
    },
    loseSandbox: (sandbox) => rmSync(`${rootfs}${sandbox}`, { recursive: true }),
    harm: (volume, how) => harm(volume, how),
    occupy: (target) => {
      container.run("mkdir", "-p", pathOf(target));
      container.run("mount", "-o", "bind", "/foreign", pathOf(target));
    },
    makeRoom: (target) => container.run("umount", pathOf(target)),
    lose: (target) => container.run("umount", pathOf(target)),
    shown: (target) => shownAt(container.seen(pathOf(target))),
    exists: (target) => isThere(`${rootfs}${pathOf(target)}`),
    dispose: async () => {
      await mounter.close();
      await container.stop();
      place.dispose();
    },
  };
}

/** A mounter whose sandboxes are all in one container. */
function inContainer(mounter: Mounter, { process }: PivotedContainer): Mounter {
  return {
    backend: mounter.backend,
    attach: (request) => mounter.attach({ ...request, process }),
    detach: (mounted, options) => mounter.detach({ ...mounted, process }, options),
    inspect: (mounted) => mounter.inspect({ ...mounted, process }),
    clear: (target) => mounter.clear({ ...target, process }),
    close: () => mounter.close(),
  };
}

async function realWorld(
  makeMounter: () => Promise<Mounter>,
): Promise<Omit<MounterWorld, "occupy" | "makeRoom" | "lose">> {
  const place = new MountPlace();
  const mounter = await makeMounter();
  return {
    mounter,
    volume: () => place.volume(),
    sandbox: () => place.sandbox(),
    loseSandbox: (sandbox) => rmSync(sandbox, { recursive: true }),
    harm: (volume, how) => harm(volume, how),
    shown: (target) => shownAt(pathOf(target)),
    exists: (target) => isThere(pathOf(target)),
    dispose: async () => {
      await mounter.close();
      place.dispose();
    },
  };
}

function harm({ diskRoot, uuid }: ContractVolume, how: "missing" | "replaced"): void {
  const directory = join(diskRoot, "volumes", uuid);
  renameSync(join(directory, "content"), join(directory, "content.aside"));
  if (how === "replaced") mkdirSync(join(directory, "content"));
}

/** Beside the sandbox: a directory whose `name` says `foreign`. */
function foreignDirectory({ sandbox }: MountTarget): string {
  const directory = `${sandbox}.foreign`;
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, "name"), "foreign");
  return directory;
}

function shownAt(path: string): Incarnation | "foreign" | undefined {
  const name = join(path, "name");
  return existsSync(name) ? (readFileSync(name, "utf8") as Incarnation) : undefined;
}
