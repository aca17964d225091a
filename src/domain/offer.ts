/**
 * Offers of disk, as Mesos makes them: what a framework's role may have, which of the offers that are out still hold,
 * and what is new to offer. Pure: the scheduler face asks, and sends what comes out.
 *
 * The same disk may be offered to several frameworks; who accepts first has it, and the others' offers are rescinded.
 */
import { isStrictSubRole } from "./names.ts";
import { type DiskResource, poolKey, roleOf } from "./resource.ts";
import { addSizes, type MilliMb, subtractSizes, ZERO_MB } from "./units.ts";

/** What a framework can cope with, and for which of its roles an offer is. */
export interface OfferTerms {
  /** `*` has no reservations of its own. */
  readonly role: string;
  readonly takesShared: boolean;
  /** Whether it understands more than one level of reservation. */
  readonly takesRefined: boolean;
}

/** Disk by what can be added up: free disk of one pool, or one volume. */
export type Holding = Map<string, DiskResource>;

export interface StandingOffer {
  readonly id: string;
  readonly resources: readonly DiskResource[];
}

export interface OfferPlan {
  /** Offers of which something is gone. */
  readonly rescinded: readonly string[];
  /** What no offer has and nothing refuses; empty for nothing. */
  readonly offered: readonly DiskResource[];
}

/** Disk that a role may have: unreserved, its own, and what is reserved to a role above it. */
export function offerableTo(
  resources: readonly DiskResource[],
  { role, takesShared, takesRefined }: OfferTerms,
): readonly DiskResource[] {
  return resources.filter(({ reservations, volume }) => {
    const owner = roleOf(reservations);
    const isTheirs = owner === undefined || owner === role || isStrictSubRole(owner, role);
    return isTheirs && (takesShared || volume?.shared !== true) && (takesRefined || reservations.length < 2);
  });
}

/**
 * Keeps the standing offers that still hold, in their order, and offers the rest.
 * @param refused what was declined for a while: disk that is all in one of these is not offered
 */
export function planOffers(
  available: readonly DiskResource[],
  standing: readonly StandingOffer[],
  refused: readonly Holding[],
): OfferPlan {
  const rest = hold(available);
  const rescinded = standing.filter(({ resources }) => !takeAll(rest, resources)).map(({ id }) => id);
  const offered = [...rest.values()];
  const isRefused = refused.some((one) => offered.every((resource) => has(one, resource)));
  return { rescinded, offered: isRefused ? [] : offered };
}

export function hold(resources: readonly DiskResource[]): Holding {
  const holding: Holding = new Map();
  for (const resource of resources) put(holding, resource);
  return holding;
}

/** Whether it can be taken: a volume as it is, a MOUNT disk whole, of other disk a part. */
export function has(holding: Holding, resource: DiskResource): boolean {
  const held = holding.get(holdingKey(resource));
  if (held === undefined) return false;
  return isWhole(resource) ? held.size === resource.size : held.size >= resource.size;
}

export function put(holding: Holding, resource: DiskResource): void {
  if (resource.size === ZERO_MB) return;
  const key = holdingKey(resource);
  const held = holding.get(key);
  holding.set(key, held === undefined ? resource : { ...held, size: addSizes(held.size, resource.size) });
}

/** Takes what `has` says is there. */
export function take(holding: Holding, resource: DiskResource): void {
  const key = holdingKey(resource);
  const left = subtractSizes(sizeIn(holding, resource), resource.size);
  const held = holding.get(key);
  if (held === undefined || left <= 0) holding.delete(key);
  else holding.set(key, { ...held, size: left });
}

/** How much of this pool, or of this volume, is held. */
export function sizeIn(holding: Holding, resource: DiskResource): MilliMb {
  return holding.get(holdingKey(resource))?.size ?? ZERO_MB;
}

/** What can only be taken as it is. */
export function isWhole({ volume, source }: DiskResource): boolean {
  return volume !== undefined || source.type === "MOUNT";
}

/** Takes all of them or nothing. */
function takeAll(holding: Holding, resources: readonly DiskResource[]): boolean {
  if (!resources.every((resource) => has(holding, resource))) return false;
  for (const resource of resources) take(holding, resource);
  return true;
}

function holdingKey({ source, reservations, volume }: DiskResource): string {
  const pool = poolKey(source, reservations);
  return volume === undefined ? pool : `${pool}\n${volume.id}`;
}
