/** Decides what becomes of a copy: which volume, on which disk of whom; and whether an existing one is that already. */
import { may, mayView } from "../domain/authorise.ts";
import { nameOf } from "../domain/decide.ts";
import { type ErrorCode, HoldfastError } from "../domain/error.ts";
import { refusalOf } from "../domain/lifecycle.ts";
import { freeOf, type NodeState } from "../domain/node.ts";
import { type Actor, actorName, type Operation } from "../domain/operation.ts";
import type { CopySource, Volume } from "../domain/records.ts";
import { type DiskResource, type DiskSource, type Reservation, roleOf, sourceKey } from "../domain/resource.ts";
import { BYTES_PER_MB, type MilliMb, toBytes, toMb, ZERO_MB } from "../domain/units.ts";
import type { CopyRequest } from "./engine.ts";
import { usageOf } from "./measure.ts";
import type { Parts } from "./parts.ts";
import { volumeState } from "./views.ts";

/** A copy that may be begun: room is taken by these operations. */
export interface CopyPlan {
  readonly source: Volume;
  readonly operations: readonly Operation[];
  readonly reserved: MilliMb;
}

/** Whether somebody may copy comes before what there is. */
export function requireMayCopy(parts: Parts, actor: Actor, request: CopyRequest): void {
  const acls = parts.acls();
  if (!mayView(acls, actor, request.source.role)) {
    throw refused(request, "forbidden", `the ACLs do not allow view_roles to ${actorName(actor)}`);
  }
  if (!may(acls, actor, "create_volumes", request.role)) {
    throw refused(request, "forbidden", `the ACLs do not allow create_volumes to ${actorName(actor)}`);
  }
}

/**
 * The copy that was asked for before, finished or not; `undefined` when nothing has its name.
 * @throws `duplicate_volume` what has the name is something else
 */
export function findCopy(state: NodeState, request: CopyRequest): Volume | undefined {
  const volume = state.live(request.role, request.id);
  if (volume === undefined) return undefined;
  const of = request.snapshot ? volume.snapshotOf : volume.copyOf;
  const isSize = request.size === undefined || request.size === volume.size;
  if (of !== undefined && isSize && isOf(state, of, request)) return volume;
  const name = `${request.role}/${request.id}`;
  throw refused(request, "duplicate_volume", `a volume ${name} exists that is not this copy`);
}

/** The source may be gone since; another one of its name is another source. */
function isOf(state: NodeState, { role, id, uuid }: CopySource, { source }: CopyRequest): boolean {
  const current = state.live(source.role, source.id);
  return role === source.role && id === source.id && (current === undefined || current.uuid === uuid);
}

/** @throws `no_such_volume`, `busy`, `damaged` the source, `insufficient` it is known not to fit */
export function planCopy(parts: Parts, state: NodeState, actor: Actor, request: CopyRequest): CopyPlan {
  const source = requireSource(parts, state, request);
  const size = request.size ?? source.size;
  requireFits(parts, source, request, size);
  const disk = request.disk ?? source.source;
  const { reservations, reserved } = chooseStack(state, actor, request, { disk, size });
  const create: DiskResource = {
    size,
    source: disk,
    reservations,
    volume: {
      id: request.id,
      containerPath: request.containerPath ?? source.containerPath,
      mode: "RW",
      shared: request.shared ?? source.shared,
    },
  };
  const reserve: Operation = { type: "RESERVE", resources: [{ size: reserved, source: disk, reservations }] };
  return {
    source,
    operations: [...(reserved > 0 ? [reserve] : []), { type: "CREATE", volumes: [create] }],
    reserved,
  };
}

/** The source as it is now, if it may be copied. */
export function requireSource(parts: Parts, state: NodeState, request: CopyRequest): Volume {
  const { role, id } = request.source;
  const source = state.live(role, id);
  if (source === undefined) throw refused(request, "no_such_volume", "there is no such volume");
  const current = volumeState(parts, state, source);
  const refusal = refusalOf(current, "copy");
  if (refusal === undefined) return source;
  throw refused(request, refusal, parts.observations.damageOf(source.uuid) ?? `it is ${current}`);
}

function requireFits(parts: Parts, source: Volume, request: CopyRequest, size: MilliMb): void {
  const usedBytes = usageOf(parts, source)?.usedBytes ?? 0;
  if (usedBytes <= toBytes(size)) return;
  const usedMb = Math.ceil(usedBytes / BYTES_PER_MB);
  throw new HoldfastError(
    "insufficient",
    `Cannot copy ${nameOf(source)} as ${nameOf(request)} of ${toMb(size)} MB: ${usedMb} MB of it are used`,
    { details: { wantedMb: toMb(size), usedMb } },
  );
}

interface Wanted {
  readonly disk: DiskSource;
  readonly size: MilliMb;
}

/** Where it shall lie, and how much of that is to be reserved first. */
function chooseStack(
  state: NodeState,
  actor: Actor,
  request: CopyRequest,
  { disk, size }: Wanted,
): { readonly reservations: readonly Reservation[]; readonly reserved: MilliMb } {
  const reservations = request.reservations ?? roomIn(state, request, { disk, size }) ?? [ownLevel(actor, request)];
  if (roleOf(reservations) !== request.role) {
    throw refused(request, "invalid", `its reservations are not of role ${request.role}`);
  }
  const pool = state.pool(disk, reservations);
  const free = pool === undefined ? ZERO_MB : Math.max(freeOf(pool), 0);
  return { reservations, reserved: Math.max(size - free, 0) as MilliMb };
}

/** The smallest free piece of the role's disk that it fits into. */
function roomIn(state: NodeState, { role }: CopyRequest, { disk, size }: Wanted): readonly Reservation[] | undefined {
  const fits = (free: MilliMb) => (disk.type === "MOUNT" ? free === size : free >= size);
  const [pool] = [...state.pools]
    .filter(({ source, reservations }) => sourceKey(source) === sourceKey(disk) && roleOf(reservations) === role)
    .filter((one) => fits(freeOf(one)))
    .sort((left, right) => freeOf(left) - freeOf(right));
  return pool?.reservations;
}

function ownLevel(actor: Actor, { role }: CopyRequest): Reservation {
  return { type: "DYNAMIC", role, ...(actor.kind === "principal" ? { principal: actor.principal } : {}) };
}

export function refused({ source, role, id, snapshot }: CopyRequest, code: ErrorCode, reason: string): HoldfastError {
  const deed = snapshot ? "take a snapshot of" : "copy";
  return new HoldfastError(code, `Cannot ${deed} ${nameOf(source)} as ${role}/${id}: ${reason}`);
}
