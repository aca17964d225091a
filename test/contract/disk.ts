/** What every disk keeps: the suite is run on the real one and on the fake. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Volume } from "../../src/domain/records.ts";
import type { Incarnation, Role, VolumeId } from "../../src/domain/units.ts";
import type { ProjectIdRange } from "../../src/host/project-quota.ts";
import type { Disk, Spare } from "../../src/ports/disk.ts";
import { volumeOn } from "../support/sample-volume.ts";

/** A disk and what happens to it behind its back. */
export interface DiskWorld {
  readonly disk: Disk;
  /** The daemon is killed and starts again: the disk as it is then. */
  restart(): Promise<Disk>;
  /** A container writes a file. */
  fill(uuid: Incarnation): void;
  /** A container without privileges writes so many bytes more; `false` when the kernel did not let all of them in. */
  write(uuid: Incarnation, bytes: number): boolean;
  /** What was written is on disk, and counted. */
  settle(): void;
  /** What a purge of a labelled volume with one file removes one by one. */
  readonly purgedNames: number;
  /** The ids that the disk has where it has project quotas: about a thousand, which nobody used before. */
  readonly projects: ProjectIdRange;
  /** How many files a container wrote. */
  files(uuid: Incarnation): number;
  /** The directory vanishes. */
  lose(uuid: Incarnation): void;
  /** Another directory is in its place. */
  swap(uuid: Incarnation): void;
  /** The id in the label, `undefined` without one. */
  labelledId(uuid: Incarnation): string | undefined;
  /** What is in the label is no label any more. */
  spoilLabel(uuid: Incarnation): void;
  /** The incarnation that the symlink of this name points to. */
  link(name: Pick<Volume, "role" | "id">): Incarnation | undefined;
  dispose(): Promise<void>;
}

