/** Decides what becomes of a directory that is adopted: which volume, how large, on which disk of whom. */
import { nameOf } from "../domain/decide.ts";
import { HoldfastError } from "../domain/error.ts";
import { freeOf, type Transaction } from "../domain/node.ts";
import { type Actor, actorName } from "../domain/operation.ts";
import type { Volume } from "../domain/records.ts";
import { type DiskSource, poolKey, type Reservation, roleOf, sourceKey } from "../domain/resource.ts";
import { requireNotDiscarded } from "../domain/sandboxes.ts";
import { addSizes, BYTES_PER_MB, type ContainerPath, type MilliMb, toBytes, toMb, ZERO_MB } from "../domain/units.ts";
import type { VolumeUsage } from "../ports/disk.ts";
import type { Found } from "./adopt-survey.ts";
import type { Adoption } from "./engine.ts";
import type { Parts } from "./parts.ts";

export const DEFAULT_CONTAINER_PATH = "data" as ContainerPath;
/** What is not a volume yet has no label: this revision never waits for one. */
export const NO_LABEL = 0;

/** Applies what the adoption of one directory comes to. */
export function decideAdoption(
  tx: Transaction,
  parts: Parts,
  actor: Actor,
  { adoption, disk, spare, usage }: Found,
): Volume {
  const { source } = disk;
  const { role, id } = adoption;
  const now = parts.clock.now();
  const wanted = { role, id, source, size: adoption.size ?? defaultSize(tx, source, adoption, usage) };
  requireNotDiscarded(tx.state, adoption.directory);
  requireNameFree(tx, wanted);
  requireFits(adoption, wanted.size, usage);
  const volume: Volume = {
    ...spare,
    ...wanted,
    reservations: takeDisk(tx, parts, wanted),
    containerPath: adoption.containerPath ?? DEFAULT_CONTAINER_PATH,
    shared: false,
    createdBy: actorName(actor),
    createdAt: now,
    phase: "live",
    // It has its owner.
    firstAttachedAt: now,
    revision: NO_LABEL,
  };
  tx.set("volumes", volume.uuid, volume);
  return volume;
}

/** What the content takes, in whole MB; a MOUNT disk is taken whole. */
function defaultSize(tx: Transaction, source: DiskSource, { role }: Adoption, usage: VolumeUsage | undefined): MilliMb {
  const usedMb = Math.max(1, Math.ceil((usage?.usedBytes ?? 0) / BYTES_PER_MB));
  if (source.type !== "MOUNT") return (usedMb * 1_000) as MilliMb;
  const free = [...tx.state.pools]
    .filter((pool) => sourceKey(pool.source) === sourceKey(source) && (roleOf(pool.reservations) ?? role) === role)
    .map(freeOf);
  return Math.max(usedMb * 1_000, ...free) as MilliMb;
}

export function requireNameFree(tx: Transaction, volume: Pick<Volume, "role" | "id">): void {
  if (tx.state.live(volume.role, volume.id) === undefined) return;
  throw new HoldfastError(
    "duplicate_volume",
    `Cannot adopt a directory as volume ${nameOf(volume)}: it exists already`,
  );
}

function requireFits({ directory }: Adoption, size: MilliMb, usage: VolumeUsage | undefined): void {
  const usedBytes = usage?.usedBytes ?? 0;
  if (usedBytes <= toBytes(size)) return;
  const usedMb = Math.ceil(usedBytes / BYTES_PER_MB);
  throw new HoldfastError(
    "insufficient",
    `Cannot adopt ${directory} as a volume of ${toMb(size)} MB: ${usedMb} MB of it are used`,
    { details: { wantedMb: toMb(size), usedMb } },
  );
}

/** Takes free disk that the role has already, else of its own and of unreserved disk together. Returns what it lies on. */
export function takeDisk(
  tx: Transaction,
  parts: Parts,
  { role, id, source, size }: Pick<Volume, "role" | "id" | "source" | "size">,
): readonly Reservation[] {
  const isWhole = source.type === "MOUNT";
  const pools = [...tx.state.pools].filter((pool) => sourceKey(pool.source) === sourceKey(source));
  const own = pools
    .filter(({ reservations }) => roleOf(reservations) === role)
    .filter((pool) => (isWhole ? freeOf(pool) === size : freeOf(pool) >= size))
    .sort((left, right) => freeOf(left) - freeOf(right));
  if (own[0] !== undefined) return own[0].reservations;

  const reservations: readonly Reservation[] = [{ type: "DYNAMIC", role }];
  const refuse = (reason: string, free: MilliMb): never => {
    const message = `Cannot adopt a directory as volume ${nameOf({ role, id })}: ${reason}`;
    throw new HoldfastError("insufficient", message, { details: { wantedMb: toMb(size), freeMb: toMb(free) } });
  };
  const freeIn = (stack: readonly Reservation[]): MilliMb => {
    const pool = tx.state.pool(source, stack);
    return pool === undefined ? ZERO_MB : (Math.max(freeOf(pool), 0) as MilliMb);
  };
  const reserved = freeIn(reservations);
  const free = addSizes(reserved, freeIn([]));
  if (isWhole && free !== size) {
    refuse(`a MOUNT disk is taken whole, and ${toMb(free)} MB of it are free, not ${toMb(size)} MB`, free);
  }
  if (free < size) {
    const figures = `${toMb(reserved)} MB reserved for its role and ${toMb(freeIn([]))} MB unreserved are free`;
    refuse(`it needs ${toMb(size)} MB, ${figures} on its disk`, free);
  }
  const closed = parts.observations.closedDisks.get(sourceKey(source));
  if (closed !== undefined) refuse(`its disk takes no new reservations, ${closed}`, free);
  const key = poolKey(source, reservations);
  const before = tx.state.reservations.get(key)?.size ?? ZERO_MB;
  const after = addSizes(before, (size - reserved) as MilliMb);
  tx.set("reservations", key, { source, reservations, size: after });
  return reservations;
}
