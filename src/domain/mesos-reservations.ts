/**
 * Reads a resource's stack of reservations. After reservation refinement it is the list `reservations`; before, it was
 * `role`, with `reservation` if it was dynamic; Mesos's endpoints print both, which must then agree.
 */
import { fieldOf, type JsonObject, listOf, parseObject, parseString, parseWord } from "./json.ts";
import { isStrictSubRole, parsePrincipal, parseRole } from "./names.ts";
import { refuse, show } from "./refusal.ts";
import type { Label, Reservation } from "./resource.ts";

type Reserver = Pick<Reservation, "principal" | "labels">;

/**
 * @param what the resource's name
 * @throws `invalid` what is not a valid stack, or two forms that disagree
 */
export function parseReservations(resource: JsonObject, what: string): readonly Reservation[] {
  const levels = listOf(fieldOf(resource, "reservations"));
  if (levels.length === 0) return parseRoleAndReservation(resource, what);
  const stack = levels.map((level, index) => parseLevel(level, `${what}: reservations ${index + 1}`));
  requireRefinement(stack, what);
  requireAgreement(resource, stack, what);
  return stack;
}

/** The form before refinement: at most one level. */
function parseRoleAndReservation(resource: JsonObject, what: string): readonly Reservation[] {
  const role = fieldOf(resource, "role") ?? "*";
  const reservation = fieldOf(resource, "reservation");
  if (role === "*") {
    if (reservation !== undefined) refuse(`${what}: role`, show(role), "a role, because it has a reservation");
    return [];
  }
  const level = { role: parseRole(role, `${what}: role`) };
  if (reservation === undefined) return [{ type: "STATIC", ...level }];
  return [{ type: "DYNAMIC", ...level, ...parseBareReservation(reservation, `${what}: reservation`) }];
}

/** `reservation`, whose type and role are said elsewhere. */
function parseBareReservation(value: unknown, what: string): Reserver {
  const reservation = parseObject(value, what);
  for (const field of ["type", "role"]) {
    if (fieldOf(reservation, field) !== undefined) refuse(`${what}: ${field}`, "present", "none");
  }
  return parseReserver(reservation, what);
}

function parseLevel(value: unknown, what: string): Reservation {
  const level = parseObject(value, what);
  const type = parseWord(fieldOf(level, "type"), ["STATIC", "DYNAMIC"], `${what}: type`);
  const role = parseRole(fieldOf(level, "role"), `${what}: role`);
  return { type, role, ...parseReserver(level, what) };
}

function parseReserver(reservation: JsonObject, what: string): Reserver {
  const principal = fieldOf(reservation, "principal");
  const labels = fieldOf(reservation, "labels");
  return {
    ...(principal === undefined ? {} : { principal: parsePrincipal(principal, `${what}: principal`) }),
    ...(labels === undefined ? {} : { labels: parseLabels(labels, `${what}: labels`) }),
  };
}

function parseLabels(value: unknown, what: string): readonly Label[] {
  return listOf(fieldOf(parseObject(value, what), "labels"))
    .map((label, index) => parseLabel(label, `${what} ${index + 1}`))
    .sort(compareLabels);
}

function parseLabel(item: unknown, what: string): Label {
  const label = parseObject(item, what);
  const key = parseString(fieldOf(label, "key"), `${what}: key`);
  const value = fieldOf(label, "value");
  return value === undefined ? { key } : { key, value: parseString(value, `${what}: value`) };
}

/** By code units, so that the order is the same on every machine; no value comes before any value. */
function compareLabels(left: Label, right: Label): number {
  return compare(left.key, right.key) || compare(left.value ?? "", right.value ?? "") || valued(left) - valued(right);
}

function compare(left: string, right: string): number {
  if (left === right) return 0;
  return left < right ? -1 : 1;
}

function valued(label: Label): number {
  return label.value === undefined ? 0 : 1;
}

/** Above the first level all are dynamic, and each role lies below the one before. */
function requireRefinement(stack: readonly Reservation[], what: string): void {
  for (const [index, level] of stack.entries()) {
    const below = stack[index - 1];
    if (below === undefined) continue;
    const place = `${what}: reservations ${index + 1}`;
    if (level.type === "STATIC") refuse(`${place}: type`, "STATIC", "DYNAMIC above another reservation");
    if (!isStrictSubRole(below.role, level.role)) {
      refuse(`${place}: role`, show(level.role), `a role below ${show(below.role)}`);
    }
  }
}

/** `role` and `reservation` beside `reservations` must say the same, as far as they can. */
function requireAgreement(resource: JsonObject, stack: readonly Reservation[], what: string): void {
  const role = fieldOf(resource, "role");
  const reservation = fieldOf(resource, "reservation");
  if (role === undefined && reservation === undefined) return;
  const [level, second] = stack;
  if (level === undefined || second !== undefined) {
    refuse(`${what}: ${role === undefined ? "reservation" : "role"}`, "present", "none beside two reservations");
  }
  if (role !== level.role) refuse(`${what}: role`, show(role), `${show(level.role)} as in reservations`);
  if (level.type === "STATIC") {
    if (reservation !== undefined) refuse(`${what}: reservation`, "present", "none beside a STATIC reservation");
    return;
  }
  const bare = parseBareReservation(reservation, `${what}: reservation`);
  if (bare.principal !== level.principal) {
    refuse(`${what}: reservation: principal`, show(bare.principal), `${show(level.principal)} as in reservations`);
  }
  if (!isSameLabels(bare.labels ?? [], level.labels ?? [])) {
    refuse(`${what}: reservation: labels`, "another list", "the labels in reservations");
  }
}

function isSameLabels(left: readonly Label[], right: readonly Label[]): boolean {
  return left.length === right.length && left.every((label, index) => isSameLabel(label, right[index]));
}

function isSameLabel(left: Label, right: Label | undefined): boolean {
  return left.key === right?.key && left.value === right.value;
}
