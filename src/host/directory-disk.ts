/**
 * The disk as plain directories:
 *
 *   <root>/label                       the disk's own label
 *   <root>/volumes/<uuid>/content      a volume, or a spare: a spare has no label and nothing in it
 *   <root>/volumes/<uuid>/label
 *   <root>/volumes/roles/<role>/<id>   symlink to the content
 *   <root>/trash/<uuid>/               a destroyed volume, label and content
 *
 * `volumes` and `trash` are opened once; everything happens relative to them, through no symlink and into no other
 * mount. What was left of the pool by an earlier process looks like a spare and is used as one, unless somebody names
 * it first: so every volume that is known must be examined before the first `take`.
 */
import { randomUUID } from "node:crypto";
import { promises } from "node:fs";
import { HoldfastError } from "../domain/error.ts";
import { sameDirectory, type Volume } from "../domain/records.ts";
import type { DiskSource } from "../domain/resource.ts";
import type { Incarnation } from "../domain/units.ts";
import type { Disk, DiskUsage, Finding, NodeLabel, Spare } from "../ports/disk.ts";
import type { LabelCodec } from "../ports/labels.ts";
import type { Log } from "../ports/log.ts";
import { diskError, errnoOf } from "./disk-error.ts";
import { type DiskPlaces, openDiskPlaces, type Place } from "./disk-places.ts";
import { inSlices, shared, syncAt, syncEach } from "./durable.ts";
import { describeFileSystem, type FileSystem, keepsOrder, syncsNames } from "./file-system.ts";
import {
  contentOf,
  examineContent,
  examineIncarnation,
  findUnused,
  isIncarnation,
  makeIncarnation,
  removeHalfMade,
  removeUnused,
  SCOPE,
} from "./incarnation.ts";
import { type LabelFiles, NEW_LINK, openLabelFiles } from "./label-files.ts";
import { createPurger } from "./purge.ts";
import { createLabelling, type SelinuxOptions } from "./selinux-content.ts";
import { replaceFileDurably } from "./small-files.ts";
import { SparePool } from "./spare-pool.ts";
import { isErrno, RENAME, renameat2 } from "./syscalls.ts";

export interface DirectoryDiskOptions {
  /** Absolute path of an existing directory. */
  readonly root: string;
  readonly source: DiskSource;
  readonly labels: Pick<LabelCodec, "encodeVolume" | "encodeNode">;
  readonly log: Log;
  /** The least and the most spares to keep ready. */
  readonly spares?: { readonly min: number; readonly max: number };
  /** For the content of new volumes. */
  readonly selinux?: SelinuxOptions | undefined;
}

const DEFAULT_SPARES = { min: 1024, max: 2048 };
/** So many spares are given up at a time when a full disk has no room for what must not fail. */
const SPARES_GIVEN_UP = 8;
const LABEL = "label";
/** Names beside the incarnations that are ours. */
const OUR_NAMES: readonly string[] = ["roles", NEW_LINK];

/**
 * Opens a disk and makes its directories.
 * @throws `invalid` the root is no directory
 * @throws `conflict` something else than a directory of ours is where one belongs
 */
export async function openDirectoryDisk(options: DirectoryDiskOptions): Promise<Disk> {
  const places = await openDiskPlaces(options.root);
  try {
    const fileSystem = describeFileSystem(places.volumes.fd);
    const durability = durabilityOn(places.volumes.fd, fileSystem.type);
    return new DirectoryDisk(options, places, { fileSystem, durability });
  } catch (error) {
    places.close();
    throw diskError(`Cannot open disk ${options.root}`, error);
  }
}

interface Found {
  readonly fileSystem: FileSystem;
  readonly durability: Durability;
}

