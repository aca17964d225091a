/**
 * What a framework says about itself. Mesos divides what can be wrong with it: what is no FrameworkInfo at all is a
 * malformed call, and what Mesos will not have is told as an ERROR event on the stream that was asked for.
 */
import { HoldfastError, messageOf } from "../../domain/error.ts";
import { fieldOf, type JsonObject, listOf, parseNumber, parseObject, parseString } from "../../domain/json.ts";
import { parseRole, parseVolumeId } from "../../domain/names.ts";

export interface FrameworkInfo {
  readonly name: string;
  /** Whether it calls them `roles`, and gets `allocation_info`. */
  readonly multiRole: boolean;
  readonly roles: readonly string[];
  readonly takesShared: boolean;
  readonly takesRefined: boolean;
  /** Whether it knows the states of tasks that came with partition awareness. */
  readonly partitionAware: boolean;
  readonly failoverTimeoutMs: number;
}

/** What Mesos would not have of it. */
export interface RefusedInfo {
  readonly refusal: string;
}

/** Each role is looked at whenever disk changes. */
const ROLES_MAX = 100;
/** The longest that is remembered who is gone: a hundred years. */
const FAILOVER_SECONDS_MAX = 100 * 365 * 86_400;

/** @throws `invalid` what is no FrameworkInfo */
export function parseFrameworkInfo(value: unknown, what: string): FrameworkInfo | RefusedInfo {
  const info = parseObject(value, what);
  // Mesos requires it, and runs tasks as this user.
  parseString(fieldOf(info, "user"), `${what}: user`);
  const failover = parseNumber(fieldOf(info, "failover_timeout") ?? 0, `${what}: failover_timeout`);
  const capabilities = listOf(fieldOf(info, "capabilities")).map((item) =>
    fieldOf(parseObject(item, `${what}: capabilities`), "type"),
  );
  const multiRole = capabilities.includes("MULTI_ROLE");
  const plain = {
    name: parseString(fieldOf(info, "name"), `${what}: name`),
    multiRole,
    takesShared: capabilities.includes("SHARED_RESOURCES"),
    takesRefined: capabilities.includes("RESERVATION_REFINEMENT"),
    partitionAware: capabilities.includes("PARTITION_AWARE"),
    failoverTimeoutMs: Math.min(failover, FAILOVER_SECONDS_MAX) * 1000,
  };
  const stated = statedRoles(info, what);
  const refusal =
    failover >= 0 ? refusalOf(stated, multiRole) : `FrameworkInfo.failover_timeout is invalid: ${failover}`;
  if (refusal !== undefined) return { refusal };
  return { ...plain, roles: multiRole ? stated.roles : [stated.role ?? "*"] };
}

/** An id in Mesos's form, `{"value": "..."}`. @throws `invalid` */
export function parseId(value: unknown, what: string): string {
  // Mesos has the same rules for all its ids.
  return parseVolumeId(fieldOf(parseObject(value, what), "value"), `${what}.value`);
}

interface StatedRoles {
  readonly role: string | undefined;
  readonly roles: readonly string[];
}

function statedRoles(info: JsonObject, what: string): StatedRoles {
  const role = fieldOf(info, "role");
  return {
    role: role === undefined ? undefined : parseString(role, `${what}: role`),
    roles: listOf(fieldOf(info, "roles")).map((item) => parseString(item, `${what}: roles`)),
  };
}

function refusalOf({ role, roles }: StatedRoles, multiRole: boolean): string | undefined {
  if (multiRole && role !== undefined) {
    return "'FrameworkInfo.role' must not be set when the framework is MULTI_ROLE capable";
  }
  if (!multiRole && roles.length > 0) {
    return "'FrameworkInfo.roles' must not be set when the framework is not MULTI_ROLE capable";
  }
  if (new Set(roles).size < roles.length) return "'FrameworkInfo.roles' contains duplicate items";
  if (roles.length > ROLES_MAX) return `'FrameworkInfo.roles' has ${roles.length} roles, expected at most ${ROLES_MAX}`;
  return [...roles, ...(role === undefined ? [] : [role])].map(refusalOfRole).find((refusal) => refusal !== undefined);
}

function refusalOfRole(role: string): string | undefined {
  if (role === "*") return undefined;
  try {
    parseRole(role);
    return undefined;
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error;
    return messageOf(error);
  }
}
