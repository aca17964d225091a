import { HoldfastError } from "../../src/domain/error.ts";
import type { DirectoryIdentity, Volume } from "../../src/domain/records.ts";
import { type DiskSource, ROOT_DISK } from "../../src/domain/resource.ts";
import { type Incarnation, type ProjectId, toBytes } from "../../src/domain/units.ts";
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
} from "../../src/ports/disk.ts";
import type { Random } from "../../src/ports/random.ts";
import { fakeRandom } from "./fake-random.ts";
import { MemoryQuota } from "./memory-quota.ts";

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
  | "limit"
  | "measure"
  | "enlist"
  | "measureForeign"
  | "adopt"
  | "unadopt"
  | "copy"
  | "discardCopy"
  | "giveToGroup"
  | "usage";

export interface MemoryDiskOptions {
  readonly source?: DiskSource;
  readonly root?: string;
  readonly random?: Random;
  /** `nothing` unless told otherwise. */
  readonly enforcement?: "project-quota" | "nothing";
  /** Awaited before every asynchronous call does its work: for a simulation that decides when things happen. */
  readonly pause?: (call: DiskCall) => Promise<void>;
}

interface Place {
  directory: DirectoryIdentity;
  label?: Volume;
  labelSynced: boolean;
  foreign?: string;
  files: number;
  /** Beside its files. */
  usedBytes: number;
  /** What the kernel says. */
  projectId?: ProjectId;
  loose?: Looseness;
  /** Whose all of its content is. */
  group?: number;
}

/** By root, the latest one. */
const disks = new Map<string, MemoryDisk>();

/**
 * A disk in memory. It outlives the daemon that uses it: reopen it by using it again, after `crash` or `powerCut`.
 * A spare that was taken and got neither label nor content is a spare again then.
 */
export class MemoryDisk implements Disk {
  readonly source: DiskSource;
  readonly root: string;
  readonly fileSystem = { type: "ext4", uuid: "f0000000-0000-4000-8000-000000000001" };
  enforcement: Enforcement;
  directory: DirectoryIdentity = { ino: "2", birthNs: "1900000000000000002" };
  /** The disk's own label, as last written. */
  nodeLabel: NodeLabel | undefined;
  capacity: DiskUsage = { totalBytes: 100 * 2 ** 30, freeBytes: 90 * 2 ** 30 };
  /** Told of the content of what was just moved here. */
  onAdopted: (path: string) => void = () => {};
  /** What a purge gives back for each file that a container wrote. */
  bytesPerFile = 0;

  readonly #random: Random;
  readonly #pause: (call: DiskCall) => Promise<void>;
  readonly #volumes = new Map<Incarnation, Place>();
  readonly #trash = new Map<Incarnation, Place>();
  /** Directories that are no volumes, by path; an error is what somebody gets who looks. */
  readonly #foreign = new Map<string, Place | Error>();
  /** In the pool, or taken and not yet labelled. */
  readonly #spares = new Set<Incarnation>();
  readonly #pool: Spare[] = [];
  readonly #links = new Map<string, Incarnation>();
  readonly #failures = new Map<DiskCall, Error[]>();
  readonly #quota = new MemoryQuota();
  #alwaysFailing: Error | undefined;
  #inodes = 1000;

  constructor(options: MemoryDiskOptions = {}) {
    this.source = options.source ?? ROOT_DISK;
    this.root = options.root ?? "/memory";
    this.#random = options.random ?? fakeRandom(7);
    this.#pause = options.pause ?? (async () => {});
    this.enforcement =
      options.enforcement === "project-quota"
        ? { by: "project-quota" }
        : { by: "nothing", reason: "memory has no project quotas" };
    disks.set(this.root, this);
  }

  claim(volumes: Iterable<Volume>): void {
    for (const { uuid, projectId } of volumes) {
      this.#claim(uuid);
      if (projectId !== undefined) this.#quota.claim(projectId);
    }
  }