export function diskContract(name: string, make: () => Promise<DiskWorld>): void {
  describe(`disk contract: ${name}`, () => {
    let world: DiskWorld;
    let disk: Disk;
    beforeEach(async () => {
      world = await make();
      disk = world.disk;
    });
    afterEach(() => world.dispose());

    async function create(rest: Partial<Volume> = {}): Promise<Volume> {
      const spare = await takeOne(disk);
      const project = spare.projectId === undefined ? {} : { projectId: spare.projectId };
      const volume = volumeOn(spare, { ...project, ...rest });
      disk.writeLabel(volume);
      return volume;
    }

    test("drop refuses a volume whose directory is missing", async () => {
      const volume = await create();
      world.lose(volume.uuid);
      await expect(disk.drop(volume)).rejects.toMatchObject({ code: "damaged" });
    });

    test("labelRevision knows none for a volume that was never labelled, nor for a label that was spoiled", async () => {
      expect(disk.labelRevision(volumeOn(await takeOne(disk)))).toBeUndefined();
      const volume = await create();
      world.spoilLabel(volume.uuid);
      expect(disk.labelRevision(volume)).toBeUndefined();
    });

    test("labelRevision is what was written last, in trash too", async () => {
      const volume = await create();
      disk.writeLabel({ ...volume, revision: volume.revision + 7 });
      expect(disk.labelRevision(volume)).toBe(volume.revision + 7);
      await disk.drop(volume);
      expect(disk.labelRevision({ ...volume, phase: "retained" })).toBe(volume.revision + 7);
    });

    test("drop refuses another directory in the volume's place, and leaves it", async () => {
      const volume = await create();
      world.swap(volume.uuid);
      await expect(disk.drop(volume)).rejects.toMatchObject({ code: "damaged" });
      expect(disk.examine(volume.uuid).state).toBe("present");
      expect(disk.examineTrash(volume.uuid).state).toBe("missing");
    });

    test("restore refuses a volume that is in neither place", async () => {
      const volume = await create();
      world.lose(volume.uuid);
      await expect(disk.restore(volume)).rejects.toMatchObject({ code: "damaged" });
    });

    test("writeLabel refuses a volume whose directory is missing", async () => {
      const volume = await create();
      world.lose(volume.uuid);
      expect(() => disk.writeLabel(volume)).toThrow(expect.objectContaining({ code: "damaged" }));
    });

    test("take hands out distinct empty directories, however many", async () => {
      const spares = await disk.take(300);
      expect(new Set(spares.map(({ uuid }) => uuid)).size).toBe(300);
      for (const { uuid, directory } of spares) expect(disk.examine(uuid)).toEqual({ state: "present", directory });
    });

    test("take serves many callers at once without giving one directory twice", async () => {
      const taken = await Promise.all(Array.from({ length: 50 }, (_, index) => disk.take(1 + (index % 7))));
      const uuids = taken.flat().map(({ uuid }) => uuid);
      expect(new Set(uuids).size).toBe(uuids.length);
      expect(taken.map(({ length }) => length)).toEqual(Array.from({ length: 50 }, (_, index) => 1 + (index % 7)));
    });

    test("giveBack makes a spare of it again", async () => {
      const spare = await takeOne(disk);
      disk.giveBack([spare]);
      expect((await disk.list(() => false)).volumes).not.toContain(spare.uuid);
    });

    test("a spare that had a label is not handed out again after giveBack", async () => {
      const spare = await takeOne(disk);
      disk.writeLabel(volumeOn(spare));
      disk.giveBack([spare]);
      expect((await disk.take(200)).map(({ uuid }) => uuid)).not.toContain(spare.uuid);
    });

    test("list names volumes and trash, and no spares", async () => {
      const live = await create();
      const dropped = await create({ id: "old" as VolumeId });
      await disk.drop(dropped);
      await disk.take(3);
      expect(await disk.list(() => false)).toEqual({ volumes: [live.uuid], trash: [dropped.uuid] });
    });

    test("drop and restore carry identity, content and label along", async () => {
      const volume = await create();
      world.fill(volume.uuid);
      await disk.drop(volume);
      expect(disk.examine(volume.uuid)).toEqual({ state: "missing" });
      expect(disk.examineTrash(volume.uuid)).toEqual({ state: "present", directory: volume.directory });
      await disk.restore(volume);
      expect(disk.examine(volume.uuid)).toEqual({ state: "present", directory: volume.directory });
      expect(disk.examineTrash(volume.uuid)).toEqual({ state: "missing" });
      expect([world.files(volume.uuid), world.labelledId(volume.uuid)]).toEqual([1, "db"]);
    });

    test("copy refuses an original whose directory is missing, or another one", async () => {
      const [original, copy] = [await create(), await create()];
      world.swap(original.uuid);
      const swapped = disk.copy(copy, { diskRoot: disk.root, volume: original });
      await expect(swapped).rejects.toMatchObject({ code: "damaged" });
      world.lose(original.uuid);
      const missing = disk.copy(copy, { diskRoot: disk.root, volume: original });
      await expect(missing).rejects.toMatchObject({ code: "damaged" });
    });

    test("copy is interrupted by its signal", async () => {
      const [original, copy] = [await create(), await create()];
      world.fill(original.uuid);
      const options = { signal: AbortSignal.abort() };
      const copied = disk.copy(copy, { diskRoot: disk.root, volume: original }, options);
      await expect(copied).rejects.toMatchObject({ code: "unavailable" });
    });

    test("copy fills a volume with what another one has, which keeps it", async () => {
      const [original, copy] = [await create(), await create()];
      world.fill(original.uuid);
      const bytes: number[] = [];
      const from = { diskRoot: disk.root, volume: original };
      const directory = await disk.copy(copy, from, { onBytes: (copied) => bytes.push(copied) });
      expect(disk.examine(copy.uuid)).toEqual({ state: "present", directory });
      expect([world.files(original.uuid), world.files(copy.uuid)]).toEqual([1, 1]);
      await disk.drop({ ...copy, directory });
      expect([world.files(original.uuid), world.files(copy.uuid)]).toEqual([1, 1]);
    });

    test("discardCopy moves what there is to trash, another directory too, and may be repeated", async () => {
      const volume = volumeOn(await takeOne(disk));
      world.fill(volume.uuid);
      world.swap(volume.uuid);
      await disk.discardCopy(volume);
      await disk.discardCopy(volume);
      expect([disk.examine(volume.uuid).state, disk.examineTrash(volume.uuid).state]).toEqual(["missing", "present"]);
      await disk.purge(volume.uuid);
      await disk.discardCopy(volume);
      expect(disk.examineTrash(volume.uuid).state).toBe("missing");
    });

    test("giveToGroup refuses another directory in the volume's place", async () => {
      const volume = await create();
      world.swap(volume.uuid);
      await expect(disk.giveToGroup(volume, process.getgid?.() ?? 0)).rejects.toMatchObject({ code: "damaged" });
    });

    test("giveToGroup may be repeated", async () => {
      const volume = await create();
      world.fill(volume.uuid);
      for (const _ of [1, 2]) await disk.giveToGroup(volume, process.getgid?.() ?? 0);
      expect(world.files(volume.uuid)).toBe(1);
    });

    test("drop and restore may be repeated", async () => {
      const volume = await create();
      await disk.drop(volume);
      await disk.drop(volume);
      expect(disk.examineTrash(volume.uuid).state).toBe("present");
      await disk.restore(volume);
      await disk.restore(volume);
      expect(disk.examine(volume.uuid).state).toBe("present");
    });

    test("purge deletes a destroyed volume, its content and its label, and leaves every other", async () => {
      const [volume, other, live] = [await create(), await create(), await create()];
      world.fill(volume.uuid);
      for (const dropped of [volume, other]) await disk.drop(dropped);
      expect((await disk.purge(volume.uuid)).entries).toBe(world.purgedNames);
      expect(disk.examineTrash(volume.uuid)).toEqual({ state: "missing" });
      expect(world.labelledId(volume.uuid)).toBeUndefined();
      expect([disk.examineTrash(other.uuid).state, disk.examine(live.uuid).state]).toEqual(["present", "present"]);
    });

    test("purge of what is not in trash does nothing, and leaves a live volume", async () => {
      const volume = await create();
      expect(await disk.purge(volume.uuid)).toEqual({ entries: 0 });
      expect(disk.examine(volume.uuid).state).toBe("present");
    });

    test("purge is interrupted by its signal, and is gone on with by the next", async () => {
      const volume = await create();
      world.fill(volume.uuid);
      await disk.drop(volume);
      const interrupted = disk.purge(volume.uuid, { signal: AbortSignal.abort() });
      await expect(interrupted).rejects.toMatchObject({ code: "unavailable" });
      await disk.purge(volume.uuid);
      expect((await disk.list(() => false)).trash).toEqual([]);
    });

    test("a purged volume cannot be restored", async () => {
      const volume = await create();
      await disk.drop(volume);
      await disk.purge(volume.uuid);
      await expect(disk.restore(volume)).rejects.toMatchObject({ code: "damaged" });
    });

    test("the symlink follows the volume", async () => {
      const volume = await create();
      expect(world.link(volume)).toBe(volume.uuid);
      await disk.drop(volume);
      expect(world.link(volume)).toBeUndefined();
      await disk.restore(volume);
      expect(world.link(volume)).toBe(volume.uuid);
    });

    test("drop leaves the symlink of a younger incarnation", async () => {
      const older = await create();
      const younger = await create();
      expect(world.link(younger)).toBe(younger.uuid);
      await disk.drop(older);
      expect(world.link(younger)).toBe(younger.uuid);
    });

    test("roles that look alike do not share symlinks", async () => {
      const nested = await create({ role: "eng/front" as Role });
      const other = await create({ role: "eng" as Role, id: "front" as VolumeId });
      expect([world.link(nested), world.link(other)]).toEqual([nested.uuid, other.uuid]);
    });

    test("writeLabel shows the newest revision, also of a dropped volume", async () => {
      const volume = await create();
      disk.writeLabel({ ...volume, id: "second" as VolumeId, revision: 2 });
      expect(world.labelledId(volume.uuid)).toBe("second");
      await disk.drop(volume);
      disk.writeLabel({ ...volume, id: "third" as VolumeId, phase: "retained", revision: 3 });
      expect(world.labelledId(volume.uuid)).toBe("third");
    });

    test("syncLabels skips what is gone", async () => {
      const volume = await create();
      const lost = await create({ id: "lost" as VolumeId });
      world.lose(lost.uuid);
      await disk.syncLabels([lost.uuid, volume.uuid]);
    });

    test("a restart keeps volumes, and takes unused spares neither for volumes nor for orphans", async () => {
      const volume = await create();
      await disk.take(2);
      const restarted = await world.restart();
      expect(await restarted.list(() => false)).toEqual({ volumes: [volume.uuid], trash: [] });
      const taken = (await restarted.take(200)).map(({ uuid }) => uuid);
      expect(taken).not.toContain(volume.uuid);
    });

    test("after a restart, a volume that lost its label is not taken for a spare if it is known", async () => {
      const unlabelled = await takeOne(disk);
      const restarted = await world.restart();
      expect(restarted.examine(unlabelled.uuid).state).toBe("present");
      expect((await restarted.list((uuid) => uuid === unlabelled.uuid)).volumes).toEqual([]);
      expect((await restarted.take(200)).map(({ uuid }) => uuid)).not.toContain(unlabelled.uuid);
    });

    test("after a restart, a directory with content is no spare even without a label", async () => {
      const unlabelled = await takeOne(disk);
      world.fill(unlabelled.uuid);
      const restarted = await world.restart();
      expect((await restarted.list(() => false)).volumes).toEqual([unlabelled.uuid]);
    });

    test("contentPath says where the content is in each phase", async () => {
      const { uuid } = await create();
      const paths = (["live", "destroying", "retained", "collecting"] as const).map((phase) =>
        disk.contentPath({ uuid, phase }),
      );
      const [live, trash] = [`${disk.root}/volumes/${uuid}/content`, `${disk.root}/trash/${uuid}/content`];
      expect(paths).toEqual([live, live, trash, trash]);
    });

    test("usage is of the file system, and sane", async () => {
      const { totalBytes, freeBytes } = await disk.usage();
      expect(totalBytes).toBeGreaterThan(0);
      expect(freeBytes).toBeLessThanOrEqual(totalBytes);
    });
  });
}

export async function takeOne(disk: Disk): Promise<Spare> {
  const [spare] = await disk.take(1);
  if (spare === undefined) throw new Error("No spare was handed out");
  return spare;
}
