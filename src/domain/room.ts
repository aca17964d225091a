/** Which free disk a volume takes when nobody says which. */
import { type DiskResource, poolKey } from "./resource.ts";
import type { MilliMb } from "./units.ts";

/** The pools that have room for so much, the one to take first: the work root's disk, then the tightest fit. */
export function poolsWithRoom(pools: readonly DiskResource[], size: MilliMb): readonly DiskResource[] {
  return pools.filter((pool) => pool.volume === undefined && hasRoom(pool, size)).sort(byPreference);
}

/** A MOUNT disk is taken as a whole or not at all. */
export function hasRoom({ source, size }: DiskResource, wanted: MilliMb): boolean {
  return source.type === "MOUNT" ? size === wanted : size >= wanted;
}

function byPreference(left: DiskResource, right: DiskResource): number {
  const leftIsRoot = left.source.type === "ROOT" ? 0 : 1;
  const rightIsRoot = right.source.type === "ROOT" ? 0 : 1;
  return leftIsRoot - rightIsRoot || left.size - right.size || (poolOf(left) < poolOf(right) ? -1 : 1);
}

function poolOf({ source, reservations }: DiskResource): string {
  return poolKey(source, reservations);
}
