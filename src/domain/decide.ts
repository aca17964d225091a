/**
 * Decides what a list of operations does to a node: purely, in memory, each operation seeing the ones before it. The
 * operations have been validated and authorised. A refusal is thrown; the caller rolls the transaction back.
 */
import { ownerOf } from "./app-members.ts";
import { HoldfastError } from "./error.ts";
import { refusalOf, stateOf } from "./lifecycle.ts";
import { attachmentPhases, freeOf, type Pool, type Transaction } from "./node.ts";
import type { Operation } from "./operation.ts";
import type { DirectoryIdentity, Retirement, Volume } from "./records.ts";
import { type DiskResource, type DiskSource, poolKey, type Reservation, roleOf } from "./resource.ts";
import {
  addSizes,
  BYTES_PER_MB,
  type Incarnation,
  type MilliMb,
  type ProjectId,
  toBytes,
  toMb,
  type WallMs,
} from "./units.ts";

/** A directory that waits for its volume. */
interface ReadyDirectory {
  readonly uuid: Incarnation;
  readonly directory: DirectoryIdentity;
  readonly projectId?: ProjectId;
}

/** What a decision needs to know of the world, observed before it. */
export interface DecisionContext {
  readonly by: string;
  readonly now: WallMs;
  readonly retirement: () => Retirement;
  /** Takes one of the directories that were prepared for this list. */
  readonly takeDirectory: (source: DiskSource) => ReadyDirectory;
  /** Who holds the volume's directory, whatever our books say: a phrase for people, `undefined` for nobody. */
  readonly heldBy: (uuid: Incarnation) => string | undefined;
  /** What a volume's content takes, bytes; `undefined` when that is not known yet. */
  readonly usedBytes: (volume: Volume) => number | undefined;
  /** Why a volume is damaged; `undefined` for a healthy one. */
  readonly damageOf: (uuid: Incarnation) => string | undefined;
  /** Why a disk takes no new reservations: a phrase for people. */
  readonly closedTo: (source: DiskSource) => string | undefined;
  readonly nextRevision: () => number;
  /** What else a new volume is, beside what its operation says. */
  readonly complete?: (volume: Volume) => Volume;
}

/** What is left to do on disk when the changes are committed. */
export interface Decision {
  readonly created: readonly Volume[];
  readonly resized: readonly Volume[];
  readonly destroyed: readonly Volume[];
  readonly reservationsChanged: boolean;
  readonly summaries: readonly { readonly type: string; readonly summary: string }[];
}

type Draft = { created: Volume[]; resized: Volume[]; destroyed: Volume[]; reservationsChanged: boolean };

/** @throws the refusal of the first operation that cannot be done, with its `index` in the details */
export function decideOperations(
  tx: Transaction,
  operations: readonly Operation[],
  context: DecisionContext,
): Decision {
  const draft: Draft = { created: [], resized: [], destroyed: [], reservationsChanged: false };
  const summaries = operations.map((operation, index) => {
    try {
      return { type: operation.type, summary: decide(tx, operation, context, draft) };
    } catch (error) {
      throw error instanceof HoldfastError ? withIndex(error, index) : error;
    }
  });
  return { ...draft, created: stillThere(draft.created, draft), resized: stillThere(draft.resized, draft), summaries };
}

