/** What an earlier process left of its pool goes into ours; nobody knows whether it was synced. */
import type { Incarnation } from "../domain/units.ts";
import type { Spare } from "../ports/disk.ts";
import type { Log } from "../ports/log.ts";
import type { Place } from "./disk-places.ts";
import { ONE_BY_ONE } from "./durability.ts";
import { inSlices } from "./durable.ts";
import type { Enforcer } from "./enforcer.ts";
import { findUnused, removeHalfMade } from "./incarnation.ts";
import type { SparePool } from "./spare-pool.ts";

export interface LeftoverParts {
  readonly root: string;
  readonly volumes: Place;
  readonly pool: SparePool;
  readonly enforcer: Pick<Enforcer, "keep" | "discard">;
  /** Gives a spare its SELinux label. */
  readonly label: (spare: Spare) => void;
  readonly log: Log;
}

/**
 * Takes those of unknown incarnations that are spares, as far as there is room, and removes the others of them and what
 * a kill left half made. Returns all these.
 */
export async function takeLeftovers(
  parts: LeftoverParts,
  uuids: readonly Incarnation[],
  isKnown: (uuid: Incarnation) => boolean,
): Promise<ReadonlySet<Incarnation>> {
  const { volumes, pool, enforcer } = parts;
  const found: Spare[] = [];
  const halfMade: Incarnation[] = [];
  await inSlices(uuids, (uuid) => {
    // Asked again, for it may have become a volume while others were looked at.
    if (isKnown(uuid) || pool.has(uuid)) return;
    const spare = findUnused(volumes.fd, uuid);
    if (spare !== undefined) found.push(spare);
    else if (removeHalfMade(volumes.fd, uuid)) halfMade.push(uuid);
  });
  const kept = found.slice(0, pool.room).flatMap((spare) => keep(parts, spare) ?? []);
  const keptOnes = new Set(kept.map(({ uuid }) => uuid));
  for (const { uuid } of found) if (!keptOnes.has(uuid)) enforcer.discard(uuid);
  await ONE_BY_ONE.syncSpares(volumes, kept);
  pool.add(kept);
  pool.fill();
  return new Set([...found.map(({ uuid }) => uuid), ...halfMade]);
}

/** The earlier process had other settings, perhaps, or the file system was mounted otherwise. */
function keep({ root, enforcer, label, log }: LeftoverParts, found: Spare): Spare | undefined {
  try {
    const spare = enforcer.keep(found);
    if (spare !== undefined) label(spare);
    return spare;
  } catch (error) {
    log.warn({ root, error }, "A spare directory cannot be used again");
    return undefined;
  }
}
