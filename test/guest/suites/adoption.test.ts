/** Directories become volumes on file systems that hold volumes to their sizes. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Volume } from "../../../src/domain/records.ts";
import { ROOT_DISK } from "../../../src/domain/resource.ts";
import type { MilliMb } from "../../../src/domain/units.ts";
import { openDirectoryDisk } from "../../../src/host/directory-disk.ts";
import type { Disk } from "../../../src/ports/disk.ts";
import { createMemoryLog } from "../../auth/memory-log.ts";
import { PLAIN_LABELS } from "../../support/directory-world.ts";
import { volumeOn } from "../../support/sample-volume.ts";

const { HOLDFAST_GUEST_EXT4: EXT4 = "", HOLDFAST_GUEST_XFS: XFS = "", HOLDFAST_GUEST_BTRFS: BTRFS = "" } = process.env;

const MB = 2 ** 20;

describe.runIf(EXT4 !== "").each([
  ["ext4", EXT4],
  ["xfs", XFS],
  ["btrfs", BTRFS],
])("adoption on %s", (type, mountPoint) => {
  let base: string;
  let disk: Disk;
  beforeEach(async () => {
    base = mkdtempSync(`${mountPoint}/adoption-`);
    mkdirSync(`${base}/root`);
    mkdirSync(`${base}/srv/db/below`, { recursive: true });
    writeFileSync(`${base}/srv/db/below/file`, Buffer.alloc(MB, 1));
    disk = await openDirectoryDisk({
      root: `${base}/root`,
      source: ROOT_DISK,
      labels: PLAIN_LABELS,
      log: createMemoryLog(),
      spares: { min: 2, max: 4 },
    });
  });
  afterEach(async () => {
    await disk.close();
    rmSync(base, { recursive: true });
  });

  async function adopt(): Promise<Volume> {
    const found = disk.examineForeign(`${base}/srv/db`);
    if (found === undefined) throw new Error("It would have to be copied");
    const { usedBytes } = await disk.measureForeign(`${base}/srv/db`);
    expect(usedBytes).toBeGreaterThanOrEqual(MB);
    const volume = volumeOn(found, { origin: `${base}/srv/db`, size: 8_000 as MilliMb });
    await disk.adopt(volume);
    expect(disk.examine(volume.uuid)).toEqual({ state: "present", directory: volume.directory });
    return volume;
  }

  test("can be taken back", async () => {
    const volume = await adopt();
    await disk.unadopt(volume);
    expect(readFileSync(`${base}/srv/db/below/file`).length).toBe(MB);
    expect(disk.examine(volume.uuid).state).toBe("missing");
  });

  test.runIf(type !== "btrfs")("is held to its size once its files are enlisted", async () => {
    const { origin: _, ...adopted } = await adopt();
    expect(disk.looseness(adopted)).toMatchObject({ cure: "enlist" });
    const projectId = disk.newProjectId();
    if (projectId === undefined) throw new Error("No project quotas");
    const volume = { ...adopted, projectId };
    expect((await disk.enlist(volume)).wrong).toBe(3);
    disk.limit(volume);
    expect(disk.looseness(volume)).toBeUndefined();
    expect(disk.usageOf(volume)?.usedBytes).toBeGreaterThanOrEqual(MB);
    await disk.drop(volume);
  });

  test.runIf(type === "btrfs")("stays a plain directory, and is shown not to be held to its size", async () => {
    const { origin: _, ...volume } = await adopt();
    expect(disk.looseness(volume)?.reason).toBeDefined();
    await disk.drop(volume);
    expect((await disk.purge(volume.uuid)).entries).toBeGreaterThan(0);
  });
});
