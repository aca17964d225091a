/**
 * RESTORE: a retained volume is live again. Its directory is moved back before the commit, which is harmless to
 * repeat: a retained volume that recovery finds under `volumes/` goes to trash again.
 */
import { may } from "../domain/authorise.ts";
import { nameOf } from "../domain/decide.ts";
import { HoldfastError } from "../domain/error.ts";
import { refusalOf } from "../domain/lifecycle.ts";
import { freeOf, type NodeState, type Transaction } from "../domain/node.ts";
import { type Actor, actorName } from "../domain/operation.ts";
import type { Volume } from "../domain/records.ts";
import { poolKey, sourceKey } from "../domain/resource.ts";
import { addSizes, type Incarnation, type Role, toMb, type VolumeId, ZERO_MB } from "../domain/units.ts";
import type { RestoreRequest } from "./engine.ts";
import { diskOfVolume } from "./handed-ports.ts";
import { holdToSize } from "./hold.ts";
import type { Parts } from "./parts.ts";

/** The caller has the incarnation to itself. */
export async function restoreVolume(parts: Parts, actor: Actor, uuid: Incarnation, as?: VolumeId): Promise<Volume> {
  const { ledger, labeller } = parts;
  const plan = await ledger.rehearse((tx) => decideRestore(tx, parts, actor, uuid, as));
  const disk = diskOfVolume(parts.disks, plan);
  let restored: Volume | undefined;
  try {
    // What fails may have moved it: not every failure is of the move.
    await disk.restore(plan);
    await ledger.transact({ durable: true, by: actorName(actor) }, (tx) => {
      restored = decideRestore(tx, parts, actor, uuid, as);
      labeller.expect([restored]);
    });
  } catch (error) {
    if (restored !== undefined) labeller.forget([restored]);
    await takeBack(parts, plan);
    throw error;
  }
  if (restored === undefined) throw new Error("The restore was committed without a decision");
  // It may have been due, and held.
  parts.observations.succeeded(uuid);
  holdToSize(parts, [restored]);
  labeller.write([restored]);
  labeller.reservationsChanged();
  return restored;
}

/** Puts the directory into trash again, unless it is live after all; what fails is left to the reconcile. */
async function takeBack(parts: Parts, plan: Volume): Promise<void> {
  try {
    const current = await parts.ledger.read((state) => state.volumes.get(plan.uuid));
    if (current?.phase === "retained") await diskOfVolume(parts.disks, plan).drop(plan);
  } catch (error) {
    parts.log.error({ error, volume: plan.uuid }, "Cannot move a volume that was not restored to trash again");
  }
}

/**
 * The incarnation that a request means: the one it names, or the newest of that role and id. Whether it may be
 * restored comes before whether it is there.
 */
export function findRetained(parts: Parts, state: NodeState, actor: Actor, request: RestoreRequest): Volume {
  const role = request.uuid === undefined ? request.role : state.volumes.get(request.uuid)?.role;
  requireAllowed(parts, actor, "create_volumes", role);
  if (request.uuid !== undefined) return mustBeRetained(state, request.uuid);
  const newest = state.retired(request.role, request.id).find((volume) => volume.phase === "retained");
  if (newest !== undefined) return newest;
  throw new HoldfastError(
    "no_such_volume",
    `Cannot restore volume ${request.role}/${request.id}: no destroyed volume of this name is left`,
  );
}

function mustBeRetained(state: NodeState, uuid: Incarnation): Volume {
  const volume = state.volumes.get(uuid);
  if (volume === undefined) throw new HoldfastError("no_such_volume", `Cannot restore volume ${uuid}: there is none`);
  if (volume.copying !== undefined) {
    throw new HoldfastError("unsupported", `Cannot restore volume ${nameOf(volume)}: it is half a copy`);
  }
  const refusal = volume.phase === "live" ? "duplicate_volume" : refusalOf(volume.phase, "restore");
  if (refusal === undefined) return volume;
  throw new HoldfastError(refusal, `Cannot restore volume ${nameOf(volume)}: it is ${volume.phase}`);
}

/** Takes the role's reserved disk if enough of it is free, else reserves what is missing from below. */
function decideRestore(tx: Transaction, parts: Parts, actor: Actor, uuid: Incarnation, as?: VolumeId): Volume {
  const retained = mustBeRetained(tx.state, uuid);
  requireAllowed(parts, actor, "create_volumes", retained.role);
  const id = as ?? retained.id;
  if (tx.state.live(retained.role, id) !== undefined) {
    throw new HoldfastError(
      "duplicate_volume",
      `Cannot restore volume ${nameOf(retained)}: a volume ${retained.role}/${id} exists, choose another id`,
    );
  }
  // What a pin took from unreserved disk is there to take again.
  // Whose it was is over: nothing but its name is left of that.
  const { retired: _retired, pinned: _pinned, app: _app, ...rest } = retained;
  if (retained.pinned === true) tx.set("volumes", uuid, rest);
  takeDisk(tx, parts, actor, retained);
  const live: Volume = { ...rest, id, phase: "live", revision: parts.ledger.nextRevision() };
  tx.set("volumes", uuid, live);
  return live;
}

function takeDisk(tx: Transaction, parts: Parts, actor: Actor, volume: Volume): void {
  const { source, reservations } = volume;
  const pool = tx.state.pool(source, reservations);
  const free = pool === undefined ? ZERO_MB : freeOf(pool);
  if (free >= volume.size) return;
  const missing = Math.max(volume.size - free, 0) as Volume["size"];
  const below = tx.state.pool(source, reservations.slice(0, -1));
  const freeBelow = below === undefined ? ZERO_MB : freeOf(below);
  if (reservations.at(-1)?.type !== "DYNAMIC" || freeBelow < missing) {
    throw new HoldfastError(
      "insufficient",
      `Cannot restore volume ${nameOf(volume)}: it needs ${toMb(volume.size)} MB, ${toMb(free)} MB of its reservation and ${toMb(freeBelow)} MB below it are free`,
      { details: { wantedMb: toMb(volume.size), freeMb: toMb(addSizes(free, freeBelow)) } },
    );
  }
  const closed = parts.observations.closedDisks.get(sourceKey(source));
  if (closed !== undefined) {
    throw new HoldfastError(
      "insufficient",
      `Cannot restore volume ${nameOf(volume)}: its disk takes no new reservations, ${closed}`,
    );
  }
  requireAllowed(parts, actor, "reserve_resources", volume.role);
  const key = poolKey(source, reservations);
  const reserved = tx.state.reservations.get(key)?.size ?? ZERO_MB;
  tx.set("reservations", key, { source, reservations, size: addSizes(reserved, missing) });
}

function requireAllowed(
  parts: Parts,
  actor: Actor,
  action: "create_volumes" | "reserve_resources",
  role: Role | undefined,
): void {
  if (may(parts.acls(), actor, action, role)) return;
  const object = role === undefined ? "" : ` of role ${role}`;
  throw new HoldfastError(
    "forbidden",
    `Cannot restore the volume: ${actorName(actor)} may not ${action.replace("_", " ")}${object}`,
  );
}
