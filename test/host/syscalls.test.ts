import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  closeSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  statfsSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createConnection, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  AT,
  type DirectoryEntry,
  epollAdd,
  epollCreate,
  epollReady,
  fchownat,
  fileSystemType,
  flock,
  getdents64,
  geteuid,
  getInodeFlags,
  INODE,
  isErrno,
  LOCK,
  MOUNT_ATTR,
  MOVE_MOUNT,
  MS,
  mkdirat,
  mount,
  mountDetails,
  mountSetattr,
  moveMount,
  O,
  OPEN_TREE,
  openat2,
  openTree,
  peerCredentials,
  pidfdOpen,
  RENAME,
  RESOLVE,
  readlinkat,
  renameat2,
  SystemCallError,
  setInodeFlags,
  statmount,
  statx,
  symlinkat,
  UMOUNT,
  umount2,
  unlinkat,
} from "../../src/host/syscalls.ts";

let root: string;
let fd: number;

beforeEach(() => {
  root = mkdtempSync(join(realpathSync(tmpdir()), "holdfast-syscalls-"));
  fd = openat2(AT.FDCWD, root, { flags: O.PATH | O.DIRECTORY });
});

afterEach(() => {
  closeSync(fd);
  rmSync(root, { recursive: true });
});

const path = (name: string) => join(root, name);
const errnoOf = (work: () => unknown): string => {
  try {
    work();
  } catch (error) {
    if (error instanceof SystemCallError) return error.errno;
    throw error;
  }
  return "none";
};

describe("SystemCallError", () => {
  it("says which call failed on what, and how", () => {
    const failing = () => unlinkat(fd, "nothing", 0);
    expect(failing).toThrow(SystemCallError);
    expect(failing).toThrow(
      expect.objectContaining({
        call: "unlinkat",
        errno: "ENOENT",
        number: 2,
        message: 'Cannot unlinkat "nothing": ENOENT',
      }),
    );
  });

  it("is told apart by isErrno", () => {
    const error = new SystemCallError("mkdirat", 17, "x");
    expect([
      isErrno(error, "ENOENT", "EEXIST"),
      isErrno(error, "ENOENT"),
      isErrno(new Error("EEXIST"), "EEXIST"),
    ]).toEqual([true, false, false]);
  });

  it("refuses a NUL in a path, which would cut it short", () => {
    mkdirSync(path("a"));
    expect(errnoOf(() => unlinkat(fd, "a\0b", AT.REMOVEDIR))).toBe("EINVAL");
    expect(errnoOf(() => unlinkat(fd, Buffer.from("a\0b"), AT.REMOVEDIR))).toBe("EINVAL");
    expect(existsSync(path("a"))).toBe(true);
  });
});

describe("openat2", () => {
  it("opens close-on-exec with the given flags and mode", () => {
    const file = openat2(fd, "file", { flags: O.RDWR | O.CREAT | O.EXCL, mode: 0o640 });
    writeFileSync(file, "content");
    expect(readFileSync(`/proc/self/fdinfo/${file}`, "utf8")).toMatch(/flags:\s*02\d*\n/);
    closeSync(file);
    expect(readFileSync(path("file"), "utf8")).toBe("content");
    expect(statSync(path("file")).mode & 0o777).toBe(0o640 & ~process.umask());
  });

  it("stays beneath and refuses symlinks when told to", () => {
    symlinkSync("/", path("link"));
    const flags = O.PATH;
    expect(errnoOf(() => openat2(fd, "link", { flags, resolve: RESOLVE.NO_SYMLINKS }))).toBe("ELOOP");
    expect(errnoOf(() => openat2(fd, "..", { flags, resolve: RESOLVE.BENEATH }))).toBe("EXDEV");
    expect(errnoOf(() => openat2(fd, "/", { flags, resolve: RESOLVE.BENEATH }))).toBe("EXDEV");
    expect(errnoOf(() => openat2(AT.FDCWD, "/proc/version", { flags, resolve: RESOLVE.NO_XDEV }))).toBe("EXDEV");
  });

  it("refuses what is not a directory", () => {
    writeFileSync(path("file"), "");
    expect(errnoOf(() => openat2(fd, "file", { flags: O.PATH | O.DIRECTORY }))).toBe("ENOTDIR");
  });
});

