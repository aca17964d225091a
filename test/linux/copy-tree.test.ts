/** Copies of real trees on real file systems: everything that a file has, nothing outside of the tree. */
import { execFileSync, spawn } from "node:child_process";
import { chmodSync, closeSync, mkdirSync, mkdtempSync, openSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Copier, createCopier } from "../../src/host/copier.ts";
import { MS, mount, UMOUNT, umount2 } from "../../src/host/syscalls.ts";
import { mayMount } from "../e2e/privileges.ts";

/** Some of everything, with names that are no text. */
const MAKE_TREE = `
import os, socket, stat
os.umask(0)
def put(path, data=b"x"):
    with open(path, "wb") as f: f.write(data)
os.mkdir("dir", 0o2750); put("dir/file", b"content"); os.chown("dir", 1000, 1001)
put("owned"); os.chown("owned", 1000, 1001); os.chmod("owned", 0o4711)
put(b"bad\\xff\\nname")
os.symlink("/etc/passwd", "absolute"); os.symlink("../../..", "upwards"); os.symlink("nowhere", "dangling")
os.lchown("dangling", 1000, 1001)
os.link("owned", "dir/again"); os.link("owned", "twice"); os.link("dangling", "dangling-again")
os.mkfifo("fifo", 0o640)
s = socket.socket(socket.AF_UNIX); s.bind("socket")
os.mknod("device", stat.S_IFCHR | 0o600, os.makedev(1, 3))
with open("sparse", "wb") as f:
    f.seek(8 * 2**20); f.write(b"data" * 1024); f.truncate(24 * 2**20)
os.setxattr("owned", "user.note", b"kept\\0bytes")
os.setxattr("dir", "user.note", b"of a directory")
os.setxattr("owned", "security.capability", bytes.fromhex("0100000200040000000000000000000000000000"))
put("acl")
acl = bytes.fromhex("02000000 01000600ffffffff 02000600e8030000 04000400ffffffff 10000600ffffffff 20000000ffffffff".replace(" ", ""))
os.setxattr("acl", "system.posix_acl_access", acl)
os.setxattr("dir", "system.posix_acl_default", acl)
deep = "deep"
for level in range(90):
    os.mkdir(deep); put(deep + "/f"); deep += "/d"
for path in ["owned", "dir/file", "dir", "dangling", "fifo", "."]:
    os.utime(path, ns=(1_000_000_000_123_456_789, 1_100_000_000_987_654_321), follow_symlinks=False)
`;

/** Everything about every name, and which of them are one file. */
const DESCRIBE = `
import os, hashlib, json, sys
os.chdir(os.fsencode(sys.argv[1]))
inodes, out = {}, {}
for base, dirs, files in os.walk(b"."):
    for name in [b"."] * (base == b".") + dirs + files:
        path = os.path.join(base, name)
        s = os.lstat(path)
        mode = s.st_mode & 0o170000
        said = os.readlink(path).hex() if mode == 0o120000 else ""
        data = hashlib.sha1(open(path, "rb").read()).hexdigest() if mode == 0o100000 else ""
        attrs = {n: os.getxattr(path, n, follow_symlinks=False).hex() for n in os.listxattr(path, follow_symlinks=False) if n != "security.selinux"}
        first = inodes.setdefault((s.st_dev, s.st_ino), path.hex()) if mode != 0o040000 else ""
        size = s.st_size if mode != 0o040000 else 0
        sparse = s.st_blocks * 512 < s.st_size if mode == 0o100000 else ""
        links = s.st_nlink if mode != 0o040000 else 0
        out[path.hex()] = [s.st_mode, s.st_uid, s.st_gid, links, size, s.st_rdev, s.st_mtime_ns, said, data, attrs, sparse]
        out[path.hex()].append(s.st_atime_ns if path == b"./fifo" else "")
print(json.dumps([out, sorted(sorted(p for p in out if inodes.get(p) == f) for f in set(inodes.values()))], sort_keys=True))
`;

function python(script: string, cwd: string, ...args: readonly string[]): string {
  return execFileSync("python3", ["-c", script, ...args], { cwd, encoding: "utf8", maxBuffer: 2 ** 26 });
}

const FILE_SYSTEMS = [
  { type: "ext4", make: ["mkfs.ext4", "-q"] },
  { type: "xfs", make: ["mkfs.xfs", "-q"] },
  { type: "btrfs", make: ["mkfs.btrfs", "-q"] },
] as const;

