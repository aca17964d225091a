/**
 * Content that is made to stop a collection: as deep as it gets, as many names as there are, names of every byte, what
 * blocks who opens it, what may not be deleted, and mounts in it. All of it goes, or is refused with a reason; nothing
 * outside does.
 */
import { execFileSync } from "node:child_process";
import { closeSync, linkSync, mkdirSync, openSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { codeOf } from "../../../src/domain/error.ts";
import { ROOT_DISK } from "../../../src/domain/resource.ts";
import { openDirectoryDisk } from "../../../src/host/directory-disk.ts";
import { INODE, MS, mkdirat, mount, O, openat2, setInodeFlags, UMOUNT, umount2 } from "../../../src/host/syscalls.ts";
import { withDescriptors } from "../../../src/host/walk.ts";
import type { Disk } from "../../../src/ports/disk.ts";
import { createMemoryLog } from "../../auth/memory-log.ts";
import { PLAIN_LABELS } from "../../support/directory-world.ts";
import { volumeOn } from "../../support/sample-volume.ts";
import { Grounds, openDescriptors } from "./grounds.ts";

export interface HostileOptions {
  readonly levels: number;
  readonly entries: number;
}

interface Hostile {
  readonly name: string;
  readonly fill: (content: string, grounds: Grounds) => void;
}

/** While others work: nobody else may be held up for so long. */
const HELD_UP_MS_MAX = 500;
/** Two threads are started. */
const DESCRIPTORS_SLACK = 16;

/** One sentence each of what was not deleted, held others up, or changed something outside. */
export async function tryHostileContent(options: HostileOptions): Promise<readonly string[]> {
  const grounds = new Grounds();
  const violations: string[] = [];
  try {
    const root = join(grounds.base, "disk");
    mkdirSync(root);
    const spares = { min: 1, max: 4 };
    const disk = await openDirectoryDisk({
      root,
      source: ROOT_DISK,
      labels: PLAIN_LABELS,
      log: createMemoryLog(),
      spares,
    });
    try {
      const before = openDescriptors();
      for (const hostile of hostiles(options)) violations.push(...(await tryOne(hostile, disk, grounds)));
      const more = openDescriptors() - before;
      if (more > DESCRIPTORS_SLACK) violations.push(`hostile content: ${more} descriptors are left open`);
      violations.push(...(await tryMounted(disk, grounds)));
    } finally {
      await disk.close();
    }
    const harm = grounds.harmAtTheEnd();
    if (harm !== undefined) violations.push(`hostile content, at the end: ${harm}`);
  } finally {
    grounds.dispose();
  }
  return violations;
}

async function tryOne({ name, fill }: Hostile, disk: Disk, grounds: Grounds): Promise<readonly string[]> {
  const [spare] = await disk.take(1);
  if (spare === undefined) return [`${name}: no volume was made`];
  const volume = volumeOn(spare);
  fill(disk.contentPath(volume), grounds);
  const found: string[] = [];
  let heldUpMs = 0;
  try {
    heldUpMs = await whileWatched(async () => {
      await disk.measure(volume);
      await disk.drop(volume);
      await disk.purge(volume.uuid);
    });
  } catch (error) {
    found.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (disk.examineTrash(volume.uuid).state !== "missing") found.push(`${name}: something of it is left`);
  if (heldUpMs > HELD_UP_MS_MAX) found.push(`${name}: everybody was held up for ${Math.round(heldUpMs)} ms`);
  const harm = grounds.harm();
  if (harm !== undefined) found.push(`${name}: ${harm}`);
  return found;
}

/** The longest time for which nothing else had its turn. */
async function whileWatched(work: () => Promise<void>): Promise<number> {
  let longestMs = 0;
  let lastMs = performance.now();
  const stop = new AbortController();
  const watching = (async () => {
    while (!stop.signal.aborted) {
      await sleep(5);
      longestMs = Math.max(longestMs, performance.now() - lastMs);
      lastMs = performance.now();
    }
  })();
  try {
    await work();
  } finally {
    stop.abort();
    await watching;
  }
  return longestMs;
}

/** What is mounted in a destroyed volume keeps it: nothing of either is touched. */
async function tryMounted(disk: Disk, grounds: Grounds): Promise<readonly string[]> {
  const [spare] = await disk.take(1);
  if (spare === undefined) return ["mounts: no volume was made"];
  const volume = volumeOn(spare);
  const mounted = join(disk.contentPath(volume), "mounted");
  mkdirSync(mounted);
  await disk.drop(volume);
  const place = mounted.replace("/volumes/", "/trash/");
  mount(grounds.victim, place, null, MS.BIND);
  const outcome = await disk.purge(volume.uuid).then(() => "deleted", codeOf);
  const found = outcome === "in_use" ? [] : [`a volume with a mount in it was ${outcome}, not refused`];
  const harm = grounds.harm();
  umount2(place, UMOUNT.NOFOLLOW);
  await disk.purge(volume.uuid);
  return harm === undefined ? found : [...found, `a volume with a mount in it: ${harm}`];
}

function hostiles({ levels, entries }: HostileOptions): readonly Hostile[] {
  return [
    { name: `${levels} levels`, fill: (content) => makeDeep(content, levels) },
    { name: `${entries} entries`, fill: (content) => makeMany(content, entries) },
    { name: "every byte in names", fill: makeNames },
    { name: "FIFOs, sockets, devices, symlinks", fill: makeSpecial },
    { name: "immutable and append-only", fill: makeImmovable },
    { name: "holes and hard links", fill: makeLinked },
  ];
}

function makeDeep(content: string, levels: number): void {
  const name = "d".repeat(50);
  let fd = openSync(content, "r");
  for (let depth = 0; depth < levels; depth += 1) {
    mkdirat(fd, name, 0o755);
    const below = openat2(fd, name, { flags: O.RDONLY | O.DIRECTORY });
    closeSync(fd);
    fd = below;
  }
  closeSync(fd);
}

/** Half of them in one directory. Hard links take no inodes. */
function makeMany(content: string, entries: number): void {
  const script = `
    import { linkSync, mkdirSync, writeFileSync } from "node:fs";
    const [content, entries] = [process.argv[1], Number(process.argv[2])];
    mkdirSync(content + "/flat");
    let file = "";
    for (let entry = 0; entry < entries; entry += 1) {
      const directory = entry % 2 === 0 ? content + "/flat" : content + "/" + (entry % 997);
      if (entry % 2 === 1 && entry < 2 * 997) mkdirSync(directory, { recursive: true });
      const name = directory + "/" + entry;
      if (entry % 50_000 === 0) writeFileSync((file = name), "");
      else linkSync(file, name);
    }`;
  execFileSync(process.execPath, ["--input-type=module", "-e", script, content, String(entries)]);
}

function makeNames(content: string): void {
  const slash = Buffer.from(`${content}/`);
  for (let byte = 1; byte < 256; byte += 1) {
    if (byte === 0x2f) continue;
    for (const name of [Buffer.from([byte, byte, byte]), Buffer.alloc(255, byte), Buffer.from([0x2d, byte])]) {
      const path = Buffer.concat([slash, name]);
      if (byte % 2 === 0) writeFileSync(path, "");
      else mkdirSync(path);
    }
  }
}

function makeSpecial(content: string, { victim }: Grounds): void {
  execFileSync(
    "mkfifo",
    ["fifo", "fifo2"].map((name) => join(content, name)),
  );
  // Nobody serves these: opening one fails or waits.
  execFileSync("mknod", [join(content, "character"), "c", "60", "0"]);
  execFileSync("mknod", [join(content, "block"), "b", "60", "0"]);
  const bind = `require("node:net").createServer().listen(process.argv[1], () => process.kill(process.pid, "SIGKILL"))`;
  try {
    execFileSync(process.execPath, ["-e", bind, join(content, "socket")], { stdio: "ignore" });
  } catch {
    // It was killed, so that its socket stays.
  }
  symlinkSync(victim, join(content, "link"));
  symlinkSync("link", join(content, "loop"));
  symlinkSync("/proc/self/root", join(content, "magic"));
}

function makeImmovable(content: string): void {
  for (const [name, flag] of Object.entries(INODE)) {
    mkdirSync(join(content, name, "below"), { recursive: true });
    writeFileSync(join(content, name, "below", "file"), "");
    for (const path of ["below/file", "below", "."]) {
      withDescriptors((keep) => setInodeFlags(keep(openSync(join(content, name, path), "r")), flag));
    }
  }
}

function makeLinked(content: string): void {
  const file = join(content, "file");
  writeFileSync(file, "");
  truncateSync(file, 2 ** 40);
  for (let link = 0; link < 5_000; link += 1) linkSync(file, join(content, `link-${link}`));
}
