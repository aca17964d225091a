/**
 * Disk resources in Mesos's JSON, which has three forms: before and after reservation refinement, and what its endpoints
 * print. Reading takes any of them and refuses what Mesos's own validation refuses: of the format, of reservations, of
 * volumes.
 *
 * Mesos's rules for JSON hold (see `json.ts`): unknown keys are ignored, null is absent. What Mesos would let pass but
 * could not honour is refused too: another resource than disk, a CSI disk, a root that is not absolute, a container path
 * that leaves the sandbox.
 */
import { HoldfastError } from "./error.ts";
import { fieldOf, type JsonObject, parseObject, parseString } from "./json.ts";
import { parseDiskInfo } from "./mesos-disk.ts";
import { parseReservations } from "./mesos-reservations.ts";
import { refuse, show } from "./refusal.ts";
import type { DiskResource, DiskSource, Label, Reservation } from "./resource.ts";
import { parseSizeMb } from "./size.ts";
import { toMb } from "./units.ts";

/**
 * `pre`: before reservation refinement, `role` and `reservation`; `post`: after it, `reservations` only; `endpoint`: what
 * Mesos's endpoints print, both as far as both can say it.
 */
export type ResourceForm = "pre" | "post" | "endpoint";

/** Fields that change what a resource is, each with the reason why it cannot be here. */
const FOREIGN_FIELDS: Readonly<Record<string, string>> = {
  provider_id: "none: only the node's own disk is managed",
  allocation_info: "none: an operation names disk that is allocated to nobody",
  revocable: "none: disk is never revocable",
  ranges: "none: disk has a scalar",
  set: "none: disk has a scalar",
};

/**
 * A list of resources.
 * @param what the name of the list: "the resources"
 * @throws `invalid` what is not an array, an empty one, or the first item that is not a valid resource, by its number
 */
export function parseResources(value: unknown, what: string): readonly DiskResource[] {
  if (!Array.isArray(value)) return refuse(what, show(value), "a list of resources");
  if (value.length === 0) refuse(what, "empty", "at least one resource");
  return value.map((item: unknown, index) => parseResource(item, `${what}: item ${index + 1}`));
}

/**
 * One resource.
 * @param what its name: "the volume", "the resources: item 2"
 * @throws `invalid` what is not a valid disk resource
 */
export function parseResource(value: unknown, what: string): DiskResource {
  const resource = parseObject(value, what);
  requireDisk(resource, what);
  const scalar = parseObject(fieldOf(resource, "scalar"), `${what}: scalar`);
  const size = parseSizeMb(fieldOf(scalar, "value"), `${what}: scalar.value`);
  const reservations = parseReservations(resource, what);
  const { source, volume } = parseDiskInfo(resource, what);
  if (volume === undefined) return { size, source, reservations };
  if (reservations.length === 0) refuse(`${what}: disk.persistence`, "on unreserved disk", "a reservation");
  return { size, source, reservations, volume };
}

/**
 * A resource as Mesos's JSON, its fields in Mesos's order.
 * @throws `unsupported` a refined reservation in the form that was before refinement
 */
export function printResource(resource: DiskResource, form: ResourceForm): object {
  const disk = printDisk(resource);
  return {
    name: "disk",
    type: "SCALAR",
    scalar: { value: toMb(resource.size) },
    ...(form === "post" ? {} : printRole(resource.reservations, form)),
    ...(form === "pre" || resource.reservations.length === 0
      ? {}
      : { reservations: resource.reservations.map(printLevel) }),
    ...(disk === undefined ? {} : { disk }),
    ...(resource.volume?.shared === true ? { shared: {} } : {}),
  };
}

function requireDisk(resource: JsonObject, what: string): void {
  const name = parseString(fieldOf(resource, "name"), `${what}: name`);
  if (name !== "disk") refuse(`${what}: name`, show(name), '"disk": only disk is managed');
  const type = fieldOf(resource, "type");
  if (type !== "SCALAR") refuse(`${what}: type`, show(type), '"SCALAR"');
  for (const [field, reason] of Object.entries(FOREIGN_FIELDS)) {
    if (fieldOf(resource, field) !== undefined) refuse(`${what}: ${field}`, "present", reason);
  }
}

/** `role`, and `reservation` for dynamically reserved disk; nothing where a refined stack has no such form. */
function printRole(reservations: readonly Reservation[], form: ResourceForm): object {
  const [level, second] = reservations;
  if (level === undefined) return { role: "*" };
  if (second === undefined) {
    return { role: level.role, ...(level.type === "DYNAMIC" ? { reservation: printReserver(level) } : {}) };
  }
  if (form === "endpoint") return {};
  const count = `it has ${reservations.length} reservations, expected at most 1`;
  throw new HoldfastError("unsupported", `Cannot print the resource as before reservation refinement: ${count}`);
}

function printLevel(level: Reservation): object {
  return { type: level.type, role: level.role, ...printReserver(level) };
}

function printReserver({ principal, labels }: Reservation): object {
  return {
    ...(principal === undefined ? {} : { principal }),
    ...(labels === undefined ? {} : { labels: printLabels(labels) }),
  };
}

/** Mesos leaves out a list that has no items: no labels at all are `{}`. */
function printLabels(labels: readonly Label[]): object {
  return labels.length === 0 ? {} : { labels };
}

function printDisk({ source, volume }: DiskResource): object | undefined {
  if (volume === undefined) return source.type === "ROOT" ? undefined : { source: printSource(source) };
  const { id, principal, mode, containerPath } = volume;
  return {
    persistence: principal === undefined ? { id } : { id, principal },
    volume: { mode, container_path: containerPath },
    ...(source.type === "ROOT" ? {} : { source: printSource(source) }),
  };
}

function printSource(source: Exclude<DiskSource, { type: "ROOT" }>): object {
  const place = { root: source.root };
  return source.type === "PATH" ? { type: "PATH", path: place } : { type: "MOUNT", mount: place };
}