describe.runIf(mayMount).each(FILE_SYSTEMS)("copyTree on $type", ({ make: [program, ...options] }) => {
  let base: string;
  let mounted: string;
  let root: string;
  let from: string;
  let to: string;
  let copier: Copier;

  beforeAll(() => {
    base = mkdtempSync(`${realpathSync(tmpdir())}/holdfast-copy-`);
    mounted = `${base}/mounted`;
    mkdirSync(mounted);
    execFileSync("truncate", ["-s", "400M", `${base}/image`]);
    execFileSync(program, [...options, `${base}/image`], { stdio: "ignore" });
    execFileSync("mount", ["-o", "loop", `${base}/image`, mounted]);
  });
  afterAll(() => {
    try {
      umount2(mounted, UMOUNT.NOFOLLOW | UMOUNT.DETACH);
    } finally {
      rmSync(base, { recursive: true });
    }
  });
  beforeEach(() => {
    root = mkdtempSync(`${mounted}/trees-`);
    [from, to] = [`${root}/from`, `${root}/to`];
    for (const dir of [from, to]) mkdirSync(dir);
    copier = createCopier();
  });
  afterEach(async () => {
    await copier.close();
    rmSync(root, { recursive: true });
  });

  async function copy(options: { maxBytes?: number; signal?: AbortSignal } = {}): Promise<void> {
    const { maxBytes, signal } = options;
    const fds = [openSync(from, "r"), openSync(to, "r")] as const;
    try {
      await copier.copy({ from: fds[0], to: fds[1], ...(maxBytes === undefined ? {} : { maxBytes }) }, { signal });
    } finally {
      for (const fd of fds) closeSync(fd);
    }
  }

  test("refuses what is larger than it may be", async () => {
    writeFileSync(`${from}/large`, Buffer.alloc(2 ** 20, 1));
    await expect(copy({ maxBytes: 2 ** 19 })).rejects.toMatchObject({ code: "insufficient" });
  });

  test("refuses a mount inside, naming the place, and copies nothing of it", async () => {
    mkdirSync(`${from}/a/b`, { recursive: true });
    mkdirSync(`${root}/other`);
    writeFileSync(`${root}/other/secret`, "secret");
    mount(`${root}/other`, `${from}/a/b`, null, MS.BIND);
    try {
      await expect(copy()).rejects.toMatchObject({ code: "in_use", message: expect.stringContaining("a/b") });
    } finally {
      umount2(`${from}/a/b`, UMOUNT.NOFOLLOW);
    }
    expect(python("import os;print([f for _,_,fs in os.walk('.') for f in fs])", to).trim()).toBe("[]");
  });

  test("is interrupted by its signal", async () => {
    await expect(copy({ signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "unavailable" });
  });

  test("copies everything that files have, and follows nothing", async () => {
    python(MAKE_TREE, from);
    chmodSync(from, 0o1777);
    const before = python(DESCRIBE, root, from);
    await copy();
    expect(JSON.parse(python(DESCRIBE, root, to))).toEqual(JSON.parse(before));
    expect(python(DESCRIBE, root, from)).toBe(before);
  });

  test("never leaves the trees while somebody exchanges directories for symlinks", { timeout: 60_000 }, async () => {
    const seed = Date.now();
    mkdirSync(`${root}/outside`);
    writeFileSync(`${root}/outside/secret`, "secret");
    python(RACING_TREE, from);
    const racer = startRacer(from, `${root}/outside`);
    try {
      for (let round = 0; round < 12; round += 1) {
        await copy().catch((error: unknown) => expect(error).toMatchObject({ code: "in_use" }));
        const found = python(FIND_SECRET, to);
        expect(found, `seed ${seed}, round ${round}`).toBe("");
        rmSync(to, { recursive: true });
        mkdirSync(to);
      }
    } finally {
      await racer.stop();
    }
  });

  test("gives everything to a group, the top at last, and what is right already stays untouched", async () => {
    python(MAKE_TREE, from);
    const fd = openSync(from, "r");
    try {
      await copier.giveToGroup({ fd, group: 2_000 });
      const first = python(GROUPS, from);
      await copier.giveToGroup({ fd, group: 2_000 });
      expect(python(GROUPS, from)).toBe(first);
      expect(JSON.parse(first)).toEqual([]);
    } finally {
      closeSync(fd);
    }
    expect(
      python("import os;print(os.stat('/etc/passwd').st_gid, oct(os.stat('/dev/null').st_mode & 0o777))", "/"),
    ).toBe("0 0o666\n");
  });
});

const RACING_TREE = `
import os
for i in range(40):
    os.makedirs(f"d{i}/sub"); os.symlink("../outside", f"l{i}")
    for n in range(5): open(f"d{i}/f{n}", "w").write("inside"); open(f"d{i}/sub/f{n}", "w").write("inside")
`;
const FIND_SECRET = `
import os
for base, dirs, files in os.walk("."):
    for f in files:
        p = os.path.join(base, f)
        if not os.path.islink(p) and (f == "secret" or open(p).read() == "secret"): print(p)
`;
/** What is not as it should be. */
const GROUPS = `
import os, json, stat
wrong = []
for base, dirs, files in os.walk("."):
    for name in ["."] * (base == ".") + dirs + files:
        p = os.path.join(base, name); s = os.lstat(p); m = s.st_mode
        if s.st_gid != 2000: wrong.append([repr(p), "gid"])
        if stat.S_ISDIR(m) and m & 0o2070 != 0o2070: wrong.append([repr(p), oct(m)])
        if stat.S_ISREG(m) and m & 0o060 != 0o060: wrong.append([repr(p), oct(m)])
        if stat.S_ISREG(m) and bool(m & 0o111) != bool(m & 0o010): wrong.append([repr(p), oct(m)])
        if stat.S_ISCHR(m) and m & 0o777 != 0o600: wrong.append([repr(p), oct(m)])
print(json.dumps(wrong))
`;

/** Exchanges directories and symlinks all the time, as a container may. */
function startRacer(directory: string, outside: string): { stop(): Promise<void> } {
  const script = `
import ctypes, os, sys
libc = ctypes.CDLL(None)
os.chdir(sys.argv[1])
for i in range(40):
    os.unlink(f"l{i}"); os.symlink(sys.argv[2], f"l{i}")
print("ready", flush=True)
while os.getppid() == int(sys.argv[3]):
    for i in range(40):
        libc.renameat2(-100, f"d{i}".encode(), -100, f"l{i}".encode(), 2)
        libc.renameat2(-100, f"d{i}".encode(), -100, f"d{(i + 1) % 40}/sub".encode(), 2)
`;
  const child = spawn("python3", ["-c", script, directory, outside, String(process.pid)], { stdio: "ignore" });
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  return {
    stop: async () => {
      child.kill("SIGKILL");
      await ended;
    },
  };
}
