import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { codeOf, HoldfastError, messageOf } from "../../src/domain/error.ts";
import type { Incarnation } from "../../src/domain/units.ts";
import { createHolders } from "../../src/host/holders.ts";
import { INODE, MS, mount, setInodeFlags } from "../../src/host/syscalls.ts";
import type { Sandbox } from "../../src/ports/sandboxes.ts";
import { mayMount } from "../e2e/privileges.ts";
import { type Resident, startResident } from "../support/resident.ts";
import { type RealSandboxesWorld, realSandboxesWorld } from "../support/sandboxes-worlds.ts";

const CONTAINER_UID = 1000;
const MANY = 8_000;

describe.runIf(mayMount)("sandboxes", () => {
  let world: RealSandboxesWorld;
  const residents: Resident[] = [];
  beforeEach(async () => {
    world = await realSandboxesWorld();
  });
  afterEach(async () => {
    for (const resident of residents.splice(0)) await resident.stop();
    expect(world.isUntouched()).toBe(true);
    await world.dispose();
  });

  const examine = (path: string) => world.sandboxes.examine(path, [world.disk]);
  const handOver = (path = world.make("box")): Sandbox => ({ path, directory: examine(path) });
  const detach = (sandbox: Sandbox) => world.sandboxes.detach(sandbox, [world.disk]);
  const whyNot = (work: () => unknown): string => {
    try {
      work();
      return "done";
    } catch (error) {
      return `${codeOf(error)}: ${messageOf(error)}`;
    }
  };
  const reside = async (script: string, options = {}) => {
    const resident = await startResident(script, options);
    residents.push(resident);
    return resident;
  };

  describe("are refused", () => {
    it("behind a symlink, which is named with the real path", () => {
      const box = world.make("box");
      symlinkSync(world.place.root, join(world.place.root, "alias"));
      expect(whyNot(() => examine(join(world.place.root, "alias", "box")))).toMatch(`alias is a symlink; use ${box}`);
      symlinkSync(box, join(world.place.root, "link"));
      expect(whyNot(() => examine(join(world.place.root, "link")))).toMatch(/^invalid: .*link is a symlink/);
    });

    it("when they are no directories, or have . and .. in their paths", () => {
      writeFileSync(join(world.place.root, "file"), "");
      expect(whyNot(() => examine(join(world.place.root, "file")))).toMatch(/^invalid: .*not a directory/);
      const box = world.make("box");
      for (const path of [`${box}/.`, `${box}/../box`, `${box}/`, box.replace("/", "//")]) {
        expect(whyNot(() => examine(path))).toMatch(/^invalid/);
      }
    });

    it("in a volume, however one comes there", async () => {
      const box = world.make("box");
      await world.mountVolume(box, "data");
      mkdirSync(join(box, "data", "inside"));
      expect(whyNot(() => examine(join(box, "data", "inside")))).toMatch(/^conflict: .*in a volume's content/);
      expect(whyNot(() => examine(join(world.disk, "volumes")))).toMatch(/^conflict/);
    });

    it("in or above a disk that is mounted elsewhere too", () => {
      const alias = world.make("alias");
      mount(world.place.root, alias, null, MS.BIND);
      mkdirSync(join(world.disk, "stray"));
      expect(whyNot(() => examine(join(alias, "disk", "stray")))).toMatch(/^conflict: .*a part of disk/);
      expect(whyNot(() => examine(join(alias, "disk")))).toMatch(/^conflict: .*a part of disk/);
    });

    it("when the disk in them is reached by a symlink", () => {
      const box = world.make("box");
      mkdirSync(join(box, "disk"));
      symlinkSync(join(box, "disk"), join(world.place.root, "disk-link"));
      expect(whyNot(() => world.sandboxes.examine(box, [join(world.place.root, "disk-link")]))).toMatch(
        /^conflict: .*lies in it/,
      );
    });

    it("below an immutable directory", () => {
      const parent = world.make("parent");
      mkdirSync(join(parent, "box"));
      const fd = openSync(parent, "r");
      try {
        setInodeFlags(fd, INODE.IMMUTABLE);
        expect(whyNot(() => examine(join(parent, "box")))).toMatch(/^unsupported/);
      } finally {
        setInodeFlags(fd, 0);
        closeSync(fd);
      }
    });
  });

  describe("are cleared", () => {
    it("of volumes in directories of theirs, with odd names, with one in another and of single files", async () => {
      const sandbox = handOver();
      const uuids: Incarnation[] = [];
      for (const name of ["logs/deep/down", "a b\n\\c", "outer", "outer/inner"]) {
        uuids.push(await world.mountVolume(sandbox.path, name));
      }
      const file = world.place.volume();
      writeFileSync(join(sandbox.path, "single"), "");
      mount(join(file.content, "name"), join(sandbox.path, "single"), null, MS.BIND);
      detach(sandbox);
      expect(world.place.mounts()).toEqual([]);
      for (const uuid of uuids) expect(world.isWhole(uuid)).toBe(true);
      expect(readFileSync(join(file.content, "name"), "utf8")).toBe(file.uuid);
    });

    it("of a volume that is mounted on the sandbox itself", async () => {
      const sandbox = handOver();
      const uuid = await world.mountVolume(sandbox.path, ".");
      expect(world.sandboxes.find(sandbox).state).toBe("foreign");
      detach(sandbox);
      expect(world.sandboxes.find(sandbox)).toEqual({ state: "present" });
      await world.sandboxes.purge(sandbox);
      expect(world.isWhole(uuid)).toBe(true);
    });

    it("of a volume in trash", () => {
      const sandbox = handOver();
      const content = join(world.disk, "trash", "0b7f2c1e-5d3a-4c55-9a54-1f6f0c7d2e11", "content");
      mkdirSync(content, { recursive: true });
      mkdirSync(join(sandbox.path, "data"));
      mount(content, join(sandbox.path, "data"), null, MS.BIND);
      detach(sandbox);
      expect(world.place.mounts()).toEqual([]);
    });

    it("not of somebody's bind mount, nor of what only looks like a volume", () => {
      const sandbox = handOver();
      const other = join(world.place.root, "other", "volumes", "0b7f2c1e-5d3a-4c55-9a54-1f6f0c7d2e11", "content");
      mkdirSync(other, { recursive: true });
      for (const [source, name] of [
        [world.canary, "canary"],
        [other, "other"],
      ] as const) {
        const target = join(sandbox.path, name);
        mkdirSync(target);
        mount(source, target, null, MS.BIND);
        expect(whyNot(() => detach(sandbox))).toMatch(`in_use: Cannot clear ${sandbox.path}: something that is no`);
        expect(world.isMounted(sandbox.path, name)).toBe(true);
      }
    });

    it("not while a process sits in one, whose volume is named", async () => {
      const sandbox = handOver();
      const uuid = await world.mountVolume(sandbox.path, "data");
      await reside(`cd ${sandbox.path}/data`);
      let refusal: unknown;
      try {
        detach(sandbox);
      } catch (error) {
        refusal = error;
      }
      expect(refusal).toBeInstanceOf(HoldfastError);
      expect(refusal).toMatchObject({ code: "busy", details: { volumes: [uuid] } });
      expect(world.isMounted(sandbox.path, "data")).toBe(true);
    });

    it("not of what another namespace has mounted in them, whom holders name", async () => {
      const sandbox = handOver();
      const uuid = await world.mountVolume(sandbox.path, "data");
      const { pid } = await reside("true", { ownNamespace: true });
      detach(sandbox);
      const holders = createHolders({ diskRoots: [world.disk] });
      try {
        const found = await holders.ofDirectories([sandbox.path]);
        expect(found).toEqual([expect.objectContaining({ pid, phrase: expect.stringContaining("/data") })]);
      } finally {
        await holders.close();
      }
      expect(world.isWhole(uuid)).toBe(true);
    });
  });

  describe("are deleted", () => {
    it("without what the symlinks in them lead to, as those of the symlink backend", async () => {
      const sandbox = handOver();
      const volume = world.place.volume();
      symlinkSync(volume.content, join(sandbox.path, "data"));
      await world.sandboxes.purge(sandbox);
      expect(existsSync(sandbox.path)).toBe(false);
      expect(readFileSync(join(volume.content, "name"), "utf8")).toBe(volume.uuid);
    });

    it("not with a volume that is mounted after everything was looked at", async () => {
      const sandbox = handOver();
      detach(sandbox);
      const uuid = await world.mountVolume(sandbox.path, "logs/deep/late");
      await expect(world.sandboxes.purge(sandbox)).rejects.toMatchObject({ code: "in_use" });
      expect(world.isWhole(uuid)).toBe(true);
      detach(sandbox);
      await world.sandboxes.purge(sandbox);
      expect([existsSync(sandbox.path), world.isWhole(uuid)]).toEqual([false, true]);
    });

    it("not with a volume that is mounted while they go", async () => {
      const sandbox = handOver();
      mkdirSync(join(sandbox.path, "many"));
      for (let count = 0; count < MANY; count += 1) writeFileSync(join(sandbox.path, "many", String(count)), "");
      // What is not there when its directory is read is not gone into; whatever is, is refused.
      mkdirSync(join(sandbox.path, "late"));
      const ended = world.sandboxes.purge(sandbox).then(
        () => "gone",
        (error: unknown) => codeOf(error),
      );
      const uuids: Incarnation[] = [];
      for (let count = 0; existsSync(join(sandbox.path, "many")) && count < 5; count += 1) {
        uuids.push(await world.mountVolume(sandbox.path, `many/late-${count}`));
        await sleep(1);
      }
      expect(await ended).toBe("in_use");
      for (const uuid of uuids) expect(world.isWhole(uuid)).toBe(true);
      detach(sandbox);
      await world.sandboxes.purge(sandbox);
      for (const uuid of uuids) expect(world.isWhole(uuid)).toBe(true);
    });

    it("while a container swaps directories for symlinks in them, without leading anybody out", async () => {
      const racer = spawn(process.execPath, [new URL("purge-swap-worker.ts", import.meta.url).pathname], {
        stdio: ["pipe", "pipe", "inherit"],
      });
      const exited = once(racer, "exit");
      try {
        const lines = createInterface({ input: racer.stdout })[Symbol.asyncIterator]();
        await lines.next();
        let won = 0;
        for (let round = 0; round < 10; round += 1) {
          const sandbox = handOver(world.make(`raced-${round}`));
          chownSync(sandbox.path, CONTAINER_UID, CONTAINER_UID);
          mkdirSync(join(sandbox.path, "data"));
          chownSync(join(sandbox.path, "data"), CONTAINER_UID, CONTAINER_UID);
          for (let count = 0; count < 500; count += 1) writeFileSync(join(sandbox.path, "data", String(count)), "");
          symlinkSync(world.canary, join(sandbox.path, "link"));
          racer.stdin.write(`${sandbox.path}\n`);
          await lines.next();
          await world.sandboxes.purge(sandbox);
          won += Number((await lines.next()).value);
          expect(existsSync(sandbox.path)).toBe(false);
          expect(world.isUntouched()).toBe(true);
        }
        expect(won).toBeGreaterThan(0);
      } finally {
        racer.kill("SIGKILL");
        await exited;
      }
    });

    it("further after an interruption", async () => {
      const sandbox = handOver();
      mkdirSync(join(sandbox.path, "many"));
      for (let count = 0; count < MANY; count += 1) writeFileSync(join(sandbox.path, "many", String(count)), "");
      const controller = new AbortController();
      const ended = world.sandboxes.purge(sandbox, { signal: controller.signal }).catch((error: unknown) => error);
      await expect.poll(() => readdirSync(join(sandbox.path, "many")).length).toBeLessThan(MANY);
      controller.abort();
      expect(codeOf(await ended)).toBe("unavailable");
      expect(existsSync(dirname(sandbox.path))).toBe(true);
      await world.sandboxes.purge(sandbox);
      expect(existsSync(sandbox.path)).toBe(false);
    });

    it("two of one name at once, each where it is", async () => {
      const parents = [world.make("one"), world.make("two")];
      const sandboxes = parents.map((parent) => {
        mkdirSync(join(parent, "box"));
        for (let count = 0; count < 200; count += 1) writeFileSync(join(parent, "box", String(count)), "");
        return handOver(join(parent, "box"));
      });
      const outcomes = await Promise.all(sandboxes.map((sandbox) => world.sandboxes.purge(sandbox)));
      expect(outcomes).toEqual([{ entries: 201 }, { entries: 201 }]);
      expect(parents.map((parent) => existsSync(join(parent, "box")))).toEqual([false, false]);
    });
  });
});