describe("names in a directory", () => {
  it("mkdirat and unlinkat make and remove a directory", () => {
    mkdirat(fd, "made", 0o700);
    expect(statSync(path("made")).mode & 0o777).toBe(0o700);
    expect(errnoOf(() => mkdirat(fd, "made", 0o700))).toBe("EEXIST");
    writeFileSync(path("made/file"), "");
    expect(errnoOf(() => unlinkat(fd, "made", AT.REMOVEDIR))).toBe("ENOTEMPTY");
    unlinkat(fd, "made/file", 0);
    unlinkat(fd, "made", AT.REMOVEDIR);
    expect(readdirSync(root)).toEqual([]);
  });

  it("names that are not UTF-8 are given as buffers", () => {
    const name = Buffer.from([0x61, 0xff]);
    mkdirat(fd, name, 0o755);
    expect(readdirSync(root, { encoding: "buffer" })).toEqual([name]);
    unlinkat(fd, name, AT.REMOVEDIR);
    expect(readdirSync(root)).toEqual([]);
  });

  it("renameat2 moves, exchanges, and replaces only when allowed", () => {
    writeFileSync(path("a"), "a");
    writeFileSync(path("b"), "b");
    expect(errnoOf(() => renameat2(fd, "a", fd, "b", RENAME.NOREPLACE))).toBe("EEXIST");
    renameat2(fd, "a", fd, "b", RENAME.EXCHANGE);
    expect(readFileSync(path("a"), "utf8")).toBe("b");
    renameat2(fd, "a", fd, "b", 0);
    expect(readdirSync(root)).toEqual(["b"]);
  });

  it("symlinkat and readlinkat agree with node:fs", () => {
    symlinkat("/some/ünïcode", fd, "link");
    expect(readlinkSync(path("link"))).toBe("/some/ünïcode");
    expect(readlinkat(fd, "link")).toBe("/some/ünïcode");
    expect(errnoOf(() => symlinkat("/other", fd, "link"))).toBe("EEXIST");
    writeFileSync(path("file"), "");
    expect(errnoOf(() => readlinkat(fd, "file"))).toBe("EINVAL");
  });
});

describe("statx", () => {
  it("agrees with node:fs", () => {
    writeFileSync(path("file"), "12345");
    chmodSync(path("file"), 0o604);
    const expected = lstatSync(path("file"), { bigint: true });
    expect(statx(fd, "file", AT.SYMLINK_NOFOLLOW)).toMatchObject({
      mode: Number(expected.mode),
      uid: Number(expected.uid),
      gid: Number(expected.gid),
      nlink: 1,
      size: 5n,
      ino: expected.ino,
      birthNs: expected.birthtimeNs,
      mountRoot: false,
    });
  });

  it("knows device, birth and mount root of a file system that has them", () => {
    const stat = statx(AT.FDCWD, "/proc", 0);
    const device = /^\d+ \d+ (\d+):(\d+) \/ \/proc /m.exec(readFileSync("/proc/self/mountinfo", "utf8"));
    expect([stat.devMajor, stat.devMinor]).toEqual([Number(device?.[1]), Number(device?.[2])]);
    expect(stat.mountRoot).toBe(true);
    expect(statx(AT.FDCWD, "/dev/shm", 0).birthNs).toBe(statSync("/dev/shm", { bigint: true }).birthtimeNs);
  });

  it("examines a descriptor itself, and a symlink instead of its target", () => {
    symlinkSync("/", path("link"));
    expect(statx(fd, "", AT.EMPTY_PATH).ino).toBe(statSync(root, { bigint: true }).ino);
    expect(statx(fd, "link", AT.SYMLINK_NOFOLLOW).ino).toBe(lstatSync(path("link"), { bigint: true }).ino);
    expect(statx(fd, "link", 0).ino).toBe(statSync("/", { bigint: true }).ino);
  });
});

describe("statmount", () => {
  it("describes the mount that statx names", () => {
    const { mountId, mountIdUnique } = statx(AT.FDCWD, "/proc", 0);
    if (!mountIdUnique) return expect(statmount(mountId)).toBeUndefined();
    const root = statx(AT.FDCWD, "/", 0);
    expect(statmount(mountId)).toMatchObject({ parentId: root.mountId });
    expect(mountDetails(mountId)).toMatchObject({ mountPoint: "/proc", root: "/" });
    expect(errnoOf(() => statmount(mountId + 1_000_000_000n))).toBe("ENOENT");
  });
});

