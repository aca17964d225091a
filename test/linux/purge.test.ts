import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Incarnation } from "../../src/domain/units.ts";
import { createPurger, type Purger, type PurgerOptions } from "../../src/host/purge.ts";
import { purgeTree } from "../../src/host/purge-tree.ts";
import {
  geteuid,
  INODE,
  MS,
  mkdirat,
  mount,
  O,
  openat2,
  setInodeFlags,
  UMOUNT,
  umount2,
} from "../../src/host/syscalls.ts";

const UUID = "0b7f2c1e-5d3a-4c55-9a54-1f6f0c7d2e11" as Incarnation;
const CONTAINER_UID = 1000;

let root: string;
let trash: { readonly fd: number; readonly path: string };
let content: string;
let canary: string;
beforeEach(() => {
  root = mkdtempSync(join(realpathSync(tmpdir()), "holdfast-purge-"));
  canary = join(root, "canary");
  mkdirSync(join(canary, "deep"), { recursive: true });
  writeFileSync(join(canary, "deep", "file"), "untouched");
  const path = join(root, "trash");
  content = join(path, UUID, "content");
  mkdirSync(content, { recursive: true });
  trash = { fd: openSync(path, "r"), path };
});
afterEach(() => {
  closeSync(trash.fd);
  rmSync(root, { recursive: true, force: true });
});

function purge(): number {
  const steps = purgeTree(trash, UUID);
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return value;
  }
}

function expectGone(): void {
  expect(readdirSync(trash.path)).toEqual([]);
}

function expectCanary(): void {
  expect(readFileSync(join(canary, "deep", "file"), "utf8")).toBe("untouched");
}

function openDescriptors(): number {
  return readdirSync("/proc/self/fd").length;
}