function decide(tx: Transaction, operation: Operation, context: DecisionContext, draft: Draft): string {
  switch (operation.type) {
    case "RESERVE":
      draft.reservationsChanged = true;
      return reserve(tx, operation.resources, operation.source?.[0]?.reservations, context);
    case "UNRESERVE":
      draft.reservationsChanged = true;
      return unreserve(tx, operation.resources);
    case "CREATE": {
      const created = operation.volumes.map((volume) => create(tx, volume, context));
      draft.created.push(...created);
      return `Created ${list(created)}`;
    }
    case "DESTROY": {
      const destroyed = operation.volumes.map((volume) => destroy(tx, volume, context));
      draft.destroyed.push(...destroyed);
      return `Destroyed ${list(destroyed)}`;
    }
    case "GROW_VOLUME": {
      const { volume, addition, sharedToo = false } = operation;
      const grown = resize(tx, volume, { by: addition.size, sharedToo }, context);
      draft.resized.push(grown);
      return `Grew ${nameOf(grown)} to ${toMb(grown.size)} MB`;
    }
    case "SHRINK_VOLUME": {
      const shrunk = resize(tx, operation.volume, { by: -operation.subtract as MilliMb, sharedToo: false }, context);
      draft.resized.push(shrunk);
      return `Shrank ${nameOf(shrunk)} to ${toMb(shrunk.size)} MB`;
    }
  }
}

/** Moves disk from the stack `from` (default: the target's without its last level) up to its target stack. */
function reserve(
  tx: Transaction,
  resources: readonly DiskResource[],
  from: readonly Reservation[] | undefined,
  context: DecisionContext,
): string {
  for (const resource of resources) {
    const closed = context.closedTo(resource.source);
    if (closed !== undefined) throw refused("insufficient", `Cannot reserve ${describe(resource)}: ${closed}`);
    const start = from ?? resource.reservations.slice(0, -1);
    const shared = commonLevels(resource.source, start, resource.reservations);
    for (let level = start.length; level > shared; level -= 1) {
      changeReservation(tx, resource, start.slice(0, level), -resource.size as MilliMb, "unreserve");
    }
    for (let level = shared + 1; level <= resource.reservations.length; level += 1) {
      changeReservation(tx, resource, resource.reservations.slice(0, level), resource.size, "reserve");
    }
  }
  return `Reserved ${resources.map(describe).join(", ")}`;
}

function unreserve(tx: Transaction, resources: readonly DiskResource[]): string {
  for (const resource of resources) {
    changeReservation(tx, resource, resource.reservations, -resource.size as MilliMb, "unreserve");
  }
  return `Unreserved ${resources.map(describe).join(", ")}`;
}

/** Grows a dynamic reservation from its parent pool, or gives a part of it back. */
function changeReservation(
  tx: Transaction,
  resource: DiskResource,
  reservations: readonly Reservation[],
  delta: MilliMb,
  verb: "reserve" | "unreserve",
): void {
  if (reservations.at(-1)?.type !== "DYNAMIC") {
    throw refused("invalid", `Cannot ${verb} ${describe(resource)}: a static reservation is the configuration's`);
  }
  const giver = delta > 0 ? reservations.slice(0, -1) : reservations;
  requireFree(tx.state.pool(resource.source, giver), { ...resource, reservations: giver }, verb);
  const key = poolKey(resource.source, reservations);
  const size = addSizes(tx.state.reservations.get(key)?.size ?? (0 as MilliMb), delta);
  tx.set("reservations", key, size === 0 ? undefined : { source: resource.source, reservations, size });
}

function create(tx: Transaction, resource: DiskResource, context: DecisionContext): Volume {
  const { spec, role } = volumePart(resource);
  const name = `${role}/${spec.id}`;
  if (tx.state.live(role, spec.id) !== undefined) {
    throw refused("duplicate_volume", `Cannot create volume ${name}: it exists already`);
  }
  requireFree(tx.state.pool(resource.source, resource.reservations), resource, `create volume ${name} in`);
  const bare: Volume = {
    ...context.takeDirectory(resource.source),
    role,
    id: spec.id,
    size: resource.size,
    source: resource.source,
    reservations: resource.reservations,
    containerPath: spec.containerPath,
    shared: spec.shared,
    ...(spec.principal === undefined ? {} : { principal: spec.principal }),
    createdBy: context.by,
    createdAt: context.now,
    phase: "live",
    revision: context.nextRevision(),
  };
  const volume = context.complete?.(bare) ?? bare;
  tx.set("volumes", volume.uuid, volume);
  return volume;
}

