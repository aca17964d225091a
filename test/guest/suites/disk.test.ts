/** The disk on ext4 and XFS with project quotas, and on btrfs of an older kernel. Runs in the guest. */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Volume } from "../../../src/domain/records.ts";
import { ROOT_DISK } from "../../../src/domain/resource.ts";
import type { MilliMb, ProjectId } from "../../../src/domain/units.ts";
import { openDirectoryDisk } from "../../../src/host/directory-disk.ts";
import { usageOfProject } from "../../../src/host/project-quota.ts";
import { getProject, setProject } from "../../../src/host/syscalls-quota.ts";
import type { Disk } from "../../../src/ports/disk.ts";
import { createMemoryLog } from "../../auth/memory-log.ts";
import { diskContract, takeOne } from "../../contract/disk.ts";
import { diskSizesContract } from "../../contract/disk-sizes.ts";
import { appendAsContainer, openDirectoryWorld, PLAIN_LABELS } from "../../support/directory-world.ts";
import { volumeOn } from "../../support/sample-volume.ts";
import { withOpen } from "../../support/with-open.ts";

const { HOLDFAST_GUEST_EXT4: EXT4 = "", HOLDFAST_GUEST_XFS: XFS = "", HOLDFAST_GUEST_BTRFS: BTRFS = "" } = process.env;
const PROJECTS = { first: 1_000_000, last: 1_000_999 };
const MIB = 1024 * 1024;

describe.runIf(EXT4 !== "").each([
  { type: "ext4", mountPoint: EXT4, by: "project-quota", purgedNames: 4 },
  { type: "xfs", mountPoint: XFS, by: "project-quota", purgedNames: 4 },
  { type: "btrfs", mountPoint: BTRFS, by: "qgroup", purgedNames: 3 },
] as const)("DirectoryDisk on $type", ({ type, mountPoint, by, purgedNames }) => {
  let root: string;
  beforeEach(() => {
    root = mkdtempSync(join(mountPoint, "disk-"));
  });
  afterEach(() => rmSync(root, { recursive: true }));

  const openWorld = () => openDirectoryWorld({ root, purgedNames });
  // The rest of it on btrfs is a matter of the host.
  if (type !== "btrfs") diskContract(type, openWorld);
  diskSizesContract(type, openWorld, by);

  test("tells its UUID as the superblock has it", async () => {
    const device = execFileSync("findmnt", ["-n", "-o", "SOURCE", mountPoint], { encoding: "utf8" }).trim();
    const uuid = execFileSync("blkid", ["-o", "value", "-s", "UUID", device], { encoding: "utf8" }).trim();
    const world = await openWorld();
    expect(world.disk.fileSystem).toEqual({ type, uuid });
    await world.dispose();
  });
});

