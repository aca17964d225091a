/** Comparing stacks of reservations. */
import { type DiskResource, poolKey, type Reservation, ROOT_DISK } from "./resource.ts";

/** The levels that all of these have in common, from the bottom up. */
export function commonStack(resources: readonly DiskResource[]): readonly Reservation[] {
  const [first, ...others] = resources;
  if (first === undefined) return [];
  const end = first.reservations.findIndex((level, depth) =>
    others.some(({ reservations }) => !isSameLevel(level, reservations[depth])),
  );
  return end === -1 ? first.reservations : first.reservations.slice(0, end);
}

/** Whether two stacks are equal: types, roles, principals and labels. */
export function isSameStack(left: readonly Reservation[], right: readonly Reservation[]): boolean {
  return stackKey(left) === stackKey(right);
}

function isSameLevel(left: Reservation, right: Reservation | undefined): boolean {
  return right !== undefined && isSameStack([left], [right]);
}

function stackKey(reservations: readonly Reservation[]): string {
  return poolKey(ROOT_DISK, reservations);
}
