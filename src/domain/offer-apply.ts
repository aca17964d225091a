/**
 * Operations on an offer: whether it has what they take, one after the other, and what of it they leave untouched. What
 * the node then really has is decided by `decide.ts`; this keeps a framework to what it was offered.
 */
import { HoldfastError } from "./error.ts";
import { type Holding, has, hold, isWhole, put, sizeIn, take } from "./offer.ts";
import type { Operation } from "./operation.ts";
import { type DiskResource, type Reservation, roleOf } from "./resource.ts";
import { addSizes, type MilliMb, subtractSizes, toMb } from "./units.ts";

/** What an operation takes, and what it makes of it. */
export interface Conversion {
  readonly consumed: readonly DiskResource[];
  readonly converted: readonly DiskResource[];
}

/**
 * @param role whom the offer is for
 * @returns what of the offer no operation took: it counts as declined
 * @throws `invalid` what the offer does not have, or a reservation for another role; `details.index` says which operation
 */
export function applyToOffer(
  offered: readonly DiskResource[],
  role: string,
  operations: readonly Operation[],
): readonly DiskResource[] {
  const offer = { untouched: hold(offered), made: hold([]) };
  for (const [index, operation] of operations.entries()) {
    const refuse = (reason: string): never => {
      throw new HoldfastError("invalid", `Cannot ${operation.type} on this offer: ${reason}`, { details: { index } });
    };
    requireRole(operation, role, refuse);
    const { consumed, converted } = conversionOf(operation);
    for (const resource of consumed) takeFrom(offer, resource, refuse);
    for (const resource of converted) put(offer.made, resource);
  }
  return [...offer.untouched.values()];
}

/** The operation has been validated: every reservation and volume that it speaks of is there. */
export function conversionOf(operation: Operation): Conversion {
  switch (operation.type) {
    case "RESERVE":
      return { consumed: operation.source ?? operation.resources.map(popped), converted: operation.resources };
    case "UNRESERVE":
      return { consumed: operation.resources, converted: operation.resources.map(popped) };
    case "CREATE":
      return { consumed: operation.volumes.map(stripped), converted: operation.volumes };
    case "DESTROY":
      return { consumed: operation.volumes, converted: operation.volumes.map(stripped) };
    case "GROW_VOLUME": {
      const { volume, addition } = operation;
      const grown = { ...volume, size: addSizes(volume.size, addition.size) };
      return { consumed: [volume, addition], converted: [grown] };
    }
    case "SHRINK_VOLUME": {
      const { volume, subtract } = operation;
      const shrunk = { ...volume, size: subtractSizes(volume.size, subtract) };
      return { consumed: [volume], converted: [shrunk, { ...stripped(volume), size: subtract }] };
    }
  }
}

interface Offer {
  readonly untouched: Holding;
  readonly made: Holding;
}

/** What an operation before made is taken first. */
function takeFrom({ made, untouched }: Offer, resource: DiskResource, refuse: (reason: string) => never): void {
  const whole = [made, untouched].find((holding) => has(holding, resource));
  if (whole !== undefined) {
    take(whole, resource);
    return;
  }
  const mine = sizeIn(made, resource);
  const missing = subtractSizes(resource.size, mine);
  if (isWhole(resource) || sizeIn(untouched, resource) < missing) {
    refuse(`it does not have ${describe(resource)}${what(addSizes(mine, sizeIn(untouched, resource)), resource)}`);
  }
  take(made, { ...resource, size: mine });
  take(untouched, { ...resource, size: missing });
}

/** Nobody reserves for a role by an offer to another one. */
function requireRole(operation: Operation, role: string, refuse: (reason: string) => never): void {
  if (operation.type !== "RESERVE") return;
  const other = operation.resources.map(({ reservations }) => roleOf(reservations)).find((owner) => owner !== role);
  if (other !== undefined) refuse(`it reserves for role ${other}, and the offer is to role ${role}`);
}

function popped(resource: DiskResource): DiskResource {
  return { ...resource, reservations: resource.reservations.slice(0, -1) };
}

function stripped({ size, source, reservations }: DiskResource): DiskResource {
  return { size, source, reservations };
}

function describe({ size, source, reservations, volume }: DiskResource): string {
  const place = source.type === "ROOT" ? "" : ` on ${source.type} ${source.root}`;
  if (volume !== undefined) return `volume ${volume.id} of ${toMb(size)} MB${place} ${describeStack(reservations)}`;
  return `${toMb(size)} MB${place} ${describeStack(reservations)}`;
}

function describeStack(reservations: readonly Reservation[]): string {
  const last = reservations.at(-1);
  if (last === undefined) return "of unreserved disk";
  const by = last.principal === undefined ? "" : ` by ${last.principal}`;
  return `reserved for role ${last.role}${by}`;
}

function what(held: MilliMb, { volume }: DiskResource): string {
  return held === 0 || volume !== undefined ? "" : `, only ${toMb(held)} MB`;
}