describe("purge of hostile content", () => {
  it("deletes symlinks, not what they lead to", () => {
    symlinkSync(canary, join(content, "link"));
    symlinkSync("../../../canary", join(content, "relative"));
    symlinkSync("nowhere", join(content, "dangling"));
    expect(purge()).toBe(5);
    expectGone();
    expectCanary();
  });

  it("refuses a symlink or a file in the volume's own place", () => {
    rmSync(join(trash.path, UUID), { recursive: true });
    symlinkSync(canary, join(trash.path, UUID));
    expect(purge).toThrow(expect.objectContaining({ code: "damaged" }));
    expectCanary();
  });

  it("deletes 5,000 levels of long names with few descriptors, and files on the way", () => {
    const name = "d".repeat(50);
    let fd = openSync(content, "r");
    for (let depth = 0; depth < 5000; depth += 1) {
      mkdirat(fd, name, 0o755);
      if (depth % 500 === 0) writeFileSync(`/proc/self/fd/${fd}/beside`, "");
      const below = openat2(fd, name, { flags: O.RDONLY | O.DIRECTORY });
      closeSync(fd);
      fd = below;
    }
    closeSync(fd);
    const before = openDescriptors();
    const steps = purgeTree(trash, UUID);
    let most = 0;
    for (let step = 0; steps.next().done !== true; step += 1) {
      if (step % 1000 === 0) most = Math.max(most, openDescriptors() - before);
    }
    expect(most).toBeLessThan(70);
    expect(openDescriptors()).toBe(before);
    expectGone();
  });

  it("deletes names of any bytes and of full length", () => {
    const names = [
      Buffer.from([0xff, 0xfe, 0x80]),
      Buffer.from([0xed, 0xa0, 0x80]),
      Buffer.from("new\nline\t*?[]"),
      Buffer.from("-rf"),
      Buffer.from(" "),
      Buffer.from("..."),
      Buffer.alloc(255, "x"),
      Buffer.alloc(255, 0xe9),
    ];
    const slash = Buffer.from(`${content}/`);
    for (const name of names) {
      const directory = Buffer.concat([slash, name]);
      mkdirSync(directory);
      writeFileSync(Buffer.concat([directory, Buffer.from("/"), name]), "");
    }
    expect(purge()).toBe(2 * names.length + 2);
    expectGone();
  });

  it("neither opens nor waits for FIFOs and sockets", async () => {
    const { spawnSync } = await import("node:child_process");
    spawnSync("mkfifo", [join(content, "fifo"), join(trash.path, UUID, "label")]);
    const { createServer } = await import("node:net");
    const server = createServer().listen(join(content, "socket"));
    await once(server, "listening");
    purge();
    expectGone();
    server.close();
  });

  it("is interrupted at any step without leaving a descriptor open, and goes on later", () => {
    for (let directory = 0; directory < 20; directory += 1) {
      mkdirSync(join(content, `d${directory}`, "below"), { recursive: true });
      writeFileSync(join(content, `d${directory}`, "file"), "");
    }
    const before = openDescriptors();
    for (let attempt = 0; existsSync(content); attempt += 1) {
      const steps = purgeTree(trash, UUID);
      for (let step = 0; step < 12; step += 1) steps.next();
      steps.return(0);
      expect(openDescriptors()).toBe(before);
      expect(attempt).toBeLessThan(100);
    }
    purge();
    expectGone();
  });

  it("leaves another directory alone that gets the name of the one that is meant", () => {
    writeFileSync(join(content, "file"), "");
    const { ino, birthtimeNs } = lstatSync(join(trash.path, UUID), { bigint: true });
    const steps = purgeTree({ ...trash, only: { ino: String(ino), birthNs: String(birthtimeNs) } }, UUID);
    steps.next();
    renameSync(join(trash.path, UUID), join(root, "away"));
    mkdirSync(join(trash.path, UUID));
    writeFileSync(join(trash.path, UUID, "of others"), "");
    const goOn = () => {
      while (steps.next().done !== true);
    };
    expect(goOn).toThrow(expect.objectContaining({ code: "damaged" }));
    expect(readdirSync(join(root, "away"))).toEqual([]);
    expect(readdirSync(join(trash.path, UUID))).toEqual(["of others"]);
    expect(() => purgeTree({ ...trash, only: { ino: "1", birthNs: "1" } }, UUID).next()).toThrow("another directory");
    expect(readdirSync(join(trash.path, UUID))).toEqual(["of others"]);
  });

  it("does not go on deleting where a directory is moved to while it is deep below it", () => {
    const deep = join(content, ...new Array<string>(80).fill("d"));
    mkdirSync(deep, { recursive: true });
    writeFileSync(join(deep, "file"), "");
    const steps = purgeTree(trash, UUID);
    while (existsSync(join(deep, "file"))) steps.next();
    mkdirSync(join(root, "away"));
    renameSync(join(content, "d"), join(root, "away/d"));
    const goOn = () => {
      while (steps.next().done !== true);
    };
    expect(goOn).toThrow(expect.objectContaining({ code: "in_use" }));
    expect(readdirSync(join(root, "away"))).toEqual(["d"]);
  });

  it("deletes the label first, so that half of a content is not found and taken for a volume", () => {
    writeFileSync(join(trash.path, UUID, "label"), "");
    writeFileSync(join(content, "file"), "");
    const steps = purgeTree(trash, UUID);
    steps.next();
    expect(existsSync(join(trash.path, UUID, "label"))).toBe(false);
    expect(existsSync(join(content, "file"))).toBe(true);
    steps.return(0);
  });

  it("gives up on somebody who keeps making new files, and says so", () => {
    const steps = purgeTree(trash, UUID);
    const refill = () => {
      for (;;) {
        const { done } = steps.next();
        if (done === true) return;
        if (existsSync(content)) writeFileSync(join(content, `file-${performance.now()}`), "");
      }
    };
    expect(refill).toThrow(expect.objectContaining({ code: "in_use", message: expect.stringContaining("new files") }));
  });

  it("opens directories that their owner closed", () => {
    mkdirSync(join(content, "closed", "below"), { recursive: true });
    writeFileSync(join(content, "closed", "below", "file"), "");
    for (const path of ["closed/below", "closed", "."]) chmodSync(join(content, path), 0);
    purge();
    expectGone();
  });
});

