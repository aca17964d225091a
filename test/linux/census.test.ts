import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  chownSync,
  closeSync,
  fsyncSync,
  ftruncateSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Incarnation } from "../../src/domain/units.ts";
import { type CensusOrder, type Tally, takeCensus } from "../../src/host/census-tree.ts";
import { purgeTree } from "../../src/host/purge-tree.ts";
import { MS, mkdirat, mount, O, openat2, UMOUNT, umount2 } from "../../src/host/syscalls.ts";
import { getProject, setProject } from "../../src/host/syscalls-quota.ts";
import { isRoot, mayMount, NOBODY } from "../e2e/privileges.ts";

const UUID = "0b7f2c1e-5d3a-4c55-9a54-1f6f0c7d2e11" as Incarnation;
const NAME = `${UUID}/content`;
const CONTAINER_UID = 1000;
const CANARY_BYTES = 8 * 1024 * 1024;
const PROJECT = { id: 2_000_001 };

let base: string;
let root: string;
let parent: CensusOrder["parent"];
let content: string;
let canary: string;

/** A volume in a directory, with something beside it that nobody shall look at. */
function makeVolume(directory: string): void {
  root = mkdtempSync(join(directory, "holdfast-census-"));
  canary = join(root, "canary");
  mkdirSync(join(canary, "deep"), { recursive: true });
  writeFileSync(join(canary, "deep", "file"), Buffer.alloc(CANARY_BYTES, "x"));
  content = join(root, NAME);
  mkdirSync(content, { recursive: true });
  parent = { fd: openSync(root, "r"), path: root };
}

function removeVolume(): void {
  closeSync(parent.fd);
  rmSync(root, { recursive: true, force: true });
}

function take(project?: { readonly id: number }): Tally {
  return finish(takeCensus({ parent, name: NAME, ...(project === undefined ? {} : { project }) }));
}

function finish(steps: Generator<undefined, Tally>): Tally {
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return value;
  }
}

function openDescriptors(): number {
  return readdirSync("/proc/self/fd").length;
}

/** Goes down below `content`, and hands each directory's descriptor out before the next one is made. */
function makeDeep(levels: number, fill: (fd: number, depth: number) => void = () => {}): void {
  let fd = openSync(content, "r");
  for (let depth = 0; depth < levels; depth += 1) {
    fill(fd, depth);
    mkdirat(fd, "m", 0o755);
    const below = openat2(fd, "m", { flags: O.RDONLY | O.DIRECTORY });
    closeSync(fd);
    fd = below;
  }
  closeSync(fd);
}

/** What is too deep for paths. */
function removeDeep(): void {
  const steps = purgeTree({ fd: parent.fd, path: root }, UUID);
  while (steps.next().done !== true);
}

/** Bytes and inodes by other means. */
function counted(): { readonly usedBytes: number; readonly inodes: number } {
  const below = readdirSync(content, { recursive: true, encoding: "utf8" });
  const stats = [".", ...below].map((path) => lstatSync(join(content, path)));
  const blocksOf = new Map(stats.map(({ ino, blocks }) => [ino, blocks]));
  const blocks = Array.from(blocksOf.values()).reduce((sum, each) => sum + each, 0);
  return { usedBytes: blocks * 512, inodes: blocksOf.size };
}

