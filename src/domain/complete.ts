/**
 * Completes what an operation may leave out because the node knows it: the principal of a reservation, where the
 * caller's own is meant. Mesos would refuse such a resource as another one than was reserved.
 */
import type { Actor, Operation } from "./operation.ts";
import { type DiskResource, type DiskSource, poolKey, type Reservation } from "./resource.ts";
import type { Principal } from "./units.ts";

/** What there is: a pool of disk, whatever its size. */
interface Pools {
  pool(source: DiskSource, reservations: readonly Reservation[]): unknown;
}

/** Reveals nothing: what does not fit is left as it is, and refused later, behind the ACLs. */
export function completeOperations(state: Pools, actor: Actor, operations: readonly Operation[]): readonly Operation[] {
  if (actor.kind !== "principal") return operations;
  const { principal } = actor;
  const reservedHere = new Set(operations.flatMap((operation) => keysOfReserve(operation, principal)));
  const exists = ({ source, reservations }: DiskResource) =>
    state.pool(source, reservations) !== undefined || reservedHere.has(poolKey(source, reservations));
  return operations.map((operation) =>
    completeOperation(operation, (resource) => complete(resource, principal, exists)),
  );
}

/** A RESERVE without a principal will have the caller's, and what comes behind it in the list may mean that. */
function keysOfReserve(operation: Operation, principal: Principal): string[] {
  if (operation.type !== "RESERVE") return [];
  return operation.resources.map((resource) =>
    poolKey(resource.source, withPrincipal(resource, principal).reservations),
  );
}

function completeOperation(operation: Operation, fill: (resource: DiskResource) => DiskResource): Operation {
  switch (operation.type) {
    case "RESERVE":
      return operation;
    case "UNRESERVE":
      return { ...operation, resources: operation.resources.map(fill) };
    case "CREATE":
    case "DESTROY":
      return { ...operation, volumes: operation.volumes.map(fill) };
    case "GROW_VOLUME":
      return { ...operation, volume: fill(operation.volume), addition: fill(operation.addition) };
    case "SHRINK_VOLUME":
      return { ...operation, volume: fill(operation.volume) };
  }
}

function complete(resource: DiskResource, principal: Principal, exists: (one: DiskResource) => boolean): DiskResource {
  const filled = withPrincipal(resource, principal);
  return filled !== resource && !exists(resource) && exists(filled) ? filled : resource;
}

/** The same resource where its last level is dynamic and has no principal; else it itself. */
function withPrincipal(resource: DiskResource, principal: Principal): DiskResource {
  const last = resource.reservations.at(-1);
  if (last?.type !== "DYNAMIC" || last.principal !== undefined) return resource;
  return { ...resource, reservations: [...resource.reservations.slice(0, -1), { ...last, principal }] };
}
