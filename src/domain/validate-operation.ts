/**
 * What must be right about operations whatever the node holds, and the defaults that the caller's principal fills: who
 * is authenticated is who reserves and who creates. What depends on the node's state is decided in `decide.ts`.
 */
import { HoldfastError } from "./error.ts";
import type { Actor, Operation } from "./operation.ts";
import { commonStack, isSameStack } from "./reservation-stack.ts";
import { type DiskResource, type Reservation, roleOf, sourceKey, type VolumeSpec } from "./resource.ts";
import { type MilliMb, type Principal, toMb } from "./units.ts";

/** A resource that has a volume. */
type VolumeResource = DiskResource & { readonly volume: VolumeSpec };

/**
 * The operations as they are to be authorised and executed.
 * @throws `invalid` the first operation that cannot be right on any node, `duplicate_volume` one that creates the same
 * volume twice; `details.index` says which, counted from 0
 */
export function validateOperations(actor: Actor, operations: readonly Operation[]): readonly Operation[] {
  if (operations.length === 0) throw invalid("perform operations", "the list is empty");
  const principal = actor.kind === "principal" ? actor.principal : undefined;
  return operations.map((operation, index) => {
    try {
      return validate(operation, principal);
    } catch (error) {
      if (!(error instanceof HoldfastError)) throw error;
      throw new HoldfastError(error.code, error.message, { cause: error, details: { ...error.details, index } });
    }
  });
}

function validate(operation: Operation, principal: Principal | undefined): Operation {
  switch (operation.type) {
    case "RESERVE":
      return validateReserve(operation, principal);
    case "UNRESERVE":
      requireSome(operation.resources, "unreserve disk");
      for (const resource of operation.resources) requireDynamicDisk(resource, "unreserve disk");
      return operation;
    case "CREATE":
      return { ...operation, volumes: validateCreate(operation.volumes, principal) };
    case "DESTROY":
      requireSome(operation.volumes, "destroy volumes");
      for (const volume of operation.volumes) requireVolume(volume, "destroy");
      return operation;
    case "GROW_VOLUME":
      validateGrow(operation);
      return operation;
    case "SHRINK_VOLUME":
      validateShrink(operation.volume, operation.subtract);
      return operation;
  }
}

type Reserve = Extract<Operation, { type: "RESERVE" }>;

/** Without a source one level is pushed, the last; with it, every level that the source does not have yet. */
function validateReserve(operation: Reserve, principal: Principal | undefined): Reserve {
  const { resources, source } = operation;
  requireSome(resources, "reserve disk");
  for (const resource of resources) requireDynamicDisk(resource, "reserve disk");
  if (source !== undefined) requireTransfer(source, resources);
  const kept = source === undefined ? undefined : commonStack([...source, ...resources]).length;
  const filled = resources.map((resource) => ({
    ...resource,
    reservations: fillReservers(resource.reservations, kept ?? resource.reservations.length - 1, principal),
  }));
  return { ...operation, resources: filled };
}

/** `source` becomes `resources`: the same disk under one other stack, of which only dynamic levels change. */
function requireTransfer(source: readonly DiskResource[], resources: readonly DiskResource[]): void {
  const deed = "reserve disk from a source";
  requireSome(source, deed);
  if (source.some(({ volume }) => volume !== undefined)) {
    throw invalid(deed, "the source has a volume, destroy it first");
  }
  if (!hasOneStack(source)) throw invalid(deed, "the source has several reservations, expected the same for all");
  if (!hasOneStack(resources)) {
    throw invalid(deed, "the resources have several reservations, expected the same for all");
  }
  if (!isSameDisk(source, resources)) {
    throw invalid(deed, "source and resources are not equally much of the same disks");
  }
  const kept = commonStack([...source, ...resources]).length;
  const changed = [...source, ...resources].flatMap(({ reservations }) => reservations.slice(kept));
  if (changed.some(({ type }) => type === "STATIC")) {
    throw invalid(deed, "a static reservation would change, expected only dynamic ones to");
  }
}

function hasOneStack(resources: readonly DiskResource[]): boolean {
  return resources.every(({ reservations }) => isSameStack(reservations, resources[0]?.reservations ?? []));
}

/** Whether two lists have equally much of each disk; a MOUNT disk is taken whole, so its pieces are not added up. */
function isSameDisk(left: readonly DiskResource[], right: readonly DiskResource[]): boolean {
  const leftTotals = totalsOf(left);
  const rightTotals = totalsOf(right);
  return (
    leftTotals.size === rightTotals.size && [...leftTotals].every(([disk, total]) => rightTotals.get(disk) === total)
  );
}

