import { HoldfastError } from "../../src/domain/error.ts";
import type { DirectoryIdentity, Volume } from "../../src/domain/records.ts";
import { type DiskSource, ROOT_DISK } from "../../src/domain/resource.ts";
import type { Incarnation } from "../../src/domain/units.ts";
import type { Disk, DiskUsage, Finding, NodeLabel, Spare } from "../../src/ports/disk.ts";
import type { Random } from "../../src/ports/random.ts";
import { fakeRandom } from "./fake-random.ts";

/** What may be made to fail. */
export type DiskCall =
  | "take"
  | "writeLabel"
  | "syncLabels"
  | "writeNodeLabel"
  | "list"
  | "drop"
  | "restore"
  | "purge"
  | "usage";

export interface MemoryDiskOptions {
  readonly source?: DiskSource;
  readonly root?: string;
  readonly random?: Random;
  /** Awaited before every asynchronous call does its work: for a simulation that decides when things happen. */
  readonly pause?: (call: DiskCall) => Promise<void>;
}

interface Place {
  directory: DirectoryIdentity;
  label?: Volume;
  labelSynced: boolean;
  foreign?: string;
  files: number;
}

/**
 * A disk in memory. It outlives the daemon that uses it: reopen it by using it again, after `crash` or `powerCut`.
 * A spare that was taken and got neither label nor content is a spare again then.
 */
export class MemoryDisk implements Disk {
  readonly source: DiskSource;
  readonly root: string;
  readonly fileSystem = { type: "ext4", uuid: "f0000000-0000-4000-8000-000000000001" };
  /** The disk's own label, as last written. */
  nodeLabel: NodeLabel | undefined;
  capacity: DiskUsage = { totalBytes: 100 * 2 ** 30, freeBytes: 90 * 2 ** 30 };
  /** What a purge gives back for each file that a container wrote. */
  bytesPerFile = 0;

  readonly #random: Random;
  readonly #pause: (call: DiskCall) => Promise<void>;
  readonly #volumes = new Map<Incarnation, Place>();
  readonly #trash = new Map<Incarnation, Place>();
  /** In the pool, or taken and not yet labelled. */
  readonly #spares = new Set<Incarnation>();
  readonly #pool: Spare[] = [];
  readonly #links = new Map<string, Incarnation>();
  readonly #failures = new Map<DiskCall, Error[]>();
  #alwaysFailing: Error | undefined;
  #inodes = 1000;

  constructor(options: MemoryDiskOptions = {}) {
    this.source = options.source ?? ROOT_DISK;
    this.root = options.root ?? "/memory";
    this.#random = options.random ?? fakeRandom(7);
    this.#pause = options.pause ?? (async () => {});
  }

