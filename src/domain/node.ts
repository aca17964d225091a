/**
 * What the node has and what is on it, in memory: the declared disk as a tree of pools, and the records with the
 * indexes that decisions need. Nothing here copies or scans all volumes to change one.
 *
 * A pool is the disk under one reservation stack. Its parent is the same disk under the stack without its last level;
 * what a dynamic reservation has, its parent lends. So no operation can lose or invent a megabyte: sizes only move
 * between `free`, `inVolumes` and `inRefinements`, and the roots' totals are what the operator declared.
 */
import { compareRetirements } from "./collect.ts";
import {
  type AppRecord,
  type AttachmentPhase,
  type Change,
  type Container,
  type DiskRecord,
  type OperationRecord,
  placeOf,
  type Records,
  type ReservationRecord,
  type SandboxRecord,
  type Table,
  type Volume,
} from "./records.ts";
import { type DiskResource, type DiskSource, poolKey, type Reservation } from "./resource.ts";
import {
  addSizes,
  type ContainerId,
  type Incarnation,
  type MilliMb,
  type Role,
  subtractSizes,
  type VolumeId,
  ZERO_MB,
} from "./units.ts";

/** The disk under one reservation stack. */
export interface Pool {
  readonly key: string;
  readonly source: DiskSource;
  readonly reservations: readonly Reservation[];
  /** Declared for an unreserved or static pool, reserved for a dynamic one. */
  readonly total: MilliMb;
  readonly inVolumes: MilliMb;
  /** Lent to reservations that refine this one. */
  readonly inRefinements: MilliMb;
}

/** What nobody uses. Negative where the declared disk shrank below what is reserved of it. */
export function freeOf(pool: Pool): MilliMb {
  return subtractSizes(subtractSizes(pool.total, pool.inVolumes), pool.inRefinements);
}

const UNRESERVED: readonly Reservation[] = Object.freeze([]);

type MutablePool = { -readonly [Key in keyof Pool]: Pool[Key] };
type Maps = { readonly [T in Table]: Map<string, Records[T]> };