describe("the census of hostile content", () => {
  beforeEach(() => makeVolume(realpathSync(tmpdir())));
  afterEach(removeVolume);

  it.each([
    ["nothing", () => {}, "it is missing"],
    ["a symlink", () => symlinkSync(canary, content), "something else is in its place"],
    ["a file", () => writeFileSync(content, ""), "something else is in its place"],
  ])("refuses %s in the content's place", (_, put, reason) => {
    rmdirSync(content);
    put();
    const before = openDescriptors();
    expect(() => take()).toThrow(
      expect.objectContaining({ code: "damaged", message: `Cannot measure ${content}: ${reason}` }),
    );
    expect(openDescriptors()).toBe(before);
  });

  it("refuses a symlink above the content", () => {
    rmSync(join(root, UUID), { recursive: true });
    symlinkSync(canary, join(root, UUID));
    mkdirSync(join(canary, "content"));
    expect(() => take()).toThrow(expect.objectContaining({ code: "damaged" }));
  });

  it("counts symlinks, not what they lead to", () => {
    symlinkSync(canary, join(content, "link"));
    symlinkSync("../../canary", join(content, "relative"));
    symlinkSync("nowhere", join(content, "dangling"));
    const { usedBytes, inodes } = take();
    expect(inodes).toBe(4);
    expect(usedBytes).toBeLessThan(CANARY_BYTES);
  });

  it("counts allocated blocks and distinct inodes", () => {
    const sparse = openSync(join(content, "sparse"), "w");
    ftruncateSync(sparse, 1024 * 1024 * 1024);
    writeSync(sparse, Buffer.alloc(5000), 0, 5000, 512 * 1024 * 1024);
    fsyncSync(sparse);
    closeSync(sparse);
    for (let directory = 0; directory < 10; directory += 1) {
      const path = join(content, `directory-${directory}`);
      mkdirSync(path);
      for (let file = 0; file < 150; file += 1) writeFileSync(join(path, `file-${file}`), "x".repeat(file * 100));
      for (let link = 0; link < 5; link += 1)
        linkSync(join(path, "file-149"), join(content, `link-${directory}-${link}`));
    }
    symlinkSync("x".repeat(4000), join(content, "long"));
    execFileSync("sync", ["--file-system", content]);
    const { usedBytes, inodes, entries, unread } = take();
    expect({ usedBytes, inodes }).toEqual(counted());
    expect({ entries, unread }).toEqual({ entries: 1 + 1 + 10 + 1500 + 50 + 1, unread: 0 });
  });

  it("reads all of a directory of 5,000 names", () => {
    for (let file = 0; file < 5000; file += 1) writeFileSync(join(content, `${"long".repeat(20)}-${file}`), "");
    expect(take().inodes).toBe(5001);
  });

  it("counts each name once in 5,000 levels, with at most 64 descriptors", () => {
    let made = 1 + 5000;
    makeDeep(5000, (fd, depth) => {
      // Enough for several readings, so that they go on in the middle.
      const beside = depth === 100 ? 3000 : depth % 250 === 0 ? 20 : 0;
      for (let name = 0; name < beside; name += 1) {
        if (name % 2 === 0) writeFileSync(`/proc/self/fd/${fd}/${name}`, "");
        else mkdirat(fd, `${name}`, 0o755);
      }
      made += beside;
    });
    const before = openDescriptors();
    const steps = takeCensus({ parent, name: NAME });
    let most = 0;
    let step = steps.next();
    for (let count = 0; step.done !== true; count += 1) {
      if (count % 100 === 0) most = Math.max(most, openDescriptors() - before);
      step = steps.next();
    }
    expect(step.value).toMatchObject({ inodes: made, entries: made, unread: 0 });
    expect(most).toBeGreaterThan(50);
    expect(most).toBeLessThanOrEqual(64);
    expect(openDescriptors()).toBe(before);
    removeDeep();
  });

  it("counts names of any bytes and of full length", () => {
    const names = [
      Buffer.from([0xff, 0xfe, 0x80]),
      Buffer.from([0xed, 0xa0, 0x80]),
      Buffer.from("new\nline\t*?[]"),
      Buffer.from(" "),
      Buffer.from("..."),
      Buffer.from(".x"),
      Buffer.from("..x"),
      Buffer.alloc(255, "x"),
      Buffer.alloc(255, 0xe9),
    ];
    const slash = Buffer.from(`${content}/`);
    for (const name of names) {
      const directory = Buffer.concat([slash, name]);
      mkdirSync(directory);
      writeFileSync(Buffer.concat([directory, Buffer.from("/"), name]), "");
    }
    expect(take().inodes).toBe(1 + 2 * names.length);
  });

  it("leaves no trace of having read a directory", () => {
    mkdirSync(join(content, "below", "empty"), { recursive: true });
    const before = statSync(join(content, "below"), { bigint: true }).atimeNs;
    take();
    expect(statSync(join(content, "below"), { bigint: true }).atimeNs).toBe(before);
  });

  it("is interrupted at any step without leaving a descriptor open", () => {
    makeDeep(80, (fd) => writeFileSync(`/proc/self/fd/${fd}/file`, ""));
    const before = openDescriptors();
    for (let steps = 1; steps < 500; steps += 7) {
      const walk = takeCensus({ parent, name: NAME });
      for (let step = 0; step < steps; step += 1) walk.next();
      walk.return({} as Tally);
      expect(openDescriptors()).toBe(before);
    }
  });

  it("goes on with what is left when directories disappear under it", () => {
    for (const name of ["a", "b", "c"]) mkdirSync(join(content, name, "below"), { recursive: true });
    const steps = takeCensus({ parent, name: NAME });
    // In the first of them, before it is read.
    for (let step = 0; step < 3; step += 1) steps.next();
    for (const name of ["a", "b", "c"]) rmSync(join(content, name), { recursive: true });
    expect(finish(steps)).toMatchObject({ inodes: 2, unread: 0 });
  });

  it("goes on when its volume is moved away", () => {
    makeDeep(100);
    const steps = takeCensus({ parent, name: NAME });
    for (let step = 0; step < 150; step += 1) steps.next();
    renameSync(join(root, UUID), join(root, "elsewhere"));
    expect(finish(steps).inodes).toBe(101);
    renameSync(join(root, "elsewhere"), join(root, UUID));
  });

  it("gives up where a directory far above was exchanged, and says so", () => {
    makeDeep(100);
    mkdirSync(join(content, "other"));
    const steps = takeCensus({ parent, name: NAME });
    const before = openDescriptors();
    while (openDescriptors() - before < 58) steps.next();
    for (let step = 0; step < 60; step += 1) steps.next();
    renameSync(join(content, "m", "m", "m"), join(content, "other", "m"));
    expect(() => finish(steps)).toThrow(
      expect.objectContaining({ code: "in_use", message: expect.stringContaining("moving its directories") }),
    );
    expect(openDescriptors()).toBeLessThanOrEqual(before);
  });

  describe.runIf(isRoot)("as another user", () => {
    it("counts what it may not read, and says that something is missing", () => {
      mkdirSync(join(content, "closed", "below"), { recursive: true });
      mkdirSync(join(content, "open"));
      mkdirSync(join(content, "listed"));
      writeFileSync(join(content, "listed", "file"), "");
      chmodSync(join(content, "closed"), 0o700);
      chmodSync(join(content, "listed"), 0o744);
      chmodSync(root, 0o755);
      expect(asNobody(take)).toMatchObject({ inodes: 4, unread: 2 });
    });

    it("counts a content that it may not read", () => {
      writeFileSync(join(content, "file"), "");
      chmodSync(content, 0o700);
      chmodSync(root, 0o755);
      expect(asNobody(take)).toMatchObject({ inodes: 1, unread: 1 });
    });
  });

  describe.runIf(mayMount)("with mounts", () => {
    it.each(["directory", "file"] as const)("neither enters nor counts a %s that is mounted inside", (kind) => {
      const place = join(content, "below", "mounted");
      mkdirSync(join(content, "below"));
      if (kind === "directory") mkdirSync(place);
      else writeFileSync(place, "");
      mount(kind === "directory" ? canary : join(canary, "deep", "file"), place, null, MS.BIND);
      try {
        const { inodes, usedBytes } = take();
        expect(inodes).toBe(2);
        expect(usedBytes).toBeLessThan(CANARY_BYTES);
      } finally {
        umount2(place, UMOUNT.DETACH);
      }
    });

    it("refuses a content that something is mounted on", () => {
      mount(canary, content, null, MS.BIND);
      try {
        expect(() => take()).toThrow(expect.objectContaining({ code: "damaged" }));
      } finally {
        umount2(content, UMOUNT.DETACH);
      }
    });

    it("refuses to enlist where there are no projects", () => {
      mount("tmpfs", content, "tmpfs", 0);
      try {
        const name = "inside/content";
        mkdirSync(join(content, name), { recursive: true });
        const fd = openSync(content, "r");
        try {
          const steps = takeCensus({ parent: { fd, path: content }, name, project: PROJECT });
          expect(() => finish(steps)).toThrow(expect.objectContaining({ code: "unsupported" }));
        } finally {
          closeSync(fd);
        }
      } finally {
        umount2(content, UMOUNT.DETACH);
      }
    });
  });

  it.runIf(isRoot)("is not led out by a process that swaps a directory and a symlink", async () => {
    makeRaceTrack();
    const racer = await startRacer();
    try {
      const won = racer.race(content);
      let walks = 0;
      let ended = false;
      won.finally(() => (ended = true)).catch(() => {});
      while (!ended) {
        const { usedBytes, inodes } = take();
        expect(usedBytes).toBeLessThan(CANARY_BYTES);
        // Both of them may be missed, or the directory found under both names.
        expect(inodes).toBeLessThanOrEqual(1 + 2 * 22 + 2);
        walks += 1;
        await new Promise(setImmediate);
      }
      expect(await won).toBeGreaterThan(300);
      expect(walks).toBeGreaterThan(100);
    } finally {
      racer.stop();
    }
  });
});

