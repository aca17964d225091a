/**
 * Which disk an operation takes when a person names only a role and a size. Nothing is refused here for lack of room:
 * the likeliest pool goes to the daemon, which decides and explains.
 */
import { HoldfastError } from "../../domain/error.ts";
import { type DiskResource, type DiskSource, type Label, ROOT_DISK, roleOf } from "../../domain/resource.ts";
import { hasRoom, poolsWithRoom } from "../../domain/room.ts";
import { printSize } from "../../domain/size.ts";
import type { MilliMb, Principal, Role } from "../../domain/units.ts";

/** What a person said about the disk to take. */
export interface PoolChoice {
  readonly role: Role;
  readonly size: MilliMb;
  /** `ROOT` or the root directory of a PATH or MOUNT disk. */
  readonly disk?: string | undefined;
  readonly principal?: Principal | undefined;
  readonly labels?: readonly Label[] | undefined;
}

/** Free reserved disk for a new volume: the work root's first, then the tightest fit. */
export function poolForVolume(resources: readonly DiskResource[], choice: PoolChoice): DiskResource {
  const pools = freePools(resources, choice);
  return poolsWithRoom(pools, choice.size)[0] ?? fallback(resources, pools, choice);
}

/** Dynamically reserved disk to give back: which one must be clear. */
export function poolToUnreserve(resources: readonly DiskResource[], choice: PoolChoice): DiskResource {
  const pools = freePools(resources, choice).filter((pool) => pool.reservations.at(-1)?.type === "DYNAMIC");
  const [pool, ...others] = pools.filter((candidate) => hasRoom(candidate, choice.size));
  if (pool === undefined) return fallback(resources, pools, choice);
  if (others.length === 0) return pool;
  throw new HoldfastError(
    "invalid",
    `Cannot unreserve disk of role ${choice.role}: ${[pool, ...others].map(describePool).join(" or ")}? ` +
      "Say which with --disk, --principal or --label",
  );
}

/** The disk with this root, `ROOT` being the work root's. */
export function diskOf(resources: readonly DiskResource[], root: string): DiskSource {
  if (root === "ROOT") return ROOT_DISK;
  const found = resources.find(({ source }) => rootOf(source) === root);
  if (found !== undefined) return found.source;
  const known = [...new Set(resources.map(({ source }) => rootOf(source)))].join(", ");
  throw new HoldfastError("insufficient", `Cannot take disk on ${root}: the node has no such disk, only ${known}`);
}

function rootOf(source: DiskSource): string {
  return source.type === "ROOT" ? "ROOT" : source.root;
}

function freePools(resources: readonly DiskResource[], choice: PoolChoice): DiskResource[] {
  return resources.filter(
    (resource) =>
      resource.volume === undefined &&
      roleOf(resource.reservations) === choice.role &&
      (choice.disk === undefined || rootOf(resource.source) === choice.disk) &&
      matchesReservation(resource, choice),
  );
}

function matchesReservation({ reservations }: DiskResource, { principal, labels }: PoolChoice): boolean {
  const current = reservations.at(-1);
  return (
    (principal === undefined || current?.principal === principal) &&
    (labels ?? []).every((wanted) =>
      current?.labels?.some((label) => label.key === wanted.key && label.value === wanted.value),
    )
  );
}

/** What the daemon will refuse with the figures: the largest pool there is, else exactly what was asked for. */
function fallback(
  resources: readonly DiskResource[],
  pools: readonly DiskResource[],
  { role, size, disk, principal, labels }: PoolChoice,
): DiskResource {
  const largest = [...pools].sort((left, right) => right.size - left.size)[0];
  if (largest !== undefined) return largest;
  const level = {
    type: "DYNAMIC" as const,
    role,
    ...(principal === undefined ? {} : { principal }),
    ...(labels === undefined ? {} : { labels }),
  };
  return { size, source: disk === undefined ? ROOT_DISK : diskOf(resources, disk), reservations: [level] };
}

function describePool({ size, source, reservations }: DiskResource): string {
  const { principal, labels } = reservations.at(-1) ?? {};
  const labelText = labels?.map(({ key, value }) => (value === undefined ? key : `${key}=${value}`)).join(",");
  return [
    `${printSize(size)} on ${rootOf(source)}`,
    principal === undefined ? "without principal" : `of ${principal}`,
    ...(labelText === undefined ? [] : [`labelled ${labelText}`]),
  ].join(" ");
}