function destroy(tx: Transaction, resource: DiskResource, context: DecisionContext): Volume {
  const volume = find(tx, resource, "destroy", "no_such_volume");
  const name = nameOf(volume);
  const container = tx.state.containersOf(volume.uuid)[0];
  if (container !== undefined) {
    const lingers = attachmentPhases(tx.state, volume.uuid).every((phase) => phase === "lingering");
    const reason = lingers
      ? `container ${container.id} was detached by force, and a process may still hold it`
      : `attached to container ${container.id}, detach it first`;
    throw refused("in_use", `Cannot destroy volume ${name}: ${reason}`);
  }
  const instance = ownerOf(tx.state, volume);
  if (instance !== undefined) {
    throw refused(
      "in_use",
      `Cannot destroy volume ${name}: app ${volume.app?.id} has it, wipe its instance ${instance.id}`,
    );
  }
  requireAllowed(tx, volume, "destroy", context);
  if (volume.protected === true) {
    throw refused("protected", `Cannot destroy volume ${name}: it is protected, unprotect it first`);
  }
  const holder = context.heldBy(volume.uuid);
  if (holder !== undefined)
    throw refused("in_use", `Cannot destroy volume ${name}: its directory is held by ${holder}`);
  // Only a damaged one has it still: what there is of it, wherever it is.
  const { origin: _origin, ...rest } = volume;
  const revision = context.nextRevision();
  const destroyed: Volume = {
    ...rest,
    phase: "destroying",
    retired: { ...context.retirement(), order: revision },
    revision,
  };
  tx.set("volumes", volume.uuid, destroyed);
  return destroyed;
}

interface Resizing {
  /** Negative shrinks. */
  readonly by: MilliMb;
  readonly sharedToo: boolean;
}

function resize(
  tx: Transaction,
  resource: DiskResource,
  { by: delta, sharedToo }: Resizing,
  context: DecisionContext,
): Volume {
  const volume = find(tx, resource, delta > 0 ? "grow" : "shrink", "conflict");
  if (volume.shared && !sharedToo) {
    throw refused("invalid", `Cannot resize volume ${nameOf(volume)}: it is shared`);
  }
  requireAllowed(tx, volume, "resize", context);
  if (delta > 0) {
    const addition: DiskResource = { size: delta, source: volume.source, reservations: volume.reservations };
    requireFree(tx.state.pool(volume.source, volume.reservations), addition, `grow volume ${nameOf(volume)} by`);
  }
  const size = addSizes(volume.size, delta);
  if (delta < 0) requireRoom(volume, size, context);
  const resized: Volume = { ...volume, size, revision: context.nextRevision() };
  tx.set("volumes", volume.uuid, resized);
  return resized;
}

/** What is in a volume stays in it. */
function requireRoom(volume: Volume, size: MilliMb, context: DecisionContext): void {
  const usedBytes = context.usedBytes(volume) ?? 0;
  if (usedBytes <= toBytes(size)) return;
  const usedMb = Math.ceil(usedBytes / BYTES_PER_MB);
  throw new HoldfastError(
    "insufficient",
    `Cannot shrink volume ${nameOf(volume)} to ${toMb(size)} MB: ${usedMb} MB of it are used`,
    { details: { wantedMb: toMb(size), usedMb } },
  );
}

function requireAllowed(tx: Transaction, volume: Volume, event: "destroy" | "resize", context: DecisionContext): void {
  const damage = context.damageOf(volume.uuid);
  const state = stateOf(volume, attachmentPhases(tx.state, volume.uuid), damage !== undefined);
  const refusal = refusalOf(state, event);
  if (refusal === undefined) return;
  throw new HoldfastError(refusal, `Cannot ${event} volume ${nameOf(volume)}: ${damage ?? `it is ${state}`}`);
}

