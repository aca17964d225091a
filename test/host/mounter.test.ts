import { setegid, seteuid } from "node:process";
import { describe } from "vitest";
import { createBindMounter } from "../../src/host/bind-mounter.ts";
import { createMounter } from "../../src/host/mount-thread.ts";
import { createSymlinkMounter } from "../../src/host/symlink-mounter.ts";
import { geteuid } from "../../src/host/syscalls.ts";
import { type MounterWorld, mounterContract } from "../contract/mounter.ts";
import { bindWorld, containerWorld, memoryWorld, symlinkWorld } from "../support/mounter-worlds.ts";

const root = geteuid() === 0;
const NOBODY = 65534;

mounterContract("in memory, as bind mounts", () => memoryWorld("bind"));
mounterContract("in memory, as symlinks", () => memoryWorld("symlink"));
mounterContract("symlinks", () => symlinkWorld(async () => createSymlinkMounter()));
mounterContract("symlinks in a thread", () => symlinkWorld(() => createMounter({ backend: "symlink" })));

describe.runIf(root)("as root", () => {
  mounterContract("symlinks without root", unprivilegedWorld);
  mounterContract("bind mounts", () => bindWorld(async () => createBindMounter()));
  mounterContract("bind mounts in a thread", () => bindWorld(() => createMounter({ backend: "bind" })));
  mounterContract("bind mounts in a container's namespace", () => containerWorld(async () => createBindMounter()));
  mounterContract("bind mounts in a container's namespace, in a thread", () =>
    containerWorld(() => createMounter({ backend: "bind" })),
  );
});

async function unprivilegedWorld(): Promise<MounterWorld> {
  setegid?.(NOBODY);
  seteuid?.(NOBODY);
  const world = await symlinkWorld(async () => createSymlinkMounter());
  return {
    ...world,
    dispose: async () => {
      await world.dispose();
      seteuid?.(0);
      setegid?.(0);
    },
  };
}