  async take(count: number): Promise<readonly Spare[]> {
    await this.#enter("take");
    while (this.#pool.length < count) this.#makeSpare();
    return this.#pool.splice(0, count);
  }

  giveBack(spares: readonly Spare[]): void {
    for (const spare of spares) {
      // What was labelled or named by somebody is not handed out a second time.
      if (this.#spares.has(spare.uuid)) this.#pool.push(spare);
      else this.#volumes.delete(spare.uuid);
    }
  }

  writeLabel(volume: Volume): void {
    this.#failIfTold("writeLabel");
    const place = this.#volumes.get(volume.uuid) ?? this.#trash.get(volume.uuid);
    if (place === undefined) {
      throw new HoldfastError("damaged", `Cannot label volume ${volume.role}/${volume.id}: its directory is missing`);
    }
    place.label = volume;
    place.labelSynced = false;
    this.#claim(volume.uuid);
    if (volume.phase === "live") this.#links.set(linkOf(volume), volume.uuid);
  }

  async syncLabels(uuids: readonly Incarnation[]): Promise<void> {
    await this.#enter("syncLabels");
    for (const uuid of uuids) {
      const place = this.#volumes.get(uuid) ?? this.#trash.get(uuid);
      if (place !== undefined) place.labelSynced = true;
    }
  }

  async writeNodeLabel(label: NodeLabel): Promise<void> {
    await this.#enter("writeNodeLabel");
    this.nodeLabel = label;
  }

  examine(uuid: Incarnation): Finding {
    this.#claim(uuid);
    return found(this.#volumes.get(uuid));
  }

  examineTrash(uuid: Incarnation): Finding {
    return found(this.#trash.get(uuid));
  }

  async list(isKnown: (uuid: Incarnation) => boolean): Promise<{ volumes: Incarnation[]; trash: Incarnation[] }> {
    await this.#enter("list");
    return {
      volumes: [...this.#volumes.keys()].filter((uuid) => !this.#spares.has(uuid) && !isKnown(uuid)),
      trash: [...this.#trash.keys()].filter((uuid) => !isKnown(uuid)),
    };
  }

  async drop(volume: Volume): Promise<void> {
    await this.#enter("drop");
    this.#move(volume, this.#volumes, this.#trash);
    if (this.#links.get(linkOf(volume)) === volume.uuid) this.#links.delete(linkOf(volume));
  }

  async restore(volume: Volume): Promise<void> {
    await this.#enter("restore");
    this.#move(volume, this.#trash, this.#volumes);
    this.#links.set(linkOf(volume), volume.uuid);
  }

  async purge(uuid: Incarnation, options: { readonly signal?: AbortSignal } = {}): Promise<{ entries: number }> {
    await this.#enter("purge");
    const place = this.#trash.get(uuid);
    if (options.signal?.aborted === true) throw new HoldfastError("unavailable", `Cannot delete ${uuid}: interrupted`);
    if (place?.foreign !== undefined) throw new HoldfastError("damaged", `Cannot delete ${uuid}: ${place.foreign}`);
    this.#trash.delete(uuid);
    if (place === undefined) return { entries: 0 };
    this.capacity = {
      ...this.capacity,
      freeBytes: Math.min(this.capacity.totalBytes, this.capacity.freeBytes + place.files * this.bytesPerFile),
    };
    return { entries: place.files + (place.label === undefined ? 2 : 3) };
  }

  contentPath(volume: Pick<Volume, "uuid" | "phase">): string {
    const parent = volume.phase === "live" || volume.phase === "destroying" ? "volumes" : "trash";
    return `${this.root}/${parent}/${volume.uuid}/content`;
  }

  async usage(): Promise<DiskUsage> {
    await this.#enter("usage");
    return this.capacity;
  }

  async close(): Promise<void> {}

  /** The next such call fails with this error and does nothing. */
  failNext(call: DiskCall, error: Error): void {
    this.#failures.set(call, [...(this.#failures.get(call) ?? []), error]);
  }

  /** Every call fails until this is called with `undefined`. */
  failAlways(error: Error | undefined): void {
    this.#alwaysFailing = error;
  }

  /** The directory vanishes, from wherever it is. */
  lose(uuid: Incarnation): void {
    this.#volumes.delete(uuid);
    this.#trash.delete(uuid);
  }

  /** Another directory is in its place, as after a restored backup. */
  swap(uuid: Incarnation): void {
    this.#place(uuid).directory = this.#newIdentity();
  }

  /** Something that is no directory of ours is in its place. */
  occupy(uuid: Incarnation, reason = "is a mount point"): void {
    this.#place(uuid).foreign = reason;
  }

  /** A container writes a file. */
  fill(uuid: Incarnation): void {
    this.#place(uuid).files += 1;
  }

  /** How many files a container wrote. */
  files(uuid: Incarnation): number {
    return this.#place(uuid).files;
  }

  /** The label as a reader finds it. */
  label(uuid: Incarnation): Volume | undefined {
    return (this.#volumes.get(uuid) ?? this.#trash.get(uuid))?.label;
  }

  /** Where the symlink `volumes/roles/<role>/<id>` points. */
  link(volume: Pick<Volume, "role" | "id">): Incarnation | undefined {
    return this.#links.get(linkOf(volume));
  }

  /** The daemon is killed: everything stays, what was taken and never labelled is a spare again. */
  crash(): void {
    this.#pool.length = 0;
    this.#spares.clear();
    for (const [uuid, place] of this.#volumes) {
      if (place.label !== undefined || place.files > 0) continue;
      this.#spares.add(uuid);
      this.#pool.push({ uuid, directory: place.directory });
    }
  }

  /** The power fails: labels that were not synced are gone too. */
  powerCut(): void {
    for (const place of [...this.#volumes.values(), ...this.#trash.values()]) {
      if (!place.labelSynced) delete place.label;
    }
    this.crash();
  }

  #move(volume: Volume, from: Map<Incarnation, Place>, to: Map<Incarnation, Place>): void {
    const place = from.get(volume.uuid) ?? to.get(volume.uuid);
    if (place === undefined || place.directory.ino !== volume.directory.ino) {
      throw new HoldfastError("damaged", `Cannot move volume ${volume.role}/${volume.id}: its directory is missing`);
    }
    this.#claim(volume.uuid);
    from.delete(volume.uuid);
    to.set(volume.uuid, place);
  }

  /** A directory that somebody knows by name is no spare, whatever it looked like after a crash. */
  #claim(uuid: Incarnation): void {
    this.#spares.delete(uuid);
    const index = this.#pool.findIndex((spare) => spare.uuid === uuid);
    if (index >= 0) this.#pool.splice(index, 1);
  }

  #makeSpare(): void {
    const uuid = this.#random.uuid() as Incarnation;
    const directory = this.#newIdentity();
    this.#volumes.set(uuid, { directory, labelSynced: false, files: 0 });
    this.#spares.add(uuid);
    this.#pool.push({ uuid, directory });
  }

  #newIdentity(): DirectoryIdentity {
    this.#inodes += 1;
    return { ino: String(this.#inodes), birthNs: String(1_900_000_000_000_000_000n + BigInt(this.#inodes)) };
  }

  #place(uuid: Incarnation): Place {
    const place = this.#volumes.get(uuid) ?? this.#trash.get(uuid);
    if (place === undefined) throw new Error(`No directory ${uuid}`);
    return place;
  }

  async #enter(call: DiskCall): Promise<void> {
    await this.#pause(call);
    this.#failIfTold(call);
  }

  #failIfTold(call: DiskCall): void {
    const error = this.#failures.get(call)?.shift() ?? this.#alwaysFailing;
    if (error !== undefined) throw error;
  }
}

function found(place: Place | undefined): Finding {
  if (place === undefined) return { state: "missing" };
  if (place.foreign !== undefined) return { state: "foreign", reason: place.foreign };
  return { state: "present", directory: place.directory };
}

function linkOf(volume: Pick<Volume, "role" | "id">): string {
  return `${volume.role.replaceAll("/", " ")}/${volume.id}`;
}