describe("descriptors", () => {
  it("fileSystemType agrees with node:fs", () => {
    expect(fileSystemType(fd)).toBe(statfsSync(root).type);
  });

  it("flock lets one holder in, and refuses the next without waiting", () => {
    writeFileSync(path("lock"), "");
    const [first, second] = [openSync(path("lock"), "r"), openSync(path("lock"), "r")];
    flock(first, LOCK.EX | LOCK.NB);
    expect(errnoOf(() => flock(second, LOCK.EX | LOCK.NB))).toBe("EAGAIN");
    flock(first, LOCK.UN);
    flock(second, LOCK.SH | LOCK.NB);
    closeSync(first);
    closeSync(second);
  });

  it("getdents64 names everything once, as bytes, with what it is, and no dots", () => {
    const names = Array.from({ length: 3000 }, (_, index) => `file-${index}`);
    for (const name of names) writeFileSync(path(name), "");
    mkdirSync(path("..."));
    symlinkSync("...", path("link"));
    writeFileSync(Buffer.concat([Buffer.from(`${root}/`), Buffer.from([0xff])]), "");
    const directory = openSync(root, "r");
    const entries: DirectoryEntry[] = [];
    for (let some = getdents64(directory); some.length > 0; some = getdents64(directory)) entries.push(...some);
    closeSync(directory);
    expect(entries.map(({ name }) => name.toString("latin1")).sort()).toEqual(
      [...names, "...", "link", "\u00ff"].sort(),
    );
    expect(entries.filter(({ isDirectory }) => isDirectory === true).map(({ name }) => String(name))).toEqual(["..."]);
  });

  it("getdents64 finds nothing in an empty directory, and refuses a file", () => {
    mkdirSync(path("empty"));
    writeFileSync(path("file"), "");
    const [directory, file] = [openSync(path("empty"), "r"), openSync(path("file"), "r")];
    expect(getdents64(directory)).toEqual([]);
    expect(errnoOf(() => getdents64(file))).toBe("ENOTDIR");
    closeSync(directory);
    closeSync(file);
  });

  it("lowerIoPriority is for the calling thread alone", async () => {
    const worker = new Worker(new URL("./io-priority-worker.ts", import.meta.url), { trackUnmanagedFds: false });
    const [threadId] = (await once(worker, "message")) as [number];
    const priorityOf = (id: number) => execFileSync("/usr/bin/ionice", ["-p", String(id)], { encoding: "utf8" }).trim();
    expect(priorityOf(threadId)).toBe("best-effort: prio 7");
    expect(priorityOf(process.pid)).not.toBe("best-effort: prio 7");
    await worker.terminate();
  });

  it("geteuid agrees with Node", () => {
    expect(geteuid()).toBe(process.geteuid?.());
  });

  it("peerCredentials names the peer of a unix socket", async () => {
    await withConnection(path("socket"), (socket) => {
      expect(peerCredentials(fdOf(socket))).toEqual({
        pid: process.pid,
        uid: process.geteuid?.(),
        gid: process.getegid?.(),
      });
    });
  });

  it("peerCredentials knows no peer of a TCP socket", async () => {
    await withConnection(0, (socket) => expect(peerCredentials(fdOf(socket))).toBeUndefined());
  });
});