/** The live volume that a resource names exactly: role, id, size, disk and reservation stack. */
function find(tx: Transaction, resource: DiskResource, verb: string, mismatch: "no_such_volume" | "conflict"): Volume {
  const { spec, role } = volumePart(resource);
  const volume = tx.state.live(role, spec.id);
  if (volume === undefined) {
    throw refused("no_such_volume", `Cannot ${verb} volume ${role}/${spec.id}: there is none`);
  }
  if (volume.size !== resource.size) {
    throw refused(
      mismatch,
      `Cannot ${verb} volume ${role}/${spec.id}: it has ${toMb(volume.size)} MB, not ${toMb(resource.size)} MB`,
    );
  }
  if (poolKey(volume.source, volume.reservations) !== poolKey(resource.source, resource.reservations)) {
    throw refused(mismatch, `Cannot ${verb} volume ${role}/${spec.id}: it lies on another disk or reservation`);
  }
  return volume;
}

function requireFree(pool: Pool | undefined, wanted: DiskResource, verb: string): void {
  const free = pool === undefined ? 0 : freeOf(pool);
  const exclusive = wanted.source.type === "MOUNT";
  if (exclusive ? free === wanted.size : free >= wanted.size) return;
  const rule = exclusive ? "a MOUNT disk is taken whole, and" : "only";
  throw new HoldfastError(
    "insufficient",
    `Cannot ${verb} ${toMb(wanted.size)} MB of ${describeStack(wanted.reservations)}: ${rule} ${toMb(Math.max(free, 0) as MilliMb)} MB are free there`,
    { details: { wantedMb: toMb(wanted.size), freeMb: toMb(Math.max(free, 0) as MilliMb) } },
  );
}

function volumePart(resource: DiskResource) {
  const role = roleOf(resource.reservations);
  if (resource.volume === undefined || role === undefined) throw new Error("The operation was not validated");
  return { spec: resource.volume, role };
}

/** How many levels two stacks have in common, counted from the bottom. */
function commonLevels(source: DiskSource, left: readonly Reservation[], right: readonly Reservation[]): number {
  let level = Math.min(left.length, right.length);
  while (level > 0 && poolKey(source, left.slice(0, level)) !== poolKey(source, right.slice(0, level))) level -= 1;
  return level;
}

/** A volume that a later operation of the same list changed again is handled there. */
function stillThere(volumes: readonly Volume[], draft: Draft): Volume[] {
  const last = new Map([...draft.created, ...draft.resized, ...draft.destroyed].map((volume) => [volume.uuid, volume]));
  return volumes.filter((volume) => last.get(volume.uuid) === volume);
}

function refused(
  code: "invalid" | "insufficient" | "duplicate_volume" | "no_such_volume" | "in_use" | "conflict" | "protected",
  message: string,
) {
  return new HoldfastError(code, message);
}

function withIndex(error: HoldfastError, index: number): HoldfastError {
  return new HoldfastError(error.code, error.message, { cause: error, details: { ...error.details, index } });
}

export function nameOf(volume: Pick<Volume, "role" | "id">): string {
  return `${volume.role}/${volume.id}`;
}

function list(volumes: readonly Volume[]): string {
  return volumes.length > 3 ? `${volumes.length} volumes` : volumes.map(nameOf).join(", ");
}

function describe(resource: DiskResource): string {
  const { size, reservations } = resource;
  return `${toMb(size)} MB ${reservations.length === 0 ? "of unreserved disk" : `for ${describeRole(reservations)}`}`;
}

function describeStack(reservations: readonly Reservation[]): string {
  return reservations.length === 0 ? "unreserved disk" : `disk reserved for ${describeRole(reservations)}`;
}

function describeRole(reservations: readonly Reservation[]): string {
  const last = reservations.at(-1);
  return last?.principal === undefined ? `role ${last?.role}` : `role ${last.role} by ${last.principal}`;
}