describe.runIf(mayMount)("enlisting on XFS", () => {
  let mounted: string;

  beforeAll(() => {
    base = mkdtempSync(`${realpathSync(tmpdir())}/holdfast-xfs-`);
    chmodSync(base, 0o755);
    mounted = `${base}/mounted`;
    mkdirSync(mounted);
    execFileSync("truncate", ["-s", "400M", `${base}/image`]);
    execFileSync("mkfs.xfs", ["-q", `${base}/image`]);
    execFileSync("mount", ["-o", "loop", `${base}/image`, mounted]);
  });
  afterAll(() => {
    umount2(mounted, UMOUNT.NOFOLLOW | UMOUNT.DETACH);
    rmSync(base, { recursive: true });
  });
  beforeEach(() => makeVolume(mounted));
  afterEach(removeVolume);

  function projectOf(path: string): ReturnType<typeof getProject> {
    return withOpen(path, getProject);
  }

  function setProjectOf(path: string, project: ReturnType<typeof getProject>): void {
    withOpen(path, (fd) => setProject(fd, project));
  }

  it("makes everything the project's, and what is made later", () => {
    mkdirSync(join(content, "directory", "below"), { recursive: true });
    writeFileSync(join(content, "directory", "below", "file"), Buffer.alloc(100_000));
    linkSync(join(content, "directory", "below", "file"), join(content, "link"));
    execFileSync("sync", ["--file-system", content]);
    const { usedBytes, inodes } = counted();
    // A file with two names is the project's when its second one is looked at.
    expect(take(PROJECT)).toEqual({ usedBytes, inodes, entries: 5, wrong: 4, refused: 0, unread: 0 });
    for (const path of [".", "directory", "directory/below"]) {
      expect(projectOf(join(content, path))).toEqual({ id: PROJECT.id, inherit: true });
    }
    expect(projectOf(join(content, "link"))).toEqual({ id: PROJECT.id, inherit: false });
    writeFileSync(join(content, "directory", "below", "new"), "");
    expect(projectOf(join(content, "directory", "below", "new")).id).toBe(PROJECT.id);
    expect(projectOf(canary).id).toBe(0);
    expect(take(PROJECT)).toMatchObject({ entries: 6, wrong: 0, refused: 0 });
  });

  it("finds what escaped to another project, and takes it back", () => {
    for (const name of ["a", "b", "c"]) mkdirSync(join(content, name));
    writeFileSync(join(content, "a", "file"), "");
    take(PROJECT);
    setProjectOf(join(content, "a", "file"), { id: 7, inherit: false });
    setProjectOf(join(content, "b"), { id: 0, inherit: false });
    setProjectOf(join(content, "c"), { id: PROJECT.id, inherit: false });
    mkdirSync(join(content, "b", "unnoticed"));
    expect(take(PROJECT)).toMatchObject({ wrong: 4, refused: 0 });
    expect(take(PROJECT)).toMatchObject({ wrong: 0 });
    expect(projectOf(join(content, "c"))).toEqual({ id: PROJECT.id, inherit: true });
  });

  it("counts what it may not change as refused, names the first, and goes on", () => {
    const ours = join(content, "directory", "ours");
    mkdirSync(join(content, "directory"));
    for (const name of ["ours", "root's"]) writeFileSync(join(content, "directory", name), "");
    for (const path of [content, join(content, "directory"), ours]) chownSync(path, NOBODY.uid, NOBODY.gid);
    chmodSync(root, 0o755);
    chmodSync(join(root, UUID), 0o755);
    const outcome = asNobody(() => take(PROJECT));
    const firstRefusal = join(content, "directory", "root's");
    expect(outcome).toMatchObject({ wrong: 3, refused: 1, inodes: 4, firstRefusal });
    expect(projectOf(ours).id).toBe(PROJECT.id);
    const again = take(PROJECT);
    expect(again).toMatchObject({ wrong: 1, refused: 0 });
    expect(again.firstRefusal).toBeUndefined();
  });

  it("opens no FIFO, socket, device or symlink, and counts them", async () => {
    execFileSync("mkfifo", [join(content, "fifo")]);
    // Nobody serves these: opening one fails.
    execFileSync("mknod", [join(content, "character"), "c", "60", "0"]);
    execFileSync("mknod", [join(content, "block"), "b", "60", "0"]);
    symlinkSync(canary, join(content, "link"));
    const server = createServer().listen(join(content, "socket"));
    await once(server, "listening");
    expect(take(PROJECT)).toMatchObject({ inodes: 6, wrong: 1, refused: 0 });
    server.close();
    expect(projectOf(canary).id).toBe(0);
  });

  it("does not enlist what is mounted inside", () => {
    const places = [join(content, "directory"), join(content, "file")] as const;
    mkdirSync(places[0]);
    writeFileSync(places[1], "");
    mount(canary, places[0], null, MS.BIND);
    mount(join(canary, "deep", "file"), places[1], null, MS.BIND);
    try {
      expect(take(PROJECT)).toMatchObject({ inodes: 1, wrong: 1, refused: 0 });
    } finally {
      for (const place of places) umount2(place, UMOUNT.DETACH);
    }
    expect(projectOf(canary).id).toBe(0);
    expect(projectOf(join(canary, "deep", "file")).id).toBe(0);
  });

  it("does not enlist what a process puts in its way, in two seconds of races", async () => {
    // Made in the project: a symlink of none could not be renamed there.
    take(PROJECT);
    makeRaceTrack();
    const racer = await startRacer();
    try {
      const won = racer.race(content);
      let ended = false;
      won.finally(() => (ended = true)).catch(() => {});
      while (!ended) {
        take(PROJECT);
        await new Promise(setImmediate);
      }
      expect(await won).toBeGreaterThan(300);
      for (const path of [".", "deep", "deep/file"]) expect(projectOf(join(canary, path)).id).toBe(0);
    } finally {
      racer.stop();
    }
    expect(take(PROJECT)).toMatchObject({ inodes: 24, wrong: 0, refused: 0 });
  });

  it("enlists 1,000 levels with at most 64 descriptors", () => {
    makeDeep(1000, (fd) => writeFileSync(`/proc/self/fd/${fd}/file`, ""));
    const before = openDescriptors();
    const steps = takeCensus({ parent, name: NAME, project: PROJECT });
    let most = 0;
    let step = steps.next();
    for (let count = 0; step.done !== true; count += 1) {
      if (count % 50 === 0) most = Math.max(most, openDescriptors() - before);
      step = steps.next();
    }
    expect(step.value).toMatchObject({ inodes: 2001, wrong: 2001, refused: 0 });
    expect(most).toBeLessThanOrEqual(64);
    removeDeep();
  });
});