describe.runIf(geteuid() === 0)("as root", () => {
  beforeEach(() => {
    mkdirSync(path("source"));
    mkdirSync(path("target"));
    writeFileSync(path("source/file"), "");
  });

  it("fchownat changes the owner of a descriptor", () => {
    fchownat(fd, "source", 1234, 5678, AT.SYMLINK_NOFOLLOW);
    expect(statSync(path("source"))).toMatchObject({ uid: 1234, gid: 5678 });
    const source = openat2(fd, "source", { flags: O.PATH });
    fchownat(source, "", 4321, 8765, AT.EMPTY_PATH);
    closeSync(source);
    expect(statSync(path("source"))).toMatchObject({ uid: 4321, gid: 8765 });
  });

  it("setInodeFlags makes a file immutable, and getInodeFlags says so", () => {
    const file = openSync(path("source/file"), "r");
    const before = getInodeFlags(file);
    setInodeFlags(file, before | INODE.IMMUTABLE);
    expect(getInodeFlags(file)).toBe(before | INODE.IMMUTABLE);
    expect(errnoOf(() => unlinkat(fd, "source/file", 0))).toBe("EPERM");
    setInodeFlags(file, before);
    unlinkat(fd, "source/file", 0);
    closeSync(file);
  });

  it("openTree, mountSetattr and moveMount attach a copy with its flags, umount2 takes it away", () => {
    const tree = openTree(fd, "source", OPEN_TREE.CLONE);
    mountSetattr(tree, "", AT.EMPTY_PATH, {
      attrSet: MOUNT_ATTR.RDONLY | MOUNT_ATTR.NOSUID,
      propagation: MS.PRIVATE,
    });
    moveMount(tree, "", fd, "target", MOVE_MOUNT.F_EMPTY_PATH);
    closeSync(tree);
    try {
      expect(readdirSync(path("target"))).toEqual(["file"]);
      expect(() => writeFileSync(path("target/new"), "")).toThrow("EROFS");
      expect(statx(fd, "target", 0).mountRoot).toBe(true);
      expect(optionsAt(path("target"))).toContain("nosuid");
    } finally {
      umount2(path("target"), UMOUNT.NOFOLLOW);
    }
    expect(readdirSync(path("target"))).toEqual([]);
  });

  it("mount binds in the old way", () => {
    mount(path("source"), path("target"), null, MS.BIND);
    umount2(path("target"), UMOUNT.DETACH | UMOUNT.NOFOLLOW);
    mount("none", path("target"), "tmpfs", 0, "size=64k");
    umount2(path("target"), UMOUNT.NOFOLLOW);
    expect(errnoOf(() => umount2(path("target"), UMOUNT.NOFOLLOW))).toBe("EINVAL");
  });

  it("unshare gives one thread its own mount namespace", async () => {
    const worker = new Worker(new URL("./unshare-worker.ts", import.meta.url), { trackUnmanagedFds: false });
    const [namespace] = (await once(worker, "message")) as [string];
    expect(namespace).not.toBe(readlinkSync("/proc/self/ns/mnt"));
    expect(readlinkSync("/proc/thread-self/ns/mnt")).toBe(readlinkSync("/proc/self/ns/mnt"));
    await worker.terminate();
  });
});

function optionsAt(mountPoint: string): string {
  const line = readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .find((candidate) => candidate.split(" ")[4] === mountPoint);
  return line?.split(" ")[5] ?? "";
}

describe("waiting for processes", () => {
  it("a pidfd is ready when its process has ended, and is gone from the set when it is closed", async () => {
    const [first, second] = [spawn("cat"), spawn("cat")];
    const epoll = epollCreate();
    const pidfds = [first, second].map(({ pid }) => pidfdOpen(pid ?? 0));
    for (const pidfd of pidfds) epollAdd(epoll, pidfd);
    expect(epollReady(epoll)).toEqual([]);
    for (const child of [first, second]) {
      child.kill();
      await once(child, "exit");
    }
    expect(epollReady(epoll).toSorted((a, b) => a - b)).toEqual(pidfds);
    closeSync(pidfds[0] ?? -1);
    expect(epollReady(epoll)).toEqual(pidfds.slice(1));
    closeSync(pidfds[1] ?? -1);
    closeSync(epoll);
    expect(errnoOf(() => pidfdOpen(first.pid ?? 0))).toBe("ESRCH");
  });
});

async function withConnection(address: string | number, test: (peer: Socket) => void): Promise<void> {
  const server: Server = createServer();
  server.listen(address);
  await once(server, "listening");
  const bound = server.address();
  const client =
    typeof bound === "string" || bound === null ? createConnection(address as string) : createConnection(bound.port);
  try {
    const [peer] = (await once(server, "connection")) as [Socket];
    test(peer);
    peer.destroy();
  } finally {
    client.destroy();
    server.close();
  }
}

function fdOf(socket: Socket): number {
  return (socket as unknown as { _handle: { fd: number } })._handle.fd;
}
