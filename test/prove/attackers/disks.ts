/** Create, measure, enlist, adopt and collect under attack: the disk and what lies in it are exchanged. */
import { chmodSync, closeSync, existsSync, lstatSync, mkdirSync, openSync, readdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import type { Volume } from "../../../src/domain/records.ts";
import { ROOT_DISK } from "../../../src/domain/resource.ts";
import { createCensus } from "../../../src/host/census.ts";
import { openDirectoryDisk } from "../../../src/host/directory-disk.ts";
import type { Disk } from "../../../src/ports/disk.ts";
import { createMemoryLog } from "../../auth/memory-log.ts";
import { PLAIN_LABELS } from "../../support/directory-world.ts";
import type { Exchange } from "../../support/exchanger.ts";
import { volumeOn } from "../../support/sample-volume.ts";
import type { Grounds } from "./grounds.ts";
import { doneUnless, doPersistently, type Scene, type SceneKind } from "./scene.ts";

export const DISK_SCENES: readonly SceneKind[] = [
  { name: "create, destroy and restore, the disk exchanged", operations: ["create"], xfs: true, start: created },
  { name: "collect, the content exchanged", operations: ["collect"], xfs: true, start: collected },
  { name: "measure, the content exchanged", operations: ["measure"], start: counted },
  { name: "enlist, the content exchanged", operations: ["enlist"], xfs: true, start: enlisted },
  { name: "adopt, the directory and the one above it exchanged", operations: ["adopt"], xfs: true, start: adopted },
];

function openDisk(root: string): Promise<Disk> {
  const spares = { min: 8, max: 16 };
  return openDirectoryDisk({ root, source: ROOT_DISK, labels: PLAIN_LABELS, log: createMemoryLog(), spares });
}

/** The attackers own what the disk lies in. */
async function created(grounds: Grounds): Promise<Scene> {
  const root = join(grounds.yard, "disk");
  mkdirSync(root);
  const disk = await openDisk(root);
  grounds.protect("volumes", "volumes/roles", "trash");
  symlinkSync(grounds.victim, join(grounds.yard, "other"));
  const fd = openSync(root, "r");
  const has = (path: string): boolean => existsSync(`/proc/self/fd/${fd}/${path}`);
  return {
    exchanges: [{ directory: grounds.yard, names: ["disk", "other"] }],
    async round() {
      const [spare] = await disk.take(1);
      if (spare === undefined) throw new Error("no volume was made");
      const volume = volumeOn(spare);
      disk.writeLabel(volume);
      await disk.syncLabels([spare.uuid]);
      if (!has(`volumes/${spare.uuid}/label`)) throw new Error(`volume ${spare.uuid} was not made on its disk`);
      await disk.drop(volume);
      await disk.restore(volume);
      if (!has(`volumes/${spare.uuid}/content`)) throw new Error(`volume ${spare.uuid} did not come back to its disk`);
      await disk.drop(volume);
      await disk.purge(spare.uuid);
      if (has(`trash/${spare.uuid}`)) throw new Error(`volume ${spare.uuid} was not deleted from its disk`);
      return [{ operation: "create", done: true }];
    },
    async end() {
      closeSync(fd);
      await disk.close();
    },
  };
}

/** A directory and a symlink at two levels change places while the tree is deleted. */
async function collected(grounds: Grounds): Promise<Scene> {
  const root = join(grounds.base, "disk");
  mkdirSync(root);
  const disk = await openDisk(root);
  // A container comes in by its mount; the attacker comes in here.
  for (const path of [root, join(root, "volumes")]) chmodSync(path, 0o755);
  return {
    exchanges: [],
    async round(race) {
      const volume = await makeVolume(disk, grounds);
      const content = disk.contentPath(volume);
      await race(pairsIn(content));
      await doPersistently(["in_use"], () => disk.drop(volume));
      await doPersistently(["in_use"], () => disk.purge(volume.uuid));
      if (readdirSync(join(root, "trash")).length > 0) throw new Error(`something of ${volume.uuid} is left in trash`);
      return [{ operation: "collect", done: true }];
    },
    end: () => disk.close(),
  };
}

async function makeVolume(disk: Disk, grounds: Grounds): Promise<Volume> {
  const [spare] = await disk.take(1);
  if (spare === undefined) throw new Error("no volume was made");
  const volume = volumeOn(spare);
  const content = disk.contentPath(volume);
  chmodSync(join(content, ".."), 0o755);
  grounds.fill(content);
  return volume;
}

function pairsIn(directory: string): readonly Exchange[] {
  return [
    { directory, names: ["data", "link"] },
    { directory: join(directory, "data"), names: ["data", "link"] },
  ];
}

async function counted(grounds: Grounds): Promise<Scene> {
  const content = grounds.directory("content");
  grounds.fill(content);
  const census = createCensus({ share: 1 });
  const parent = { fd: openSync(grounds.yard, "r"), path: grounds.yard };
  // The top, `data`, `data/deep` and 12 files, `data/data` and two symlinks; a directory may be missed or met twice.
  const most = 2 * 19;
  return {
    exchanges: pairsIn(content),
    async round() {
      const { inodes = 0 } = await census.measure(parent, "content");
      if (inodes > most) throw new Error(`${inodes} files were counted of 18`);
      return [{ operation: "measure", done: true }];
    },
    async end() {
      closeSync(parent.fd);
      await census.close();
    },
  };
}

const PROJECT = { id: 2_000_001 };

async function enlisted(grounds: Grounds): Promise<Scene> {
  const content = grounds.directory("content");
  const census = createCensus({ share: 1 });
  const parent = { fd: openSync(grounds.yard, "r"), path: grounds.yard };
  // What is made then is made in the project: a symlink of none could not be renamed there.
  await census.enlist(parent, "content", PROJECT);
  grounds.fill(content);
  return {
    exchanges: pairsIn(content),
    async round() {
      await census.enlist(parent, "content", PROJECT);
      return [{ operation: "enlist", done: true }];
    },
    async end() {
      closeSync(parent.fd);
      await census.close();
    },
  };
}

async function adopted(grounds: Grounds): Promise<Scene> {
  const root = join(grounds.base, "disk");
  mkdirSync(root);
  const disk = await openDisk(root);
  const srv = grounds.directory("srv");
  grounds.fill(grounds.directory("srv", "db"));
  grounds.protect("db");
  symlinkSync(grounds.victim, join(srv, "other"));
  symlinkSync(grounds.victim, join(grounds.yard, "other"));
  const path = join(srv, "db");
  const { ino } = lstatSync(path);
  return {
    exchanges: [
      { directory: grounds.yard, names: ["srv", "other"] },
      { directory: srv, names: ["db", "other"] },
    ],
    async round() {
      const volume = await doneUnless(["invalid", "conflict"], async () => {
        const seen = disk.examineForeign(path);
        if (seen === undefined) throw new Error("it would have to be copied");
        const wanted = volumeOn({ ...seen }, { origin: path });
        await disk.adopt(wanted);
        return wanted;
      });
      if (volume === undefined) return [{ operation: "adopt", done: false }];
      const content = disk.contentPath(volume);
      if (lstatSync(content).ino !== ino) throw new Error(`${content} is not what was to be adopted`);
      await doPersistently(["conflict"], () => disk.unadopt(volume));
      return [{ operation: "adopt", done: true }];
    },
    end: () => disk.close(),
  };
}