  async take(count: number): Promise<readonly Spare[]> {
    await this.#enter("take");
    while (this.#pool.length < count) this.#makeSpare();
    return this.#pool.splice(0, count);
  }

  giveBack(spares: readonly Spare[]): void {
    for (const spare of spares) {
      // What was labelled or named by somebody is not handed out a second time.
      if (this.#spares.has(spare.uuid)) {
        this.#pool.push(spare);
        continue;
      }
      this.#volumes.delete(spare.uuid);
      this.#release(spare.projectId);
    }
  }

  limit(volume: Volume): void {
    if (this.enforcement.by === "nothing") return;
    this.#failIfTold("limit");
    const { projectId } = this.#placeOf(volume);
    if (projectId === undefined || projectId !== volume.projectId) {
      throw new HoldfastError("unsupported", `Cannot limit volume ${nameOf(volume)}: it is not in its project`);
    }
    this.#quota.limit(projectId, toBytes(volume.size));
  }

  looseness(volume: Volume): Looseness | undefined {
    const place = this.#find(volume.uuid);
    if (this.enforcement.by === "nothing" || place === undefined) return undefined;
    if (place.projectId === undefined) return { reason: "it is in no project", cure: "enlist" };
    if (place.projectId !== volume.projectId) return { reason: "it is in another project", cure: "enlist" };
    if (place.loose !== undefined) return place.loose;
    if (this.limitOf(volume.uuid) === toBytes(volume.size)) return undefined;
    return { reason: "its limit is not its size", cure: "limit" };
  }

  usageOf(volume: Volume): VolumeUsage | undefined {
    const place = this.#find(volume.uuid);
    if (this.enforcement.by === "nothing" || place?.projectId === undefined) return undefined;
    return place.projectId === volume.projectId ? this.#usageOf(place) : undefined;
  }

  async measure(volume: Volume, options: { readonly signal?: AbortSignal } = {}): Promise<VolumeUsage> {
    await this.#enter("measure");
    if (options.signal?.aborted === true) {
      throw new HoldfastError("unavailable", `Cannot measure ${volume.uuid}: interrupted`);
    }
    return this.#usageOf(this.#placeOf(volume));
  }

  newProjectId(): ProjectId | undefined {
    return this.enforcement.by === "nothing" ? undefined : this.#quota.allocate();
  }

  async enlist(volume: Volume, options: { readonly signal?: AbortSignal } = {}): Promise<Enlisted> {
    await this.#enter("enlist");
    if (options.signal?.aborted === true) {
      throw new HoldfastError("unavailable", `Cannot enlist ${volume.uuid}: interrupted`);
    }
    const place = this.#placeOf(volume);
    const usage = this.#usageOf(place);
    if (this.enforcement.by === "nothing" || volume.projectId === undefined) return { ...usage, wrong: 0, refused: 0 };
    const isWrong = place.projectId !== volume.projectId || place.loose?.cure === "enlist";
    place.projectId = volume.projectId;
    delete place.loose;
    this.#quota.claim(volume.projectId);
    this.#quota.limit(volume.projectId, toBytes(volume.size));
    return { ...usage, wrong: isWrong ? usage.inodes : 0, refused: 0 };
  }

  writeLabel(volume: Volume): void {
    this.#failIfTold("writeLabel");
    const place = this.#find(volume.uuid);
    if (place === undefined) {
      throw new HoldfastError("damaged", `Cannot label volume ${nameOf(volume)}: its directory is missing`);
    }
    place.label = volume;
    place.labelSynced = false;
    this.#claim(volume.uuid);
    if (volume.phase === "live") this.#links.set(linkOf(volume), volume.uuid);
  }

  labelRevision({ uuid }: Volume): number | undefined {
    return this.label(uuid)?.revision;
  }

  async syncLabels(uuids: readonly Incarnation[]): Promise<void> {
    await this.#enter("syncLabels");
    for (const uuid of uuids) {
      const place = this.#find(uuid);
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
    this.#release(place.projectId);
    const { totalBytes, freeBytes } = this.capacity;
    this.capacity = { totalBytes, freeBytes: Math.min(totalBytes, freeBytes + this.#usageOf(place).usedBytes) };
    return { entries: place.files + (place.label === undefined ? 2 : 3) };
  }

  examineForeign(path: string): Pick<Spare, "uuid" | "directory"> | undefined {
    if (path.startsWith("/elsewhere/")) return undefined;
    return { uuid: this.#random.uuid() as Incarnation, directory: this.#foreignPlace(path).directory };
  }

  async measureForeign(path: string): Promise<VolumeUsage> {
    await this.#enter("measureForeign");
    return this.#usageOf(this.#foreignPlace(path));
  }

  async adopt(volume: Volume): Promise<void> {
    await this.#enter("adopt");
    const place = this.#foreignPlace(volume.origin ?? "");
    if (place.directory.ino !== volume.directory.ino) {
      throw new HoldfastError("conflict", `Cannot adopt ${volume.origin}: something else is in its place`);
    }
    this.#foreign.delete(volume.origin ?? "");
    this.#volumes.set(volume.uuid, place);
    this.onAdopted(this.contentPath(volume));
  }

  async unadopt(volume: Volume): Promise<void> {
    await this.#enter("unadopt");
    const { uuid, origin = "" } = volume;
    const place = this.#volumes.get(uuid);
    if (place === undefined) return;
    if (place.directory.ino !== volume.directory.ino) {
      throw new HoldfastError(
        "damaged",
        `Cannot give ${origin} back: ${this.contentPath(volume)} is another directory`,
      );
    }
    if (this.#foreign.has(origin)) {
      throw new HoldfastError("conflict", `Cannot give ${origin} back: something else has its name now`);
    }
    this.#claim(uuid);
    this.#volumes.delete(uuid);
    this.#foreign.set(origin, place);
  }

  async copy(volume: Volume, from: CopyFrom, options: CopyDiskOptions = {}): Promise<DirectoryIdentity> {
    const action = `Cannot copy ${nameOf(from.volume)} as ${nameOf(volume)}`;
    const place = this.#placeOf(volume);
    const original = disks.get(from.diskRoot)?.sourceOf(from.volume);
    if (original === undefined) throw new HoldfastError("damaged", `${action}: its directory is missing`);
    if (this.enforcement.by !== "nothing") this.limit(volume);
    // Half of it is there when it is interrupted.
    place.files = Math.floor(original.files / 2);
    options.onBytes?.(0);
    await this.#enter("copy");
    if (options.signal?.aborted === true) throw new HoldfastError("unavailable", `${action}: interrupted`);
    const { usedBytes } = this.#usageOf(original);
    if (usedBytes > toBytes(volume.size)) {
      throw new HoldfastError("insufficient", `${action}: its content does not fit`);
    }
    place.files = original.files;
    place.usedBytes = original.usedBytes;
    options.onBytes?.(usedBytes);
    return place.directory;
  }

  async discardCopy(volume: Volume): Promise<void> {
    await this.#enter("discardCopy");
    const place = this.#volumes.get(volume.uuid);
    this.#claim(volume.uuid);
    this.#volumes.delete(volume.uuid);
    if (place !== undefined) this.#trash.set(volume.uuid, place);
  }

  async giveToGroup(volume: Volume, group: number): Promise<void> {
    await this.#enter("giveToGroup");
    const place = this.#placeOf(volume);
    if (place.directory.ino !== volume.directory.ino) {
      throw new HoldfastError("damaged", `Cannot give ${nameOf(volume)} to a group: another directory is in its place`);
    }
    place.group = group;
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

  /** A directory that is no volume, in place of what was there. */
  addForeign(path: string, options: { readonly usedBytes?: number; readonly files?: number } = {}): DirectoryIdentity {
    const { usedBytes = 0, files = 0 } = options;
    const directory = this.#newIdentity();
    this.#foreign.set(path, { directory, labelSynced: false, files, usedBytes });
    return directory;
  }

  /** Whoever looks at this path is refused. */
  refuseForeign(path: string, error: Error): void {
    this.#foreign.set(path, error);
  }

  /** What is there under a name that is no volume's. */
  foreign(): readonly string[] {
    return [...this.#foreign.keys()].sort();
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

  /** What the content takes from now on, beside its files; bytes. */
  use(uuid: Incarnation, bytes: number): void {
    this.#place(uuid).usedBytes = bytes;
  }

  /** A container writes so many bytes; `false` when the kernel would not let it. */
  write(uuid: Incarnation, bytes: number): boolean {
    const place = this.#place(uuid);
    const limit = this.limitOf(uuid);
    if (limit !== undefined && this.#usageOf(place).usedBytes + bytes > limit) return false;
    place.usedBytes += bytes;
    return true;
  }

  /** The limit that the kernel has for what is in this place; bytes. */
  limitOf(uuid: Incarnation): number | undefined {
    return this.#quota.limitOf(this.#find(uuid)?.projectId);
  }

  /** The project id that the kernel has for it, which may not be the books'. */
  projectOf(uuid: Incarnation): ProjectId | undefined {
    return this.#find(uuid)?.projectId;
  }

  /** Was made before there were quotas: the kernel knows no project of it. */
  unenlist(uuid: Incarnation): void {
    delete this.#place(uuid).projectId;
  }

  /** The kernel does not hold it any more, until it is cured; the cure `limit` takes its limit away. */
  loosen(uuid: Incarnation, reason: string, cure: Looseness["cure"]): void {
    const place = this.#place(uuid);
    if (cure === "enlist") place.loose = { reason, cure };
    else if (place.projectId !== undefined) this.#quota.limit(place.projectId, 0);
  }

  /** The recorded directory of a live volume, for a copy. */
  sourceOf({ uuid, directory }: Volume): Place | undefined {
    const place = this.#volumes.get(uuid);
    return place?.directory.ino === directory.ino ? place : undefined;
  }

  /** The group that all of the content was given to. */
  groupOf(uuid: Incarnation): number | undefined {
    return this.#place(uuid).group;
  }

  /** How many files a container wrote. */
  files(uuid: Incarnation): number {
    return this.#place(uuid).files;
  }

  /** Somebody spoils it. */
  spoilLabel(uuid: Incarnation): void {
    const place = this.#find(uuid);
    if (place !== undefined) delete place.label;
  }

  /** The label as a reader finds it. */
  label(uuid: Incarnation): Volume | undefined {
    return this.#find(uuid)?.label;
  }

  /** Where the symlink `volumes/roles/<role>/<id>` points. */
  link(volume: Pick<Volume, "role" | "id">): Incarnation | undefined {
    return this.#links.get(linkOf(volume));
  }

  /** The daemon is killed: everything stays, what was taken and never labelled is a spare again. */
  crash(): void {
    this.#pool.length = 0;
    this.#spares.clear();
    this.#quota.forget();
    for (const { projectId } of [...this.#volumes.values(), ...this.#trash.values()]) {
      if (projectId !== undefined) this.#quota.claim(projectId);
    }
    for (const [uuid, place] of this.#volumes) {
      if (place.label !== undefined || place.files > 0) continue;
      this.#spares.add(uuid);
      this.#pool.push(spareOf(uuid, place));
    }
  }

  /** The power fails: labels that were not synced are gone too, and limits, which never are. */
  powerCut(): void {
    this.#quota.loseLimits();
    for (const place of [...this.#volumes.values(), ...this.#trash.values()]) {
      if (!place.labelSynced) delete place.label;
    }
    this.crash();
  }

  #move(volume: Volume, from: Map<Incarnation, Place>, to: Map<Incarnation, Place>): void {
    const place = from.get(volume.uuid) ?? to.get(volume.uuid);
    if (place === undefined || place.directory.ino !== volume.directory.ino) {
      throw new HoldfastError("damaged", `Cannot move volume ${nameOf(volume)}: its directory is missing`);
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
    const projectId = this.newProjectId();
    const uuid = this.#random.uuid() as Incarnation;
    const place: Place = { directory: this.#newIdentity(), labelSynced: false, files: 0, usedBytes: 0 };
    if (projectId !== undefined) place.projectId = projectId;
    this.#volumes.set(uuid, place);
    this.#spares.add(uuid);
    this.#pool.push(spareOf(uuid, place));
  }

  #release(id: ProjectId | undefined): void {
    if (id !== undefined) this.#quota.release(id);
  }

  #usageOf(place: Place): Required<VolumeUsage> {
    return { usedBytes: place.usedBytes + place.files * this.bytesPerFile, inodes: place.files + 1 };
  }

  #newIdentity(): DirectoryIdentity {
    this.#inodes += 1;
    return { ino: String(this.#inodes), birthNs: String(1_900_000_000_000_000_000n + BigInt(this.#inodes)) };
  }

  #foreignPlace(path: string): Place {
    const place = this.#foreign.get(path);
    if (place instanceof Error) throw place;
    if (place === undefined) throw new HoldfastError("invalid", `Cannot adopt ${path}: no such directory`);
    return place;
  }

  #place(uuid: Incarnation): Place {
    const place = this.#find(uuid);
    if (place === undefined) throw new Error(`No directory ${uuid}`);
    return place;
  }

  #placeOf(volume: Volume): Place {
    const place = this.#find(volume.uuid);
    if (place !== undefined) return place;
    throw new HoldfastError("damaged", `Cannot use volume ${nameOf(volume)}: its directory is missing`);
  }

  #find(uuid: Incarnation): Place | undefined {
    return this.#volumes.get(uuid) ?? this.#trash.get(uuid);
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

function spareOf(uuid: Incarnation, { directory, projectId }: Place): Spare {
  return projectId === undefined ? { uuid, directory } : { uuid, directory, projectId };
}

function nameOf({ role, id }: Volume): string {
  return `${role}/${id}`;
}

function linkOf(volume: Pick<Volume, "role" | "id">): string {
  return `${volume.role.replaceAll("/", " ")}/${volume.id}`;
}
