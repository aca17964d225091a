import { execFileSync } from "node:child_process";
import {
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createBindMounter } from "../../src/host/bind-mounter.ts";
import { readMountTable } from "../../src/host/mount-table.ts";
import { createSymlinkMounter } from "../../src/host/symlink-mounter.ts";
import { AT, geteuid, MOUNT_ATTR, MS, mount, mountSetattr, UMOUNT, umount2 } from "../../src/host/syscalls.ts";
import type { MountRequest } from "../../src/ports/mounter.ts";
import { attachAndRecord, MountPlace, pathOf } from "../support/mount-place.ts";

const mounter = createBindMounter();
let place: MountPlace;

const keep = { lazy: false };
const attach = (request: MountRequest) => attachAndRecord(mounter, request);

describe.runIf(geteuid() === 0)("bind mounter on Linux", () => {
  beforeEach(() => {
    place = new MountPlace();
  });
  afterEach(() => place.dispose());

  describe("attach", () => {
    it("puts nosuid, nodev and the mode in force", async () => {
      const options = async (request: MountRequest) => optionsAt(pathOf(await attach(request)));
      expect(await options(place.newRequest())).toEqual(expect.arrayContaining(["rw", "nosuid", "nodev"]));
      const readOnly = place.newRequest({ mode: "RO" });
      expect(await options(readOnly)).toEqual(expect.arrayContaining(["ro", "nosuid", "nodev"]));
      expect(() => writeFileSync(join(pathOf(readOnly), "new"), "")).toThrow("EROFS");
    });

    it("does not follow a symlink in the place of the mountpoint", async () => {
      const request = place.newRequest();
      const canary = place.sandbox();
      symlinkSync(canary, pathOf(request));
      await expect(mounter.attach(request)).rejects.toThrow("a symlink is in its place");
      expect(place.mounts()).toEqual([]);
    });

    it.each([
      ["bind", mounter],
      ["symlink", createSymlinkMounter()],
    ])("is a conflict where the kernel makes nothing (%s)", async (_backend, one) => {
      const request = place.newRequest();
      const refused = { code: "conflict", message: expect.stringContaining("takes nothing") };
      await expect(one.attach({ ...request, sandbox: `/proc/${process.pid}` })).rejects.toMatchObject(refused);
      expect(place.mounts()).toEqual([]);
    });

    it("does not follow a symlink in the path of the sandbox", async () => {
      const request = place.newRequest();
      symlinkSync(place.root, join(place.root, "link"));
      const sandbox = request.sandbox.replace(place.root, join(place.root, "link"));
      await expect(mounter.attach({ ...request, sandbox })).rejects.toThrow("is a symlink; use");
      expect(place.mounts()).toEqual([]);
    });

    it("does not mount over a file", async () => {
      const request = place.newRequest();
      writeFileSync(pathOf(request), "mine");
      await expect(mounter.attach(request)).rejects.toMatchObject({ code: "conflict" });
      expect(readFileSync(pathOf(request), "utf8")).toBe("mine");
    });

    it("leaves a directory that was there, with its content", async () => {
      const request = place.newRequest();
      mkdirSync(pathOf(request));
      writeFileSync(join(pathOf(request), "mine"), "");
      const mounted = await attach(request);
      expect(mounted.madeMountpoint).toBe(false);
      await mounter.detach(mounted, keep);
      expect(readdirSync(pathOf(request))).toEqual(["mine"]);
    });

    it("refuses a read-only sandbox", async () => {
      const request = place.newRequest();
      mount(request.sandbox, request.sandbox, null, MS.BIND);
      mountSetattr(AT.FDCWD, request.sandbox, 0, { attrSet: MOUNT_ATTR.RDONLY });
      await expect(mounter.attach(request)).rejects.toMatchObject({ code: "unsupported" });
    });

    it("gives an empty volume to the sandbox's owner, or to who was named", async () => {
      const request = place.request(place.volume("empty"), place.sandbox(), { owner: "sandbox" });
      chownSync(request.sandbox, 1234, 5678);
      await attach(request);
      expect(statSync(pathOf(request))).toMatchObject({ uid: 1234, gid: 5678 });
      const named = place.request(place.volume("empty"), place.sandbox(), { owner: { uid: 7, gid: 8 } });
      await attach(named);
      expect(statSync(pathOf(named))).toMatchObject({ uid: 7, gid: 8 });
    });

    it("leaves the owner of a volume with content", async () => {
      const request = place.newRequest({ owner: { uid: 7, gid: 8 } });
      await attach(request);
      expect(statSync(pathOf(request))).toMatchObject({ uid: 0, gid: 0 });
    });

    it("shows no mounts that lie inside the volume", async () => {
      const volume = place.volume();
      mkdirSync(join(volume.content, "inner"));
      mount("none", join(volume.content, "inner"), "tmpfs", 0, "size=64k");
      writeFileSync(join(volume.content, "inner/secret"), "");
      const mounted = await attach(place.request(volume, place.sandbox()));
      expect(readdirSync(join(pathOf(mounted), "inner"))).toEqual([]);
    });

    it("keeps no descriptor open, whether it succeeds or not", async () => {
      const request = place.newRequest();
      const damaged = place.newRequest({ directory: { ino: "1", birthNs: "1" } });
      const occupied = place.newRequest();
      writeFileSync(pathOf(occupied), "");
      const before = readdirSync("/proc/self/fd").length;
      for (let round = 0; round < 50; round += 1) {
        await expect(mounter.attach(damaged)).rejects.toThrow();
        await expect(mounter.attach(occupied)).rejects.toThrow();
        const mounted = await attach(request);
        await mounter.inspect(mounted);
        await mounter.detach(mounted, keep);
      }
      expect(readdirSync("/proc/self/fd").length).toBe(before);
    });
  });

  describe("detach", () => {
    it("is refused while a file is open, and changes nothing", async () => {
      const mounted = await attach(place.newRequest());
      const file = openSync(join(pathOf(mounted), "name"), "r");
      await expect(mounter.detach(mounted, keep)).rejects.toMatchObject({ code: "busy" });
      expect(await mounter.inspect(mounted)).toEqual({ state: "exact", mount: mounted.mount });
      closeSync(file);
      await mounter.detach(mounted, keep);
      expect(place.mounts()).toEqual([]);
    });

    it("takes it away from under an open file when lazy, which can still be written", async () => {
      const volume = place.volume();
      const mounted = await attach(place.request(volume, place.sandbox()));
      const file = openSync(join(pathOf(mounted), "late"), "w");
      await mounter.detach(mounted, { lazy: true });
      expect([existsSync(pathOf(mounted)), await mounter.inspect(mounted)]).toEqual([false, { state: "missing" }]);
      writeSync(file, "late");
      closeSync(file);
      expect(readFileSync(join(volume.content, "late"), "utf8")).toBe("late");
    });

    it("takes copies of the same directory off each other", async () => {
      const volume = place.volume();
      const mounted = await attach(place.request(volume, place.sandbox()));
      for (let copy = 0; copy < 3; copy += 1) mount(volume.content, pathOf(mounted), null, MS.BIND);
      expect(await mounter.inspect(mounted)).toEqual({ state: "stacked" });
      await mounter.detach(mounted, keep);
      expect([place.mounts(), existsSync(pathOf(mounted))]).toEqual([[], false]);
    });

    it("does not take a mount of another volume, or of another file system with the same inode number", async () => {
      const mounted = await attach(place.newRequest());
      const other = place.volume();
      mount(other.content, pathOf(mounted), null, MS.BIND);
      await expect(mounter.detach(mounted, keep)).rejects.toMatchObject({ code: "conflict" });
      umount2(pathOf(mounted), UMOUNT.NOFOLLOW);
      mount("none", pathOf(mounted), "tmpfs", 0, "size=64k");
      const { ino } = statSync(pathOf(mounted));
      const sameInode = { ...mounted, directory: { ino: String(ino), birthNs: "0" } };
      await expect(mounter.detach(sameInode, keep)).rejects.toMatchObject({ code: "conflict" });
      expect(place.mounts().length).toBe(2);
    });

    it("leaves a mountpoint in which something was written", async () => {
      const mounted = await attach(place.newRequest());
      umount2(pathOf(mounted), UMOUNT.NOFOLLOW);
      writeFileSync(join(pathOf(mounted), "stray"), "");
      await mounter.detach(mounted, keep);
      expect(readdirSync(pathOf(mounted))).toEqual(["stray"]);
    });

    it("follows a sandbox that was renamed, also when another took its path", async () => {
      for (const replacement of [false, true]) {
        const mounted = await attach(place.newRequest());
        const moved = `${mounted.sandbox}.moved`;
        renameSync(mounted.sandbox, moved);
        if (replacement) mkdirSync(pathOf(mounted), { recursive: true });
        expect(await mounter.inspect(mounted)).toEqual({ state: replacement ? "missing" : "sandbox_gone" });
        await mounter.detach(mounted, keep);
        expect([place.mounts(), readdirSync(moved)]).toEqual([[], []]);
      }
    });

    it("is fine after the container made the mount vanish from another namespace", async () => {
      const mounted = await attach(place.newRequest());
      const target = pathOf(mounted);
      execFileSync("unshare", ["-m", "--propagation", "private", "sh", "-c", 'umount "$0" && rmdir "$0"', target]);
      expect([place.mounts(), await mounter.inspect(mounted)]).toEqual([[], { state: "missing" }]);
      await mounter.detach(mounted, keep);
    });

    it("takes a mount whose volume was destroyed meanwhile", async () => {
      const volume = place.volume();
      const mounted = await attach(place.request(volume, place.sandbox()));
      renameSync(volume.content, `${volume.content}.trash`);
      expect(await mounter.inspect(mounted)).toMatchObject({ state: "exact" });
      await mounter.detach(mounted, keep);
      expect(place.mounts()).toEqual([]);
    });
  });

  describe("inspect", () => {
    it.each([
      ["read-write instead of read-only", "RO", { attrSet: 0, attrClear: MOUNT_ATTR.RDONLY }],
      ["read-only instead of read-write", "RW", { attrSet: MOUNT_ATTR.RDONLY }],
      ["without nosuid", "RW", { attrSet: 0, attrClear: MOUNT_ATTR.NOSUID }],
      ["without nodev", "RW", { attrSet: 0, attrClear: MOUNT_ATTR.NODEV }],
    ] as const)("sees that it is mounted %s", async (reason, mode, attributes) => {
      const mounted = await attach(place.newRequest({ mode }));
      mountSetattr(AT.FDCWD, pathOf(mounted), 0, attributes);
      expect(await mounter.inspect(mounted)).toEqual({ state: "foreign", reason: `it is mounted ${reason}` });
    });

    it("finds a mount that took the place of the recorded one and shows the same directory", async () => {
      const first = await attach(place.newRequest());
      await mounter.detach(first, keep);
      const second = await attach(first);
      expect(await mounter.inspect(first)).toEqual({ state: "exact", mount: second.mount });
    });
  });

  it("attaches and detaches in a time that does not grow with the mounts of the node", async () => {
    const median = async () => {
      const request = place.newRequest();
      const times: number[] = [];
      for (let round = 0; round < 500; round += 1) {
        const start = performance.now();
        const mounted = await attach(request);
        times.push((performance.now() - start) * 1000);
        await mounter.detach(mounted, keep);
      }
      return times.sort((a, b) => a - b)[times.length / 2] ?? 0;
    };
    await median();
    const alone = await median();
    const volume = place.volume();
    for (let count = 0; count < 500; count += 1) await attach(place.request(volume, place.sandbox()));
    const crowded = await median();
    console.log(`attach p50: ${alone.toFixed(1)} µs, with 500 other mounts ${crowded.toFixed(1)} µs`);
    expect(place.mounts().length).toBe(500);
  });
});

function optionsAt(path: string): readonly string[] {
  return readMountTable("self").find(({ mountPoint }) => mountPoint.equals(Buffer.from(path)))?.options ?? [];
}
