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
import { type DirectoryIdentity, sameDirectory, type Volume } from "../domain/records.ts";
import type { DiskSource } from "../domain/resource.ts";
import type { Incarnation, ProjectId } from "../domain/units.ts";
import type {
  CopyDiskOptions,
  CopyFrom,
  Disk,
  DiskUsage,
  Enforcement,
  Enlisted,
  Finding,
  Looseness,
  NodeLabel,
  Spare,
  VolumeUsage,
} from "../ports/disk.ts";
import type { LabelCodec } from "../ports/labels.ts";
import type { Log } from "../ports/log.ts";
import { createAdoption } from "./adoption.ts";
import { type Census, createCensus } from "./census.ts";
import { type ContentCopying, createContentCopying } from "./content-copying.ts";
import { diskError, errnoOf } from "./disk-error.ts";
import { type DiskPlaces, openDiskPlaces, type Place } from "./disk-places.ts";
import { durabilityOn } from "./durability.ts";
import { shared } from "./durable.ts";
import { chooseEnforcer } from "./enforcement.ts";
import type { Enforcer, Walk } from "./enforcer.ts";
import { describeFileSystem, type FileSystem, syncsNames } from "./file-system.ts";
import { identityOf } from "./identity.ts";
import { contentOf, examineContent, examineIncarnation, isIncarnation } from "./incarnation.ts";
import { type LabelFiles, NEW_LINK, openLabelFiles } from "./label-files.ts";
import { type LeftoverParts, takeLeftovers } from "./leftover-spares.ts";
import type { ProjectIdRange } from "./project-quota.ts";
import { createPurger } from "./purge.ts";
import { createLabelling, type SelinuxOptions } from "./selinux-content.ts";
import { replaceFileDurably } from "./small-files.ts";
import { SparePool } from "./spare-pool.ts";
import { AT, isErrno, RENAME, renameat2, statx } from "./syscalls.ts";
import { placeNameOf } from "./volume-content.ts";

export interface DirectoryDiskOptions {
  /** Absolute path of an existing directory. */
  readonly root: string;
  readonly source: DiskSource;
  readonly labels: Pick<LabelCodec, "encodeVolume" | "decodeVolume" | "encodeNode">;
  readonly log: Log;
  /** The least and the most spares to keep ready. */
  readonly spares?: { readonly min: number; readonly max: number };
  /** For volumes where project quotas hold them to their sizes. */
  readonly projectRange?: ProjectIdRange;
  /** For the content of new volumes. */
  readonly selinux?: SelinuxOptions | undefined;
}

const DEFAULT_SPARES = { min: 1024, max: 2048 };
const DEFAULT_PROJECTS: ProjectIdRange = { first: 2_000_000, last: 2_999_999 };
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
  const census = createCensus();
  try {
    const fileSystem = describeFileSystem(places.volumes.fd);
    return new DirectoryDisk(options, {
      places,
      census,
      fileSystem,
      enforcer: enforcerOf(options, { places, census, fileSystem }),
    });
  } catch (error) {
    await census.close();
    places.close();
    throw diskError(`Cannot open disk ${options.root}`, error);
  }
}

/** What a disk is made of. */
interface Parts {
  readonly places: DiskPlaces;
  readonly fileSystem: FileSystem;
  readonly census: Census;
  readonly enforcer: Enforcer;
}

function enforcerOf(
  { root, log, projectRange }: DirectoryDiskOptions,
  { places, census, fileSystem: { type } }: Omit<Parts, "enforcer">,
): Enforcer {
  const durability = durabilityOn(places.volumes.fd, type);
  return chooseEnforcer({ root, places, durability, census, log }, { type, range: projectRange ?? DEFAULT_PROJECTS });
}