function totalsOf(resources: readonly DiskResource[]): ReadonlyMap<string, bigint> {
  const totals = new Map<string, bigint>();
  for (const { source, size } of resources) {
    const disk = source.type === "MOUNT" ? `${sourceKey(source)}:${size}` : sourceKey(source);
    totals.set(disk, (totals.get(disk) ?? 0n) + BigInt(size));
  }
  return totals;
}

function fillReservers(
  stack: readonly Reservation[],
  kept: number,
  principal: Principal | undefined,
): readonly Reservation[] {
  if (principal === undefined) return stack;
  return stack.map((level, depth) => (depth < kept ? level : fillPrincipal(level, principal, "reserve disk")));
}

function validateCreate(volumes: readonly DiskResource[], principal: Principal | undefined): readonly VolumeResource[] {
  requireSome(volumes, "create volumes");
  const seen = new Set<string>();
  return volumes.map((resource) => {
    const created = requireVolume(resource, "create");
    const name = nameOf(created);
    if (seen.has(name)) {
      throw new HoldfastError("duplicate_volume", `Cannot create volume ${name}: the list names it twice`);
    }
    seen.add(name);
    if (principal === undefined) return created;
    return { ...created, volume: fillPrincipal(created.volume, principal, `create volume ${name}`) };
  });
}

function validateGrow({ volume, addition, sharedToo }: Extract<Operation, { type: "GROW_VOLUME" }>): void {
  const deed = `grow volume ${nameOf(requireResizable(volume, "grow", sharedToo))}`;
  if (addition.volume !== undefined) throw invalid(deed, "the addition is a volume, expected free disk");
  if (addition.size <= 0) throw invalid(deed, `the addition is ${toMb(addition.size)} MB, expected more than 0`);
  if (sourceKey(addition.source) !== sourceKey(volume.source)) throw invalid(deed, "the addition is on another disk");
  if (!isSameStack(addition.reservations, volume.reservations)) {
    throw invalid(deed, "the addition has other reservations than the volume");
  }
  if (!Number.isSafeInteger(volume.size + addition.size)) throw invalid(deed, "it would be too large");
}

function validateShrink(volume: DiskResource, subtract: MilliMb): void {
  const deed = `shrink volume ${nameOf(requireResizable(volume, "shrink"))}`;
  if (subtract <= 0) throw invalid(deed, `${toMb(subtract)} MB are to be taken away, expected more than 0`);
  if (subtract >= volume.size) {
    throw invalid(deed, `${toMb(subtract)} MB are to be taken away, expected less than its ${toMb(volume.size)} MB`);
  }
}

function requireResizable(resource: DiskResource, verb: string, sharedToo = false): VolumeResource {
  const volume = requireVolume(resource, verb);
  const deed = `${verb} volume ${nameOf(volume)}`;
  if (volume.volume.shared && !sharedToo) throw invalid(deed, "it is shared");
  if (volume.source.type === "MOUNT") throw invalid(deed, "it has a MOUNT disk, which is taken whole");
  return volume;
}

function requireVolume(resource: DiskResource, verb: string): VolumeResource {
  const { volume } = resource;
  if (volume === undefined) throw invalid(`${verb} a volume`, "the resource has no disk.persistence");
  const name = nameOf({ ...resource, volume });
  if (resource.reservations.length === 0) throw invalid(`${verb} volume ${name}`, "it is not on reserved disk");
  if (volume.mode !== "RW") throw invalid(`${verb} volume ${name}`, `its mode is ${volume.mode}, expected RW`);
  return { ...resource, volume };
}

function requireDynamicDisk(resource: DiskResource, deed: string): void {
  if (resource.volume !== undefined) {
    throw invalid(deed, `${resource.volume.id} is a volume, destroy it first`);
  }
  const last = resource.reservations.at(-1);
  if (last === undefined) throw invalid(deed, "the resource has no reservation, expected a dynamic one");
  if (last.type !== "DYNAMIC") {
    throw invalid(deed, `the reservation for ${last.role} is static, expected a dynamic one`);
  }
}

function requireSome(list: readonly DiskResource[], deed: string): void {
  if (list.length === 0) throw invalid(deed, "none is named");
}

/** Who is authenticated is who acts: nobody reserves or creates in another's name. */
function fillPrincipal<Part extends { readonly principal?: Principal }>(
  part: Part,
  principal: Principal,
  deed: string,
): Part & { readonly principal: Principal } {
  const named = part.principal ?? principal;
  if (named !== principal) throw invalid(deed, `the principal is ${named}, expected the authenticated ${principal}`);
  return { ...part, principal };
}

function nameOf(volume: VolumeResource): string {
  return `${roleOf(volume.reservations) ?? "*"}/${volume.volume.id}`;
}

function invalid(deed: string, reason: string): HoldfastError {
  return new HoldfastError("invalid", `Cannot ${deed}: ${reason}`);
}