describe.runIf(EXT4 !== "").each([
  { type: "ext4", mountPoint: EXT4 },
  { type: "xfs", mountPoint: XFS },
] as const)("DirectoryDisk with project quotas on $type", ({ mountPoint }) => {
  let root: string;
  let opened: Disk[];
  let log = createMemoryLog();

  beforeEach(() => {
    root = mkdtempSync(join(mountPoint, "disk-"));
    opened = [];
    log = createMemoryLog();
  });
  afterEach(async () => {
    for (const disk of opened) await disk.close();
    rmSync(root, { recursive: true });
  });

  async function open(projectRange = PROJECTS, spares = { min: 0, max: 0 }): Promise<Disk> {
    const disk = await openDirectoryDisk({ root, source: ROOT_DISK, labels: PLAIN_LABELS, log, spares, projectRange });
    opened.push(disk);
    return disk;
  }

  async function create(disk: Disk, sizeMb: number): Promise<Volume & { readonly projectId: ProjectId }> {
    const spare = await takeOne(disk);
    const { projectId } = spare;
    if (projectId === undefined) throw new Error("The spare has no project id");
    const volume = { ...volumeOn(spare), size: (sizeMb * 1000) as MilliMb, projectId };
    disk.writeLabel(volume);
    disk.limit(volume);
    return volume;
  }

  const countedFor = (id: number) => withOpen(root, (fd) => usageOfProject(fd, id));

  test("a container that leaves its project is told, and taken back", async () => {
    const disk = await open();
    const volume = await create(disk, 16);
    const content = disk.contentPath(volume);
    mkdirSync(`${content}/free`);
    withOpen(`${content}/free`, (fd) => setProject(fd, { id: 0, inherit: false }));
    expect(appendAsContainer(`${content}/free/large`, 32 * MIB)).toBe(true);
    expect(await disk.enlist(volume)).toMatchObject({ wrong: 2, refused: 0, inodes: 3 });
    expect(appendAsContainer(`${content}/free/large`, MIB)).toBe(false);
    withOpen(content, (fd) => setProject(fd, { id: volume.projectId, inherit: false }));
    expect(disk.looseness(volume)).toMatchObject({ cure: "enlist" });
    await disk.enlist(volume);
    expect(disk.looseness(volume)).toBeUndefined();
  });

  test("a walk through a full volume leaves its limit where it is", async () => {
    const disk = await open();
    const volume = await create(disk, 16);
    const content = disk.contentPath(volume);
    execFileSync("sh", ["-c", 'seq 1000 | (cd "$0" && xargs touch)', content]);
    expect(appendAsContainer(`${content}/large`, 32 * MIB)).toBe(false);
    const seen = new Set<number | undefined>();
    const enlisting = disk.enlist(volume).finally(() => clearInterval(looking));
    const looking = setInterval(() => seen.add(countedFor(volume.projectId).limitBytes), 1);
    expect(await enlisting).toMatchObject({ wrong: 0, refused: 0 });
    expect([...seen]).toEqual([16 * MIB]);
  });

  test("a walk that is interrupted leaves the volume held to its newest size", async () => {
    const disk = await open();
    const volume = await create(disk, 16);
    const content = disk.contentPath(volume);
    execFileSync("sh", ["-c", 'seq 3000 | (cd "$0" && xargs touch)', content]);
    const interruption = new AbortController();
    const enlisting = disk.enlist(volume, { signal: interruption.signal });
    await new Promise((resolve) => setTimeout(resolve, 20));
    const grown = { ...volume, size: 24_000 as MilliMb };
    disk.limit(grown);
    interruption.abort();
    await expect(enlisting).rejects.toMatchObject({ code: "unavailable" });
    expect(disk.looseness(grown)).toBeUndefined();
    expect(countedFor(volume.projectId).limitBytes).toBe(24 * MIB);
  });

  test("five hundred small files are counted, and gone from the books with their volume", async () => {
    const disk = await open();
    const volume = await create(disk, 512);
    const content = disk.contentPath(volume);
    execFileSync("sh", ["-c", 'seq 500 | (cd "$0" && xargs touch)', content]);
    expect(disk.usageOf(volume)?.inodes).toBe(501);
    expect((await disk.measure(volume)).inodes).toBe(501);
    await disk.drop(volume);
    expect(disk.usageOf({ ...volume, phase: "retained" })?.inodes).toBe(501);
    await disk.purge(volume.uuid);
    await expect
      .poll(() => countedFor(volume.projectId), { timeout: 20_000 })
      .toEqual({ usedBytes: 0, inodes: 0, limitBytes: undefined });
  });

  test("a volume that grows and shrinks while somebody writes is never over the larger size", async () => {
    const disk = await open();
    const volume = await create(disk, 16);
    for (let round = 0; round < 8; round += 1) {
      disk.limit({ ...volume, size: (round % 2 === 0 ? 24_000 : 16_000) as MilliMb });
      appendAsContainer(`${disk.contentPath(volume)}/file-${round}`, 4 * MIB);
    }
    const { usedBytes } = countedFor(volume.projectId);
    expect(usedBytes).toBeGreaterThan(15 * MIB);
    expect(usedBytes).toBeLessThanOrEqual(24 * MIB);
  });

  test("the pool takes half of few ids, and says once that there are none", async () => {
    const disk = await open({ first: 3_000_000, last: 3_000_019 }, { min: 64, max: 64 });
    await disk.list(() => false);
    await expect.poll(() => readdirSync(`${root}/volumes`).length).toBe(11);
    for (let index = 0; index < 20; index += 1) await create(disk, 1);
    for (let index = 0; index < 3; index += 1) {
      await expect(disk.take(1)).rejects.toMatchObject({ code: "insufficient" });
    }
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(log.lines.filter(({ level }) => level === "warn").length).toBeLessThanOrEqual(1);
  });

  test("a spare of an earlier process is one again with its id, and not with one that is taken", async () => {
    const disk = await open();
    const [kept, known, foreign, bare] = await disk.take(4);
    if (kept === undefined || known?.projectId === undefined || foreign === undefined || bare === undefined) {
      throw new Error("No spares");
    }
    const contentOf = (uuid: string) => `${root}/volumes/${uuid}/content`;
    withOpen(contentOf(foreign.uuid), (fd) => setProject(fd, { id: 77, inherit: true }));
    withOpen(contentOf(bare.uuid), (fd) => setProject(fd, { id: 0, inherit: false }));
    const again = await open(PROJECTS, { min: 0, max: 16 });
    const book = { ...volumeOn(kept), uuid: "00000000-0000-4000-8000-000000000001" as Volume["uuid"] };
    again.claim([{ ...book, projectId: known.projectId }]);
    expect(await again.list(() => false)).toEqual({ volumes: [], trash: [] });
    expect(readdirSync(`${root}/volumes`).toSorted()).toEqual([kept.uuid, "roles"].toSorted());
    expect(await again.take(1)).toEqual([kept]);
    expect(withOpen(contentOf(kept.uuid), getProject)).toEqual({ id: kept.projectId, inherit: true });
  });

  test("labels, drop, restore and purge of a volume that is over its size work", async () => {
    const disk = await open();
    const volume = await create(disk, 8);
    expect(appendAsContainer(`${disk.contentPath(volume)}/file`, 16 * MIB)).toBe(false);
    disk.writeLabel({ ...volume, revision: 2 });
    await disk.syncLabels([volume.uuid]);
    await disk.drop(volume);
    await disk.restore(volume);
    await disk.drop(volume);
    await disk.purge(volume.uuid);
    expect(readdirSync(`${root}/trash`)).toEqual([]);
  });

  test("what create pays for a limit", async () => {
    const disk = await open(PROJECTS, { min: 256, max: 256 });
    const volumes = await Promise.all(Array.from({ length: 100 }, () => create(disk, 8)));
    const measured = { limit: 0, looseness: 0, usageOf: 0 };
    for (const call of ["limit", "looseness", "usageOf"] as const) {
      const startMs = performance.now();
      for (let round = 0; round < 10; round += 1) for (const volume of volumes) disk[call](volume);
      measured[call] = Math.round((performance.now() - startMs) * 1000) / 1000;
    }
    console.log(`µs each, in an emulated machine: ${JSON.stringify(measured)}`);
    expect(disk.looseness(volumes[0] as Volume)).toBeUndefined();
  });
});