function asNobody<Result>(work: () => Result): Result {
  process.seteuid?.(NOBODY.uid);
  try {
    return work();
  } finally {
    process.seteuid?.(0);
  }
}

function withOpen<Result>(path: string, work: (fd: number) => Result): Result {
  const fd = openSync(path, "r");
  try {
    return work(fd);
  } finally {
    closeSync(fd);
  }
}

/** `data` with 22 inodes, and a symlink to change names with. */
function makeRaceTrack(): void {
  mkdirSync(join(content, "data", "deep"), { recursive: true });
  for (let file = 0; file < 20; file += 1) writeFileSync(join(content, "data", "deep", `file-${file}`), "");
  symlinkSync(canary, join(content, "link"));
  for (const path of ["data/deep", "data", "."]) chownSync(join(content, path), CONTAINER_UID, CONTAINER_UID);
  for (const path of [root, join(root, UUID)]) chmodSync(path, 0o755);
}

/** Says how often it won, at the end. */
async function startRacer() {
  const child = spawn(process.execPath, [join(import.meta.dirname, "purge-swap-worker.ts")], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async (): Promise<string> => {
    const { value, done } = await lines.next();
    if (done === true) throw new Error("The racer ended");
    return value;
  };
  expect(await next()).toBe("ready");
  return {
    async race(directory: string): Promise<number> {
      child.stdin.write(`${directory}\n`);
      expect(await next()).toBe("racing");
      return Number(await next());
    },
    stop: () => child.kill("SIGKILL"),
  };
}
