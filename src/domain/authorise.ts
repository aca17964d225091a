/**
 * What each operation needs the ACLs to allow. This comes before every question about the node: a refusal must not tell
 * what is there. It speaks about the parsed operations, which are also what is executed.
 */
import { type AclAction, type Acls, allows } from "./acl.ts";
import { HoldfastError } from "./error.ts";
import { type Actor, actorName, type Operation } from "./operation.ts";
import { commonStack } from "./reservation-stack.ts";
import { type DiskResource, type Reservation, roleOf } from "./resource.ts";
import type { Role } from "./units.ts";

/** What authorisation must know about the node. */
export interface VolumeCreators {
  /** The stored creator of a volume, "" when it has none; `undefined` when there is no such volume. */
  creator(volume: DiskResource): string | undefined;
}

/** One question to the ACLs. */
interface Need {
  readonly action: AclAction;
  /** A role or a principal; `undefined` where the request names none. */
  readonly object: string | undefined;
  /** What is asked for, as a refusal says it. */
  readonly deed: string;
}

/**
 * Lets all operations of a list pass, or none.
 * @throws `forbidden` the ACLs deny one of them; `details.index` says which, counted from 0
 */
export function authorise(acls: Acls, actor: Actor, operations: readonly Operation[], find: VolumeCreators): void {
  operations.forEach((operation, index) => {
    const denied = needsOf(operation, find).find((need) => !may(acls, actor, need.action, need.object));
    if (denied === undefined) return;
    const reason = `the ACLs do not allow ${denied.action} to ${actorName(actor)}`;
    throw new HoldfastError("forbidden", `Cannot ${denied.deed}: ${reason}`, { details: { index } });
  });
}

/**
 * Lets somebody subscribe as a framework in all of these roles, of which `*` is one.
 * @throws `forbidden` the ACLs deny one of them
 */
export function authoriseFramework(acls: Acls, actor: Actor, roles: readonly string[]): void {
  const denied = roles.find((role) => !may(acls, actor, "register_frameworks", role));
  if (denied === undefined) return;
  const reason = `the ACLs do not allow register_frameworks to ${actorName(actor)}`;
  throw new HoldfastError("forbidden", `Cannot subscribe in role ${denied}: ${reason}`);
}

/** Whether an actor may do this to an object. A peer of the agent socket is the superuser. */
export function may(acls: Acls, actor: Actor, action: AclAction, object: string | undefined): boolean {
  switch (actor.kind) {
    case "peer":
      return true;
    case "principal":
      return allows(acls, action, actor.principal, object);
    case "anonymous":
      return allows(acls, action, undefined, object);
  }
}

/** Whether an actor may see what belongs to a role; unreserved disk (`undefined`) belongs to all. */
export function mayView(acls: Acls, actor: Actor, role: Role | undefined): boolean {
  return role === undefined || may(acls, actor, "view_roles", role);
}

function needsOf(operation: Operation, find: VolumeCreators): readonly Need[] {
  switch (operation.type) {
    case "RESERVE":
      return operation.source === undefined
        ? operation.resources.map(({ reservations }) => reserving(reservations.at(-1)))
        : transferring(operation.source, operation.resources);
    case "UNRESERVE":
      return operation.resources.map(({ reservations }) => unreserving(reservations.at(-1)));
    case "CREATE":
      return operation.volumes.map((volume) => onRole("create_volumes", volume, "create"));
    case "DESTROY":
      return operation.volumes.map((volume) => ({
        action: "destroy_volumes",
        object: find.creator(volume),
        deed: `destroy ${nameOf(volume)}`,
      }));
    case "GROW_VOLUME":
      return [onRole("resize_volumes", operation.volume, "grow")];
    case "SHRINK_VOLUME":
      return [onRole("resize_volumes", operation.volume, "shrink")];
  }
}

/** Every level that is given up, and every level that is put in its place. */
function transferring(source: readonly DiskResource[], resources: readonly DiskResource[]): readonly Need[] {
  const kept = commonStack([...source, ...resources]).length;
  return [
    ...source.flatMap(({ reservations }) => reservations.slice(kept).map(unreserving)),
    ...resources.flatMap(({ reservations }) => reservations.slice(kept).map(reserving)),
  ];
}

function reserving(level: Reservation | undefined): Need {
  return { action: "reserve_resources", object: level?.role, deed: `reserve disk for role ${level?.role ?? "*"}` };
}

function unreserving(level: Reservation | undefined): Need {
  return {
    action: "unreserve_resources",
    object: level?.principal,
    deed: `unreserve disk of role ${level?.role ?? "*"}`,
  };
}

function onRole(action: AclAction, volume: DiskResource, verb: string): Need {
  return { action, object: roleOf(volume.reservations), deed: `${verb} ${nameOf(volume)}` };
}

function nameOf(resource: DiskResource): string {
  return `volume ${roleOf(resource.reservations) ?? "*"}/${resource.volume?.id ?? "?"}`;
}