describe("purge in its thread", () => {
  let purgers: Purger[];
  beforeEach(() => {
    purgers = [];
  });
  afterEach(() => Promise.all(purgers.map((purger) => purger.close())));

  function start(options?: PurgerOptions): Purger {
    const purger = createPurger(options);
    purgers.push(purger);
    return purger;
  }

  it("rests behind every slice while there is other work, and ends at once without", async () => {
    const asksWhileBusy = 10;
    fill(10_000);
    const askedMs: number[] = [];
    const isBusy = () => askedMs.push(performance.now()) <= asksWhileBusy;
    expect(await start({ isBusy }).purge(trash, UUID)).toEqual({ entries: 10_002 });
    const busy = askedMs.slice(1, asksWhileBusy + 1).map((atMs, index) => atMs - (askedMs[index] ?? atMs));
    expect(busy).toHaveLength(asksWhileBusy);
    expect(Math.min(...busy)).toBeGreaterThan(15);
    expectGone();
  });

  it("takes a main thread that works for other work, and one that waits for none", { timeout: 60_000 }, async () => {
    const purger = start();
    const quietMs = await timed(purger);
    const work = setInterval(spin, 10);
    const busyMs = await timed(purger).finally(() => clearInterval(work));
    expect(busyMs).toBeGreaterThan(2 * quietMs);
  });

  it("is interrupted while it rests, and goes on later", async () => {
    fill(10_000);
    const purger = start({ isBusy: () => true });
    const interruption = new AbortController();
    const interrupted = purger.purge(trash, UUID, interruption.signal);
    await sleep(50);
    interruption.abort();
    await expect(interrupted).rejects.toMatchObject({ code: "unavailable" });
    expect(existsSync(content)).toBe(true);
    await start({ isBusy: () => false }).purge(trash, UUID);
    expectGone();
  });

  it("has the processor and the disk behind others", async () => {
    const before = new Set(threads());
    const purger = start();
    await purger.purge(trash, UUID);
    const lowered = threads().filter((id) => !before.has(id) && niceOf(id) === 10);
    expect(lowered).toHaveLength(1);
    const { execFileSync } = await import("node:child_process");
    const text = execFileSync("/usr/bin/ionice", ["-p", String(lowered[0])], { encoding: "utf8" });
    expect(text.trim()).toBe("best-effort: prio 7");
  });

  async function timed(purger: Purger): Promise<number> {
    fill(10_000);
    const startedMs = performance.now();
    await purger.purge(trash, UUID);
    return performance.now() - startedMs;
  }
});

/** Files in the volume, which is made again when it is gone. */
function fill(count: number): void {
  mkdirSync(content, { recursive: true });
  for (let file = 0; file < count; file += 1) writeFileSync(join(content, `file-${file}`), "");
}

/** Something that takes a main thread some time. */
function spin(): void {
  const endMs = performance.now() + 5;
  while (performance.now() < endMs);
}

function threads(): readonly string[] {
  return readdirSync("/proc/self/task");
}

function niceOf(threadId: string): number {
  const stat = readFileSync(`/proc/self/task/${threadId}/stat`, "utf8");
  return Number(stat.replace(/^.*\) /s, "").split(" ")[16]);
}

