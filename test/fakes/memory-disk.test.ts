import { expect, test } from "vitest";
import { type DiskWorld, diskContract } from "../contract/disk.ts";
import { volumeOn } from "../support/sample-volume.ts";
import { MemoryDisk } from "./memory-disk.ts";

diskContract("memory", async (): Promise<DiskWorld> => {
  const disk = new MemoryDisk();
  return {
    disk,
    async restart() {
      disk.crash();
      return disk;
    },
    fill: (uuid) => disk.fill(uuid),
    files: (uuid) => disk.files(uuid),
    lose: (uuid) => disk.lose(uuid),
    swap: (uuid) => disk.swap(uuid),
    labelledId: (uuid) => disk.label(uuid)?.id,
    link: (name) => disk.link(name),
    async dispose() {},
  };
});

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