class DirectoryDisk implements Disk {
  readonly source: DiskSource;
  readonly root: string;
  readonly fileSystem: FileSystem;
  readonly enforcement: Enforcement;
  readonly directory: DirectoryIdentity;
  readonly #places: DiskPlaces;
  readonly #labels: LabelFiles;
  readonly #pool: SparePool;
  readonly #purger = createPurger();
  readonly #census: Census;
  readonly #enforcer: Enforcer;
  readonly #adoption: ReturnType<typeof createAdoption>;
  readonly #copying: ContentCopying;
  readonly #log: Log;
  readonly #encodeNode: LabelCodec["encodeNode"];
  readonly #giveSelinuxLabel: (spare: Spare) => void;
  readonly #leftovers: LeftoverParts;
  readonly #strangers = new Set<string>();
  #nodeLabel: NodeLabel | undefined;

  constructor(options: DirectoryDiskOptions, { places, fileSystem, census, enforcer }: Parts) {
    const { root, source, log } = options;
    const { volumes, trash, roles } = places;
    this.source = source;
    this.root = root;
    this.fileSystem = fileSystem;
    this.enforcement = enforcer.enforcement;
    this.directory = identityOf(statx(volumes.fd, "", AT.EMPTY_PATH));
    this.#places = places;
    this.#census = census;
    this.#adoption = createAdoption({ root, source, places });
    this.#copying = createContentCopying({ root, places, enforcer });
    this.#enforcer = enforcer;
    this.#log = log;
    this.#encodeNode = options.labels.encodeNode;
    this.#giveSelinuxLabel = createLabelling({ root, volumesFd: volumes.fd, log }, options.selinux);
    this.#labels = openLabelFiles(
      {
        volumesFd: volumes.fd,
        trashFd: trash.fd,
        rolesFd: roles.fd,
        syncsNames: syncsNames(fileSystem.type),
      },
      options.labels,
      log,
    );
    this.#pool = new SparePool({
      ...(options.spares ?? DEFAULT_SPARES),
      most: (ready) => enforcer.mostSpares(ready),
      make: () => this.#makeSpare(),
      sync: (spares) => enforcer.durability.syncSpares(volumes, spares),
      discard: (spare) => enforcer.discard(spare.uuid),
      onRefillFailure: (error) => log.warn({ root, err: error }, "Spare directories cannot be made"),
    });
    this.#leftovers = { root, volumes, pool: this.#pool, enforcer, label: this.#giveSelinuxLabel, log };
  }

  claim(volumes: Iterable<Volume>): void {
    for (const volume of volumes) {
      this.#pool.claim(volume.uuid);
      this.#enforcer.claim(volume);
    }
  }

  async take(count: number): Promise<readonly Spare[]> {
    try {
      return await this.#pool.take(count);
    } catch (error) {
      throw diskError(`Cannot make ${count} volume directories on ${this.root}`, error);
    }
  }

  #makeSpare(): Spare {
    const spare = this.#enforcer.make(randomUUID() as Incarnation);
    try {
      this.#giveSelinuxLabel(spare);
      return spare;
    } catch (error) {
      this.#enforcer.discard(spare.uuid);
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
    this.#enforcer.discard(spare.uuid);
  }

  limit(volume: Volume): void {
    naming(`Cannot limit volume ${nameOf(volume)}`, () => this.#enforcer.limit(volume));
  }

  looseness(volume: Volume): Looseness | undefined {
    return naming(`Cannot look at volume ${nameOf(volume)}`, () => this.#enforcer.looseness(volume));
  }

  usageOf(volume: Volume): VolumeUsage | undefined {
    return naming(`Cannot tell what volume ${nameOf(volume)} takes`, () => this.#enforcer.usageOf(volume));
  }

  newProjectId(): ProjectId | undefined {
    return naming(`Cannot give out a project id on ${this.root}`, () => this.#enforcer.newProjectId());
  }

  async measure(volume: Volume, options?: { readonly signal?: AbortSignal }): Promise<VolumeUsage> {
    try {
      const { parent, name } = this.#walkOf(volume);
      const { usedBytes, inodes } = await this.#census.measure(parent, name, options);
      return { usedBytes, inodes };
    } catch (error) {
      throw diskError(`Cannot measure volume ${nameOf(volume)}`, error);
    }
  }

  async enlist(volume: Volume, options: { readonly signal?: AbortSignal } = {}): Promise<Enlisted> {
    try {
      return await this.#enforcer.enlist(volume, this.#walkOf(volume), options);
    } catch (error) {
      throw diskError(`Cannot enlist volume ${nameOf(volume)}`, error);
    }
  }

  #walkOf(volume: Volume): Walk {
    const place = placeNameOf(this.#places, volume);
    return { parent: { fd: this.#places[place].fd, path: `${this.root}/${place}` }, name: contentOf(volume.uuid) };
  }

  writeLabel(volume: Volume): void {
    try {
      this.#makingRoom(() => this.#labels.write(volume));
    } catch (error) {
      throw diskError(`Cannot label volume ${nameOf(volume)}`, error);
    }
    this.#pool.claim(volume.uuid);
  }

  labelRevision(volume: Volume): number | undefined {
    return this.#labels.revision(volume);
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
    const leftovers = await takeLeftovers(this.#leftovers, strange, isKnown);
    return { volumes: strange.filter((uuid) => !leftovers.has(uuid)), trash: trash.filter((uuid) => !isKnown(uuid)) };
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
    const { trash, volumes } = this.#places;
    const action = `Cannot delete volume ${uuid}`;
    const destroyed = signal?.aborted === true ? 0 : await this.#destroy(uuid, action);
    const { entries } = await this.#purger.purge({ fd: trash.fd, path: `${this.root}/trash` }, uuid, signal);
    try {
      await trash.sync();
    } catch (error) {
      throw diskError(`${action}: its deletion is not durable`, error);
    }
    if (examineContent(volumes, uuid).state === "missing") this.#enforcer.forget(uuid);
    return { entries: destroyed + entries };
  }

  async #destroy(uuid: Incarnation, action: string): Promise<number> {
    try {
      return await this.#enforcer.destroy(uuid);
    } catch (error) {
      throw diskError(action, error);
    }
  }

  examineForeign(path: string): Pick<Spare, "uuid" | "directory"> | undefined {
    return this.#adoption.examineForeign(path);
  }

  measureForeign(path: string, options?: { readonly signal?: AbortSignal }): Promise<VolumeUsage> {
    return this.#adoption.measureForeign(path, options);
  }

  adopt(volume: Volume): Promise<void> {
    return this.#adoption.adopt(volume);
  }

  unadopt(volume: Volume): Promise<void> {
    return this.#adoption.unadopt(volume);
  }

  copy(volume: Volume, from: CopyFrom, options: CopyDiskOptions = {}): Promise<DirectoryIdentity> {
    return this.#copying.copy(volume, from, options);
  }

  async discardCopy(volume: Volume): Promise<void> {
    this.#pool.claim(volume.uuid);
    await this.#moving(() => this.#copying.discard(volume));
    const { volumes, trash } = this.#places;
    try {
      await this.#enforcer.durability.syncMove(volumes, trash);
    } catch (error) {
      throw diskError(`Cannot discard the copy ${nameOf(volume)}`, error);
    }
  }

  giveToGroup(volume: Volume, group: number, options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    return this.#copying.giveToGroup(volume, group, options);
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
    await Promise.all([
      this.#pool.close(),
      this.#purger.close(),
      this.#census.close(),
      this.#adoption.close(),
      this.#copying.close(),
    ]);
    this.#places.close();
  }

  async #move(volume: Volume, from: Place, to: Place, action: string): Promise<void> {
    this.#pool.claim(volume.uuid);
    try {
      if (!isThere(to, volume)) {
        requireThere(from, volume, action);
        await this.#moving(() => renameat2(from.fd, volume.uuid, to.fd, volume.uuid, RENAME.NOREPLACE));
      }
      await this.#enforcer.durability.syncMove(from, to);
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

  /** The same where the room of spares comes back little by little, as on btrfs. */
  async #moving(rename: () => void): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        this.#makingRoom(rename);
        return;
      } catch (error) {
        if (!isFull(error) || !(await this.#enforcer.reclaimed(attempt))) throw error;
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

function naming<Result>(action: string, work: () => Result): Result {
  try {
    return work();
  } catch (error) {
    throw diskError(action, error);
  }
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
