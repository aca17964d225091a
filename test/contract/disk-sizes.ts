/** What every disk keeps about sizes: run on each way of holding them, and where nothing does. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Volume } from "../../src/domain/records.ts";
import { BYTES_PER_MB, type MilliMb, type ProjectId } from "../../src/domain/units.ts";
import type { Disk, Enforcement } from "../../src/ports/disk.ts";
import { volumeOn } from "../support/sample-volume.ts";
import { type DiskWorld, takeOne } from "./disk.ts";

const MIB = BYTES_PER_MB;
/** What a file system takes for itself in a volume. */
const OVERHEAD_BYTES = 512 * 1024;

export function diskSizesContract(name: string, make: () => Promise<DiskWorld>, by: Enforcement["by"]): void {
  const enforces = by !== "nothing";
  const hasProjects = by === "project-quota";

  describe(`disk contract: sizes: ${name}`, () => {
    let world: DiskWorld;
    let disk: Disk;
    beforeEach(async () => {
      world = await make();
      disk = world.disk;
    });
    afterEach(() => world.dispose());

    async function create(sizeMb: number, rest: Partial<Volume> = {}): Promise<Volume> {
      const spare = await takeOne(disk);
      const projectId = spare.projectId === undefined ? {} : { projectId: spare.projectId };
      const volume = volumeOn(spare, { size: sizeOf(sizeMb), ...projectId, ...rest });
      disk.writeLabel(volume);
      return volume;
    }

    async function createLimited(sizeMb: number): Promise<Volume> {
      const volume = await create(sizeMb);
      disk.limit(volume);
      return volume;
    }

    /** What is counted, once the file system has caught up. */
    function usedBytes(volume: Volume): number | undefined {
      world.settle();
      return disk.usageOf(volume)?.usedBytes;
    }

    test(`says that it is held by ${by}`, () => {
      expect(disk.enforcement).toEqual(
        enforces ? { by } : { by: "nothing", reason: expect.stringMatching(/^[a-z].{10}/) },
      );
    });

    test("measure and enlist refuse a volume whose directory is missing", async () => {
      const volume = await create(8);
      world.lose(volume.uuid);
      await expect(disk.measure(volume)).rejects.toMatchObject({ code: "damaged" });
      await expect(disk.enlist(volume)).rejects.toMatchObject({ code: "damaged" });
    });

    test("measure and enlist are interrupted by their signal", async () => {
      const volume = await createLimited(8);
      const signal = AbortSignal.abort();
      await expect(disk.measure(volume, { signal })).rejects.toMatchObject({ code: "unavailable" });
      await expect(disk.enlist(volume, { signal })).rejects.toMatchObject({ code: "unavailable" });
      expect(disk.looseness(volume)).toBeUndefined();
    });

    test("a directory that is missing is not loose, and takes nothing that is known", async () => {
      const volume = await create(8);
      world.lose(volume.uuid);
      expect([disk.looseness(volume), disk.usageOf(volume)]).toEqual([undefined, undefined]);
    });

    test("limit refuses a volume whose directory is missing, where anything holds", async () => {
      const volume = await create(8);
      world.lose(volume.uuid);
      if (enforces) expect(() => disk.limit(volume)).toThrow(expect.objectContaining({ code: "damaged" }));
      else disk.limit(volume);
    });

    test("copy refuses content that is larger than the copy's size", async () => {
      const [original, copy] = [await createLimited(8), await create(4)];
      world.write(original.uuid, 6 * MIB);
      world.settle();
      const copied = disk.copy(copy, { diskRoot: disk.root, volume: original });
      await expect(copied).rejects.toMatchObject({
        code: "insufficient",
        message: expect.stringMatching(/copy .* as /),
      });
    });

    test("a copy is held to its own size from the beginning, and counted for itself", async () => {
      const [original, copy] = [await createLimited(8), await create(12)];
      world.write(original.uuid, 6 * MIB);
      world.settle();
      const directory = await disk.copy(copy, { diskRoot: disk.root, volume: original });
      const copied = { ...copy, directory };
      if (!enforces) return;
      expect(disk.looseness(copied)).toBeUndefined();
      expect(usedBytes(copied)).toBeGreaterThanOrEqual(6 * MIB);
      expect(world.write(copy.uuid, 4 * MIB)).toBe(true);
      expect(world.write(copy.uuid, 4 * MIB)).toBe(false);
      expect(disk.looseness(original)).toBeUndefined();
      expect(usedBytes(original)).toBeLessThan(7 * MIB + OVERHEAD_BYTES);
    });

    test("a volume is held to its size, by whatever holds it", async () => {
      const volume = await createLimited(8);
      expect(world.write(volume.uuid, 4 * MIB)).toBe(true);
      expect(world.write(volume.uuid, 8 * MIB)).toBe(!enforces);
      expect(world.write(volume.uuid, 8 * MIB)).toBe(!enforces);
    });

    test("one volume's limit is not another's", async () => {
      const [small, large] = [await createLimited(4), await createLimited(16)];
      expect(world.write(small.uuid, 8 * MIB)).toBe(!enforces);
      expect(world.write(large.uuid, 8 * MIB)).toBe(true);
    });

    test("a grown volume takes more, and a shrunk one keeps what it has and takes nothing more", async () => {
      const volume = await createLimited(8);
      expect(world.write(volume.uuid, 6 * MIB)).toBe(true);
      disk.limit({ ...volume, size: sizeOf(16) });
      expect(world.write(volume.uuid, 6 * MIB)).toBe(true);
      disk.limit(volume);
      expect(world.write(volume.uuid, MIB)).toBe(!enforces);
      if (enforces) expect(usedBytes(volume)).toBeGreaterThanOrEqual(12 * MIB);
    });

    test("limit may be repeated", async () => {
      const volume = await createLimited(8);
      disk.limit(volume);
      expect(disk.looseness(volume)).toBeUndefined();
    });

    test("looseness tells a volume that was never limited, or to another size", async () => {
      const volume = await create(8);
      expect(disk.looseness(volume)?.cure).toBe(enforces ? "limit" : undefined);
      disk.limit(volume);
      expect(disk.looseness(volume)).toBeUndefined();
      expect(disk.looseness({ ...volume, size: sizeOf(9) })?.cure).toBe(enforces ? "limit" : undefined);
    });

    test("usageOf tells at once what was written, and nothing where nothing counts", async () => {
      const volume = await createLimited(16);
      const before = usedBytes(volume);
      world.write(volume.uuid, 4 * MIB);
      const after = usedBytes(volume);
      if (!enforces) return expect([before, after]).toEqual([undefined, undefined]);
      expect(before).toBeLessThan(OVERHEAD_BYTES);
      expect(Math.abs((after ?? 0) - 4 * MIB)).toBeLessThan(OVERHEAD_BYTES);
    });

    test("measure tells the same by looking at every file", async () => {
      const volume = await createLimited(16);
      world.write(volume.uuid, 4 * MIB);
      world.settle();
      const { usedBytes: measured, inodes } = await disk.measure(volume);
      expect(Math.abs(measured - 4 * MIB)).toBeLessThan(OVERHEAD_BYTES);
      expect(inodes).toBeGreaterThanOrEqual(1);
      if (hasProjects) expect(disk.usageOf(volume)).toEqual({ usedBytes: measured, inodes });
    });

    test("limit and usage go to trash with a volume, and come back", async () => {
      const volume = await createLimited(8);
      world.write(volume.uuid, 4 * MIB);
      const before = usedBytes(volume);
      await disk.drop(volume);
      expect(usedBytes({ ...volume, phase: "retained" })).toBe(before);
      await disk.restore(volume);
      expect([usedBytes(volume), disk.looseness(volume)]).toEqual([before, undefined]);
      expect(world.write(volume.uuid, 8 * MIB)).toBe(!enforces);
    });

    test("limits outlive a restart, and no new volume gets what an old one has", async () => {
      const volumes = [await createLimited(8), await create(8), await create(8)];
      const [limited, unlabelled] = volumes;
      if (limited === undefined || unlabelled === undefined) throw new Error("No volumes");
      disk = await world.restart();
      disk.claim(volumes);
      await disk.list((uuid) => volumes.some((volume) => volume.uuid === uuid));
      const spares = await disk.take(20);
      const ids = [...spares, ...volumes].map(({ projectId }) => projectId);
      expect(disk.looseness(limited)).toBeUndefined();
      expect(new Set(ids).size).toBe(hasProjects ? ids.length : 1);
    });

    test("newProjectId gives an id once, and none where there are no projects", async () => {
      const taken = await disk.take(3);
      const ids = [disk.newProjectId(), disk.newProjectId(), ...taken.map(({ projectId }) => projectId)];
      expect(new Set(ids).size).toBe(hasProjects ? ids.length : 1);
    });

    test("enlist tells what a volume takes, and leaves it held", async () => {
      const volume = await createLimited(8);
      world.write(volume.uuid, 4 * MIB);
      world.settle();
      const { usedBytes: found, wrong, refused } = await disk.enlist(volume);
      expect(Math.abs(found - 4 * MIB)).toBeLessThan(OVERHEAD_BYTES);
      expect([wrong, refused, disk.looseness(volume)]).toEqual([0, 0, undefined]);
    });

    if (!hasProjects) return;

    describe("with project ids", () => {
      test("limit refuses a volume that is not in its project", async () => {
        const volume = await create(8);
        const { projectId: _, ...without } = volume;
        for (const wrong of [without, { ...volume, projectId: (world.projects.first + 500) as ProjectId }]) {
          expect(() => disk.limit(wrong)).toThrow(expect.objectContaining({ code: "unsupported" }));
          expect(disk.looseness(wrong)?.cure).toBe("enlist");
          expect(disk.usageOf(wrong)).toBeUndefined();
        }
      });

      test("enlist takes a volume that is over its size into its project, and holds it", async () => {
        const { projectId: _, ...volume } = await create(8);
        world.write(volume.uuid, 12 * MIB);
        world.fill(volume.uuid);
        const enlisted: Volume = { ...volume, projectId: disk.newProjectId() as ProjectId };
        const { wrong, refused, inodes } = await disk.enlist(enlisted);
        expect([wrong, refused]).toEqual([inodes, 0]);
        expect(disk.looseness(enlisted)).toBeUndefined();
        expect(usedBytes(enlisted)).toBeGreaterThanOrEqual(12 * MIB);
        expect(world.write(volume.uuid, MIB)).toBe(false);
      });

      test("take refuses more than there are ids, says so, and loses none by that", async () => {
        const count = world.projects.last - world.projects.first + 1;
        await expect(disk.take(count + 1)).rejects.toMatchObject({
          code: "insufficient",
          message: expect.stringContaining(`${world.projects.first} to ${world.projects.last}`),
        });
        await expect.poll(() => disk.take(count).catch(() => []), { timeout: 20_000 }).toHaveLength(count);
        expect(() => disk.newProjectId()).toThrow(expect.objectContaining({ code: "insufficient" }));
      });

      test("a purged volume's id is free again, and a destroyed one's is not", async () => {
        const volumes = await Promise.all([createLimited(8), createLimited(8)]);
        const [kept, purged] = volumes;
        if (kept === undefined || purged === undefined) throw new Error("No volumes");
        world.write(purged.uuid, MIB);
        for (const volume of volumes) await disk.drop(volume);
        await disk.purge(purged.uuid);
        const count = world.projects.last - world.projects.first;
        await expect.poll(() => disk.take(count).catch(() => []), { timeout: 20_000 }).toHaveLength(count);
        await expect(disk.take(1)).rejects.toMatchObject({ code: "insufficient" });
      });

      test("a volume whose directory is missing keeps its id", async () => {
        const volume = await create(8);
        world.lose(volume.uuid);
        disk = await world.restart();
        disk.claim([volume]);
        const spares = await disk.take(100);
        expect(spares.map(({ projectId }) => projectId)).not.toContain(volume.projectId);
      });
    });
  });
}

function sizeOf(mb: number): MilliMb {
  return (mb * 1000) as MilliMb;
}
