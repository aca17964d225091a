import { expect, test } from "vitest";
import { type DiskWorld, diskContract } from "../contract/disk.ts";
import { diskSizesContract } from "../contract/disk-sizes.ts";
import { volumeOn } from "../support/sample-volume.ts";
import { MemoryDisk } from "./memory-disk.ts";
import { MEMORY_PROJECTS } from "./memory-quota.ts";

async function openWorld(enforcement: "project-quota" | "nothing"): Promise<DiskWorld> {
  const disk = new MemoryDisk({ enforcement });
  return {
    disk,
    purgedNames: 4,
    projects: MEMORY_PROJECTS,
    async restart() {
      disk.crash();
      return disk;
    },
    fill: (uuid) => disk.fill(uuid),
    files: (uuid) => disk.files(uuid),
    write: (uuid, bytes) => disk.write(uuid, bytes),
    settle() {},
    lose: (uuid) => disk.lose(uuid),
    swap: (uuid) => disk.swap(uuid),
    labelledId: (uuid) => disk.label(uuid)?.id,
    spoilLabel: (uuid) => disk.spoilLabel(uuid),
    link: (name) => disk.link(name),
    async dispose() {},
  };
}

for (const by of ["project-quota", "nothing"] as const) {
  diskContract(`memory with ${by}`, () => openWorld(by));
  diskSizesContract(`memory with ${by}`, () => openWorld(by), by);
}

test("a call fails once when it is told to", async () => {
  const disk = new MemoryDisk();
  const [spare] = await disk.take(1);
  if (spare === undefined) throw new Error("No spare");
  disk.failNext("drop", new Error("told to"));
  await expect(disk.drop(volumeOn(spare))).rejects.toThrow("told to");
  await disk.drop(volumeOn(spare));
  expect(disk.examineTrash(spare.uuid).state).toBe("present");
});

test("a power cut takes labels that were not synced", async () => {
  const disk = new MemoryDisk();
  const [synced, unsynced] = await disk.take(2);
  if (synced === undefined || unsynced === undefined) throw new Error("No spares");
  disk.writeLabel(volumeOn(synced));
  await disk.syncLabels([synced.uuid]);
  disk.writeLabel(volumeOn(unsynced));
  disk.powerCut();
  expect([disk.label(synced.uuid)?.id, disk.label(unsynced.uuid)]).toEqual(["db", undefined]);
});