class DirectoryDisk implements Disk {
  readonly source: DiskSource;
  readonly root: string;
  readonly fileSystem: FileSystem;
  readonly #places: DiskPlaces;
  readonly #labels: LabelFiles;
  readonly #pool: SparePool;
  readonly #purger = createPurger();
  readonly #log: Log;
  readonly #encodeNode: LabelCodec["encodeNode"];
  readonly #durability: Durability;
  readonly #giveSelinuxLabel: (spare: Spare) => void;
  readonly #strangers = new Set<string>();
  #nodeLabel: NodeLabel | undefined;

  constructor(options: DirectoryDiskOptions, places: DiskPlaces, found: Found) {
    const { root, source, log } = options;
    const { volumes, trash, roles } = places;
    this.source = source;
    this.root = root;
    this.fileSystem = found.fileSystem;
    this.#durability = found.durability;
    this.#places = places;
    this.#log = log;
    this.#encodeNode = options.labels.encodeNode;
    this.#giveSelinuxLabel = createLabelling({ root, volumesFd: volumes.fd, log }, options.selinux);
    this.#labels = openLabelFiles(
      {
        volumesFd: volumes.fd,
        trashFd: trash.fd,
        rolesFd: roles.fd,
        syncsNames: syncsNames(found.fileSystem.type),
      },
      options.labels,
      log,
    );
    this.#pool = new SparePool({
      ...(options.spares ?? DEFAULT_SPARES),
      make: () => this.#makeSpare(),
      sync: (spares) => this.#durability.syncSpares(volumes, spares),
      discard: (spare) => removeUnused(volumes.fd, spare.uuid),
      onRefillFailure: (error) => log.warn({ root, err: error }, "Spare directories cannot be made"),
    });
  }

  async take(count: number): Promise<readonly Spare[]> {
    try {
      return await this.#pool.take(count);
    } catch (error) {
      throw diskError(`Cannot make ${count} volume directories on ${this.root}`, error);
    }
  }

  #makeSpare(): Spare {
    const { fd } = this.#places.volumes;
    const spare = makeIncarnation(fd, randomUUID() as Incarnation);
    try {
      this.#giveSelinuxLabel(spare);
      return spare;
    } catch (error) {
      removeUnused(fd, spare.uuid);
      throw error;
    }
  }

  giveBack(spares: readonly Spare[]): void {
    for (const spare of spares) {
      if (this.#pool.has(spare.uuid)) this.#pool.add([spare]);
      else this.#discardLabelled(spare);
    }
  }

  /** What has had a label may still have a symlink: no other volume gets this directory. */
  #discardLabelled(spare: Spare): void {
    this.#labels.remove(spare.uuid);
    removeUnused(this.#places.volumes.fd, spare.uuid);
  }

  writeLabel(volume: Volume): void {
    try {
      this.#makingRoom(() => this.#labels.write(volume));
    } catch (error) {
      throw diskError(`Cannot label volume ${nameOf(volume)}`, error);
    }
    this.#pool.claim(volume.uuid);
  }

  async syncLabels(uuids: readonly Incarnation[]): Promise<void> {
    try {
      await this.#labels.sync(uuids);
    } catch (error) {
      throw diskError(`Cannot make labels durable on ${this.root}`, error);
    }
  }

  async writeNodeLabel(label: NodeLabel): Promise<void> {
    this.#nodeLabel = label;
    try {
      await this.#storeNodeLabel();
    } catch (error) {
      throw diskError(`Cannot write the label of disk ${this.root}`, error);
    }
  }

  /** The last label given stands for those before it. */
  readonly #storeNodeLabel = shared(async () => {
    if (this.#nodeLabel === undefined) return;
    await replaceFileDurably(this.#places.root.fd, LABEL, this.#encodeNode(this.#nodeLabel));
  });

  examine(uuid: Incarnation): Finding {
    this.#pool.claim(uuid);
    return examineContent(this.#places.volumes, uuid);
  }

  examineTrash(uuid: Incarnation): Finding {
    return examineContent(this.#places.trash, uuid);
  }

  async list(
    isKnown: (uuid: Incarnation) => boolean,
  ): Promise<{ readonly volumes: readonly Incarnation[]; readonly trash: readonly Incarnation[] }> {
    const [volumes, trash] = await Promise.all([
      this.#incarnations(this.#places.volumes),
      this.#incarnations(this.#places.trash),
    ]);
    const strange = volumes.filter((uuid) => !this.#pool.has(uuid) && !isKnown(uuid));
    const leftovers = await this.#takeLeftovers(strange, isKnown);
    return { volumes: strange.filter((uuid) => !leftovers.has(uuid)), trash: trash.filter((uuid) => !isKnown(uuid)) };
  }

  /** What an earlier process left of its pool goes into ours; nobody knows whether it was synced. */
  async #takeLeftovers(
    uuids: readonly Incarnation[],
    isKnown: (uuid: Incarnation) => boolean,
  ): Promise<ReadonlySet<Incarnation>> {
    const { volumes } = this.#places;
    const found: Spare[] = [];
    const halfMade: Incarnation[] = [];
    await inSlices(uuids, (uuid) => {
      // Asked again, for it may have become a volume while others were looked at.
      if (isKnown(uuid) || this.#pool.has(uuid)) return;
      const spare = findUnused(volumes.fd, uuid);
      if (spare !== undefined) found.push(spare);
      else if (removeHalfMade(volumes.fd, uuid)) halfMade.push(uuid);
    });
    const kept = found.slice(0, this.#pool.room).filter((spare) => this.#isRelabelled(spare));
    const keptOnes = new Set(kept);
    for (const spare of found.filter((one) => !keptOnes.has(one))) removeUnused(volumes.fd, spare.uuid);
    await ONE_BY_ONE.syncSpares(volumes, kept);
    this.#pool.add(kept);
    this.#pool.fill();
    return new Set([...found.map(({ uuid }) => uuid), ...halfMade]);
  }

  /** An earlier process had other settings, perhaps. */
  #isRelabelled(spare: Spare): boolean {
    try {
      this.#giveSelinuxLabel(spare);
      return true;
    } catch (error) {
      this.#log.warn({ root: this.root, error }, "A spare directory cannot be labelled");
      return false;
    }
  }

  async drop(volume: Volume): Promise<void> {
    const { volumes, trash } = this.#places;
    this.#labels.unlink(volume);
    await this.#move(volume, volumes, trash, `Cannot destroy volume ${nameOf(volume)}`);
  }

  async restore(volume: Volume): Promise<void> {
    const { volumes, trash } = this.#places;
    await this.#move(volume, trash, volumes, `Cannot restore volume ${nameOf(volume)}`);
    this.#labels.link(volume);
  }

  async purge(
    uuid: Incarnation,
    { signal }: { readonly signal?: AbortSignal } = {},
  ): Promise<{ readonly entries: number }> {
    const { trash } = this.#places;
    const purged = await this.#purger.purge({ fd: trash.fd, path: `${this.root}/trash` }, uuid, signal);
    try {
      await trash.sync();
    } catch (error) {
      throw diskError(`Cannot make the deletion of volume ${uuid} durable`, error);
    }
    return purged;
  }

  contentPath(volume: Pick<Volume, "uuid" | "phase">): string {
    const parent = volume.phase === "retained" || volume.phase === "collecting" ? "trash" : "volumes";
    return `${this.root}/${parent}/${contentOf(volume.uuid)}`;
  }

  async usage(): Promise<DiskUsage> {
    const { blocks, bavail, bsize } = await promises.statfs(pathOf(this.#places.root));
    return { totalBytes: blocks * bsize, freeBytes: bavail * bsize };
  }

  /** Every call must have come back before. */
  async close(): Promise<void> {
    await Promise.all([this.#pool.close(), this.#purger.close()]);
    this.#places.close();
  }

  async #move(volume: Volume, from: Place, to: Place, action: string): Promise<void> {
    this.#pool.claim(volume.uuid);
    try {
      if (!isThere(to, volume)) {
        requireThere(from, volume, action);
        this.#makingRoom(() => renameat2(from.fd, volume.uuid, to.fd, volume.uuid, RENAME.NOREPLACE));
      }
      await this.#durability.syncMove(from, to);
    } catch (error) {
      throw isErrno(error, "EEXIST")
        ? new HoldfastError("damaged", `${action}: something else has its name where it goes`, { cause: error })
        : diskError(action, error);
    }
  }

  /** Does what must work on a full disk: spares are the ballast, and ext4 commits their removal when it needs to. */
  #makingRoom(work: () => void): void {
    for (;;) {
      try {
        work();
        return;
      } catch (error) {
        if (!isFull(error) || this.#pool.release(SPARES_GIVEN_UP) === 0) throw error;
      }
    }
  }

  async #incarnations(place: Place): Promise<readonly Incarnation[]> {
    const names = await promises.readdir(pathOf(place));
    for (const name of names) {
      if (isIncarnation(name) || OUR_NAMES.includes(name) || this.#strangers.has(name)) continue;
      this.#strangers.add(name);
      this.#log.warn({ root: this.root, name }, "A name between the volumes is not Holdfast's, and is left alone");
    }
    return names.filter(isIncarnation);
  }
}

/** What has to be synced on this file system. */
interface Durability {
  /** Makes spares durable, given in the order in which they were made. */
  syncSpares(volumes: Place, spares: readonly Spare[]): Promise<void>;
  /** Makes renames from one directory to the other durable. */
  syncMove(from: Place, to: Place): Promise<void>;
}

function durabilityOn(fd: number, type: string): Durability {
  if (keepsOrder(fd, type)) return IN_ORDER;
  return syncsNames(type) ? WITH_NAMES : ONE_BY_ONE;
}

const ONE_BY_ONE: Durability = {
  async syncSpares(volumes, spares) {
    await syncEach(spares, async ({ uuid }) => {
      await syncAt(volumes.fd, contentOf(uuid), { directory: true, resolve: SCOPE });
      await syncAt(volumes.fd, uuid, { directory: true, resolve: SCOPE });
    });
    await volumes.sync();
  },
  async syncMove(from, to) {
    // The new name first: the old one must not be gone before the new one is safe.
    await to.sync();
    await from.sync();
  },
};

const WITH_NAMES: Durability = {
  ...ONE_BY_ONE,
  async syncSpares(volumes, spares) {
    await syncEach(spares, async ({ uuid }) => {
      await syncAt(volumes.fd, contentOf(uuid), { directory: true, resolve: SCOPE });
    });
    await volumes.sync();
  },
};

const IN_ORDER: Durability = {
  async syncSpares(volumes, spares) {
    await ONE_BY_ONE.syncSpares(volumes, spares.slice(-1));
  },
  async syncMove(_from, to) {
    await to.sync();
  },
};

function isThere(place: Place, volume: Volume): boolean {
  const found = examineIncarnation(place, volume.uuid);
  return found.state === "present" && sameDirectory(found.directory, volume.directory);
}

function requireThere(place: Place, volume: Volume, action: string): void {
  const found = examineIncarnation(place, volume.uuid);
  if (found.state === "missing") throw new HoldfastError("damaged", `${action}: its directory is missing`);
  if (found.state === "foreign") throw new HoldfastError("damaged", `${action}: its directory ${found.reason}`);
  if (sameDirectory(found.directory, volume.directory)) return;
  throw new HoldfastError("damaged", `${action}: another directory is in its place`);
}

function isFull(error: unknown): boolean {
  const symbol = errnoOf(error);
  return symbol === "ENOSPC" || symbol === "EDQUOT";
}

function pathOf(place: Place): string {
  return `/proc/self/fd/${place.fd}`;
}

function nameOf(volume: Volume): string {
  return `${volume.role}/${volume.id}`;
}