export class NodeState {
  readonly #records: Maps = {
    reservations: new Map(),
    volumes: new Map(),
    containers: new Map(),
    operations: new Map(),
    disks: new Map(),
    sandboxes: new Map(),
    apps: new Map(),
  };
  readonly #pools = new Map<string, MutablePool>();
  readonly #live = new Map<string, Volume>();
  readonly #retired = new Map<string, Set<Incarnation>>();
  readonly #attached = new Map<Incarnation, Set<ContainerId>>();
  readonly #places = new Map<string, Set<ContainerId>>();
  #volumesVersion = 0;

  /** @param declared unreserved and statically reserved disk, as the operator declared or the machine showed it */
  constructor(declared: readonly DiskResource[]) {
    for (const disk of declared) {
      const pool = this.#poolFor(disk.source, disk.reservations);
      pool.total = addSizes(pool.total, disk.size);
    }
  }

  get volumes(): ReadonlyMap<string, Volume> {
    return this.#records.volumes;
  }

  /** Another number after every change of a volume: what was derived from all of them is as good as new until then. */
  get volumesVersion(): number {
    return this.#volumesVersion;
  }

  get containers(): ReadonlyMap<string, Container> {
    return this.#records.containers;
  }

  get reservations(): ReadonlyMap<string, ReservationRecord> {
    return this.#records.reservations;
  }

  get operations(): ReadonlyMap<string, OperationRecord> {
    return this.#records.operations;
  }

  get disks(): ReadonlyMap<string, DiskRecord> {
    return this.#records.disks;
  }

  get sandboxes(): ReadonlyMap<string, SandboxRecord> {
    return this.#records.sandboxes;
  }

  get apps(): ReadonlyMap<string, AppRecord> {
    return this.#records.apps;
  }

  get pools(): Iterable<Pool> {
    return this.#pools.values();
  }

  pool(source: DiskSource, reservations: readonly Reservation[]): Pool | undefined {
    return this.#pools.get(poolKey(source, reservations));
  }

  /** The live volume of this name. */
  live(role: Role, id: VolumeId): Volume | undefined {
    return this.#live.get(nameKey(role, id));
  }

  /** The destroyed incarnations of this name that are still on disk, newest first. */
  retired(role: Role, id: VolumeId): readonly Volume[] {
    const uuids = this.#retired.get(nameKey(role, id)) ?? [];
    return [...uuids].map((uuid) => this.#mustHave(uuid)).sort((a, b) => compareRetirements(b.retired, a.retired));
  }

  /** The containers that have an attachment of this volume, whatever its phase. */
  containersOf(uuid: Incarnation): readonly Container[] {
    return this.#containers(this.#attached.get(uuid));
  }

  /** The containers that live in this sandbox directory: a `placeOf`. */
  containersIn(place: string): readonly Container[] {
    return this.#containers(this.#places.get(place));
  }

  /** Free disk by pool and every live volume that is not just being adopted: what Mesos calls the agent's resources. */
  *resources(): Generator<DiskResource> {
    for (const pool of this.#pools.values()) {
      const free = freeOf(pool);
      if (free > 0) yield { size: free, source: pool.source, reservations: pool.reservations };
    }
    for (const volume of this.#live.values()) if (volume.origin === undefined) yield resourceOf(volume);
  }

  /** Sets or removes one record and returns the change that takes it back. */
  apply(change: Change): Change {
    switch (change.table) {
      case "reservations": {
        const before = this.#put("reservations", change.key, change.value);
        this.#moveReservation(before, change.value);
        return { table: "reservations", key: change.key, value: before };
      }
      case "volumes": {
        const before = this.#put("volumes", change.key, change.value);
        this.#forgetVolume(before);
        this.#indexVolume(change.value);
        this.#volumesVersion += 1;
        return { table: "volumes", key: change.key, value: before };
      }
      case "containers": {
        const before = this.#put("containers", change.key, change.value);
        this.#forgetContainer(before);
        this.#indexContainer(change.value);
        return { table: "containers", key: change.key, value: before };
      }
      case "operations":
        return { table: "operations", key: change.key, value: this.#put("operations", change.key, change.value) };
      case "disks":
        return { table: "disks", key: change.key, value: this.#put("disks", change.key, change.value) };
      case "sandboxes":
        return { table: "sandboxes", key: change.key, value: this.#put("sandboxes", change.key, change.value) };
      case "apps":
        return { table: "apps", key: change.key, value: this.#put("apps", change.key, change.value) };
    }
  }

  #put<T extends Table>(table: T, key: string, value: Records[T] | undefined): Records[T] | undefined {
    const map: Map<string, Records[T]> = this.#records[table];
    const before = map.get(key);
    if (value === undefined) map.delete(key);
    else map.set(key, value);
    return before;
  }

  #moveReservation(before: ReservationRecord | undefined, after: ReservationRecord | undefined): void {
    const subject = after ?? before;
    if (subject === undefined) return;
    const grown = subtractSizes(after?.size ?? ZERO_MB, before?.size ?? ZERO_MB);
    const pool = this.#poolFor(subject.source, subject.reservations);
    pool.total = addSizes(pool.total, grown);
    const parent = this.#poolFor(subject.source, subject.reservations.slice(0, -1));
    parent.inRefinements = addSizes(parent.inRefinements, grown);
    this.#dropIfEmpty(pool);
  }

  #indexVolume(volume: Volume | undefined): void {
    if (volume === undefined) return;
    const name = nameKey(volume.role, volume.id);
    if (volume.phase === "live") this.#live.set(name, volume);
    else addTo(this.#retired, name, volume.uuid);
    const stack = chargedTo(volume);
    if (stack === undefined) return;
    const pool = this.#poolFor(volume.source, stack);
    pool.inVolumes = addSizes(pool.inVolumes, volume.size);
  }

  #forgetVolume(volume: Volume | undefined): void {
    if (volume === undefined) return;
    const name = nameKey(volume.role, volume.id);
    if (volume.phase !== "live") removeFrom(this.#retired, name, volume.uuid);
    else if (this.#live.get(name)?.uuid === volume.uuid) this.#live.delete(name);
    const stack = chargedTo(volume);
    if (stack === undefined) return;
    const pool = this.#poolFor(volume.source, stack);
    pool.inVolumes = subtractSizes(pool.inVolumes, volume.size);
    this.#dropIfEmpty(pool);
  }

  #indexContainer(container: Container | undefined): void {
    if (container === undefined) return;
    const place = placeOf(container);
    if (place !== undefined) addTo(this.#places, place, container.id);
    for (const { uuid } of container.attachments) addTo(this.#attached, uuid, container.id);
  }

  #forgetContainer(container: Container | undefined): void {
    if (container === undefined) return;
    const place = placeOf(container);
    if (place !== undefined) removeFrom(this.#places, place, container.id);
    for (const { uuid } of container.attachments) removeFrom(this.#attached, uuid, container.id);
  }

  #containers(ids: Set<ContainerId> | undefined): readonly Container[] {
    return ids === undefined ? [] : [...ids].flatMap((id) => this.#records.containers.get(id) ?? []);
  }

  #poolFor(source: DiskSource, reservations: readonly Reservation[]): MutablePool {
    const key = poolKey(source, reservations);
    let pool = this.#pools.get(key);
    if (pool === undefined) {
      pool = { key, source, reservations, total: ZERO_MB, inVolumes: ZERO_MB, inRefinements: ZERO_MB };
      this.#pools.set(key, pool);
    }
    return pool;
  }

  #dropIfEmpty(pool: MutablePool): void {
    if (pool.total === 0 && pool.inVolumes === 0 && pool.inRefinements === 0) this.#pools.delete(pool.key);
  }

  #mustHave(uuid: Incarnation): Volume {
    const volume = this.#records.volumes.get(uuid);
    if (volume === undefined) throw new Error(`The index names volume ${uuid}, which is not there`);
    return volume;
  }
}

/**
 * Changes made to a node in memory, one after the other, each decision seeing the ones before it, and taken back as a
 * whole when one is refused.
 */
export class Transaction {
  readonly state: NodeState;
  readonly #changes: Change[] = [];
  readonly #undo: Change[] = [];

  constructor(state: NodeState) {
    this.state = state;
  }

  get changes(): readonly Change[] {
    return this.#changes;
  }

  /** For each change, what was there before it. */
  get replaced(): readonly Change[] {
    return this.#undo;
  }

  set<T extends Table>(table: T, key: string, value: Records[T] | undefined): void {
    const change = { table, key, value } as Change;
    this.#undo.push(this.state.apply(change));
    this.#changes.push(change);
  }

  rollback(): void {
    for (const change of this.#undo.reverse()) this.state.apply(change);
    this.#undo.length = 0;
    this.#changes.length = 0;
  }
}

const NO_PHASES: readonly AttachmentPhase[] = [];

/** The phases of all of a volume's attachments, for `stateOf`. */
export function attachmentPhases(state: NodeState, uuid: Incarnation): readonly AttachmentPhase[] {
  const containers = state.containersOf(uuid);
  // Nearly all of many volumes have none, and are looked at together.
  if (containers.length === 0) return NO_PHASES;
  return containers
    .flatMap((container) => container.attachments.filter((attachment) => attachment.uuid === uuid))
    .map((attachment) => attachment.phase);
}

/** A live volume as the resource that Mesos lists. */
export function resourceOf(volume: Volume): DiskResource {
  return {
    size: volume.size,
    source: volume.source,
    reservations: volume.reservations,
    volume: {
      id: volume.id,
      ...(volume.principal === undefined ? {} : { principal: volume.principal }),
      containerPath: volume.containerPath,
      mode: "RW",
      shared: volume.shared,
    },
  };
}

/**
 * The reservation stack that a volume takes disk from; `undefined` for retained content, which counts against nobody,
 * and for what is not adopted yet.
 */
function chargedTo({ phase, pinned, origin, reservations }: Volume): readonly Reservation[] | undefined {
  if (phase === "live") return origin === undefined ? reservations : undefined;
  return pinned === true ? UNRESERVED : undefined;
}

// Roles have no spaces, so that no two names share a key.
function nameKey(role: Role, id: VolumeId): string {
  return `${role} ${id}`;
}

function addTo<K, V>(index: Map<K, Set<V>>, key: K, value: V): void {
  const set = index.get(key);
  if (set === undefined) index.set(key, new Set([value]));
  else set.add(value);
}

function removeFrom<K, V>(index: Map<K, Set<V>>, key: K, value: V): void {
  const set = index.get(key);
  if (set?.delete(value) && set.size === 0) index.delete(key);
}