describe.runIf(geteuid() === 0)("purge of hostile content, as root", () => {
  it("names what it may not remove, deletes the rest, and is done once it may", async () => {
    const kept = [join(content, "below", "frozen"), join(content, "frozen-directory")] as const;
    mkdirSync(join(content, "below"));
    mkdirSync(kept[1]);
    writeFileSync(kept[0], "");
    fill(100);
    if (!kept.every((path) => setFlags(path, INODE.IMMUTABLE))) return;
    try {
      const { spawnSync } = await import("node:child_process");
      const program = [process.execPath, join(import.meta.dirname, "purge-once-worker.ts"), trash.path, UUID];
      const powerless = ["--bounding-set=-linux_immutable", "--", ...program];
      const { stdout } = spawnSync("setpriv", powerless, { encoding: "utf8" });
      const refusal = JSON.parse(stdout) as { readonly code: string; readonly message: string };
      expect(refusal.code).toBe("unsupported");
      expect(kept.filter((path) => refusal.message.includes(path))).toHaveLength(1);
      expect(readdirSync(content).sort()).toEqual(["below", "frozen-directory"]);
    } finally {
      for (const path of kept) setFlags(path, 0);
    }
    purge();
    expectGone();
  });

  it("deletes more names than it reads at once, of files and directories mixed", () => {
    fill(40_000);
    for (let directory = 0; directory < 500; directory += 1)
      mkdirSync(join(content, `directory-${directory}`, "below"), { recursive: true });
    expect(purge()).toBe(41_002);
    expectGone();
  }, 120_000);

  it.each(["directory", "file"] as const)(
    "stops at a %s that is mounted inside, names it, and leaves it alone",
    (kind) => {
      const place = join(content, "below", "mounted");
      const source = kind === "directory" ? canary : join(canary, "deep", "file");
      mkdirSync(join(content, "below"));
      if (kind === "directory") mkdirSync(place);
      else writeFileSync(place, "");
      mount(source, place, null, MS.BIND);
      try {
        expect(purge).toThrow(expect.objectContaining({ code: "in_use", message: expect.stringContaining(place) }));
        expectCanary();
      } finally {
        umount2(place, UMOUNT.DETACH);
      }
      purge();
      expectGone();
      expectCanary();
    },
  );

  it("stops where the volume itself is a mount", () => {
    const place = join(trash.path, UUID);
    mount(canary, place, null, MS.BIND);
    try {
      expect(purge).toThrow(expect.objectContaining({ code: "in_use" }));
      expectCanary();
    } finally {
      umount2(place, UMOUNT.DETACH);
    }
  });

  it("deletes what is immutable or append-only, directories and files", () => {
    const flagged: string[] = [];
    for (const [name, flag] of Object.entries(INODE)) {
      const directory = join(content, name);
      mkdirSync(join(directory, "empty"), { recursive: true });
      writeFileSync(join(directory, "file"), "");
      for (const path of [join(directory, "file"), join(directory, "empty"), directory]) {
        if (setFlags(path, flag)) flagged.push(path);
      }
    }
    purge();
    expect(flagged.filter(existsSync)).toEqual([]);
    expectGone();
  });

  it("is not led out by a process that swaps directories for symlinks, in 300 races", {
    timeout: 120_000,
  }, async () => {
    const racer = await startRacer();
    let won = 0;
    try {
      for (let round = 0; round < 300; round += 1) {
        makeRaceTrack();
        await racer.race(content);
        for (let attempt = 0; existsSync(join(trash.path, UUID)) && attempt < 100; attempt += 1) purgeOrRefuse();
        won += await racer.result();
        expectGone();
        expect(readdirSync(canary)).toEqual(["deep"]);
        expectCanary();
      }
    } finally {
      racer.stop();
    }
    expect(won).toBeGreaterThan(300);
  });
});

/** `false` where the file system has no such flag. */
function setFlags(path: string, flags: number): boolean {
  const fd = openSync(path, "r");
  try {
    setInodeFlags(fd, flags);
    return true;
  } catch {
    return false;
  } finally {
    closeSync(fd);
  }
}

function makeRaceTrack(): void {
  mkdirSync(join(content, "data", "deep"), { recursive: true });
  for (let file = 0; file < 20; file += 1) writeFileSync(join(content, "data", "deep", `file-${file}`), "");
  symlinkSync(canary, join(content, "link"));
  for (const path of ["data/deep", "data", "."]) chownSync(join(content, path), CONTAINER_UID, CONTAINER_UID);
  for (const path of [root, trash.path, join(trash.path, UUID)]) chmodSync(path, 0o755);
}

/** As the engine would: what was disturbed is tried again. */
function purgeOrRefuse(): void {
  try {
    purge();
  } catch (error) {
    expect(error).toMatchObject({ code: "in_use" });
  }
}

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
    async race(directory: string): Promise<void> {
      child.stdin.write(`${directory}\n`);
      expect(await next()).toBe("racing");
    },
    async result(): Promise<number> {
      return Number(await next());
    },
    stop: () => child.kill("SIGKILL"),
  };
}
