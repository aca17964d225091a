/**
 * Branded ids and units. Parsers at the doors make them; everything behind the doors trusts them.
 * A disk size is an integer of thousandths of a megabyte (MiB), because Mesos compares scalars as three-decimal
 * fixed point.
 */

declare const brand: unique symbol;
type Branded<Base, Name extends string> = Base & { readonly [brand]: Name };

/** Thousandths of a MiB: a non-negative safe integer. */
export type MilliMb = Branded<number, "MilliMb">;
/** Milliseconds since the epoch, by the wall clock. */
export type WallMs = Branded<number, "WallMs">;
/** A role: `ads`, `eng/frontend`; never `*`, which means unreserved. */
export type Role = Branded<string, "Role">;
/** Mesos's persistence id: what people call the volume, unique among a role's live volumes. */
export type VolumeId = Branded<string, "VolumeId">;
/** A random UUID: one life of a volume, and the name of its directory. */
export type Incarnation = Branded<string, "Incarnation">;
/** A container's id, as its runtime calls it. */
export type ContainerId = Branded<string, "ContainerId">;
/** One path component below a sandbox. */
export type ContainerPath = Branded<string, "ContainerPath">;
/** Who authenticated. */
export type Principal = Branded<string, "Principal">;
/** The id of this node, what Mesos calls `slaveId`; a random UUID made when the work root is. */
export type AgentId = Branded<string, "AgentId">;
/** The number by which a file system's project quota knows a volume; never 0. */
export type ProjectId = Branded<number, "ProjectId">;
/** A stateful app, as Marathon calls it: an absolute path, `/sesame/samson`. */
export type AppId = Branded<string, "AppId">;
/** One instance of an app: Marathon's task id, `sesame_samson.<uuid>`. */
export type InstanceId = Branded<string, "InstanceId">;
/** The kernel's boot id. */
export type BootId = Branded<string, "BootId">;

export const ZERO_MB = 0 as MilliMb;

/** The largest size that is exact: about 8 EiB. */
export const MAX_MB = Number.MAX_SAFE_INTEGER / 1000;

/** What Mesos and everybody here calls a megabyte. */
export const BYTES_PER_MB = 1024 * 1024;

/** MB with up to three decimals, for wire formats and people. */
export function toMb(size: MilliMb): number {
  return size / 1000;
}

/** Whole bytes, rounded down. */
export function toBytes(size: MilliMb): number {
  return Math.floor((size / 1000) * BYTES_PER_MB);
}

export function addSizes(left: MilliMb, right: MilliMb): MilliMb {
  return (left + right) as MilliMb;
}

/** May be negative: a node whose declared disk shrank below what is reserved. */
export function subtractSizes(left: MilliMb, right: MilliMb): MilliMb {
  return (left - right) as MilliMb;
}
