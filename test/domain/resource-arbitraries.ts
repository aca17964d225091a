import fc from "fast-check";
import { parseContainerPath, parsePrincipal, parseRole, parseVolumeId } from "../../src/domain/names.ts";
import type { DiskResource, DiskSource, Label, Reservation, VolumeSpec } from "../../src/domain/resource.ts";
import type { MilliMb } from "../../src/domain/units.ts";

const component = fc.stringMatching(/^[a-zé*%.][a-z0-9é.-]{1,5}$/).filter((text) => text !== "..");
const principal = fc
  .string({ minLength: 1, unit: fc.constantFrom("a", "B", "ß", "😀", " ", "/", "\\") })
  .map((text) => parsePrincipal(text));

const label: fc.Arbitrary<Label> = fc.record(
  { key: fc.constantFrom("", "a", "b", "é"), value: fc.constantFrom("", "1", "2") },
  { requiredKeys: ["key"], noNullPrototype: true },
);

/** In the order that every parsed list of labels has. */
const labels = fc
  .array(label, { maxLength: 4 })
  .map((list) =>
    list.toSorted(
      (left, right) =>
        compare(left.key, right.key) ||
        compare(left.value ?? "", right.value ?? "") ||
        Number(left.value !== undefined) - Number(right.value !== undefined),
    ),
  );

/** A valid stack: static at most at the bottom, each role below the one before. */
export const stack: fc.Arbitrary<readonly Reservation[]> = fc
  .array(fc.record({ component, principal: fc.option(principal), labels: fc.option(labels), fixed: fc.boolean() }), {
    maxLength: 3,
  })
  .map((levels) =>
    levels.map((level, depth): Reservation => {
      const role = levels.slice(0, depth + 1).map((each) => each.component);
      return {
        type: depth === 0 && level.fixed ? "STATIC" : "DYNAMIC",
        role: parseRole(role.join("/")),
        ...(level.principal === null ? {} : { principal: level.principal }),
        ...(level.labels === null ? {} : { labels: level.labels }),
      };
    }),
  );

const source: fc.Arbitrary<DiskSource> = fc.oneof(
  fc.constant<DiskSource>({ type: "ROOT" }),
  fc
    .constantFrom("PATH" as const, "MOUNT" as const)
    .chain((type) =>
      fc.array(component, { maxLength: 3 }).map((parts): DiskSource => ({ type, root: `/${parts.join("/")}` })),
    ),
);

const volume: fc.Arbitrary<VolumeSpec> = fc
  .record({
    id: component,
    principal: fc.option(principal),
    containerPath: component,
    mode: fc.constantFrom("RW" as const, "RO" as const),
    shared: fc.boolean(),
  })
  .map(({ id, containerPath, principal: creator, ...rest }) => ({
    ...rest,
    id: parseVolumeId(id),
    containerPath: parseContainerPath(containerPath),
    ...(creator === null ? {} : { principal: creator }),
  }));

export const size: fc.Arbitrary<MilliMb> = fc.integer({ min: 1, max: 10 ** 12 }).map((milli) => milli as MilliMb);

/** Any valid resource, free or with a volume. */
export const resource: fc.Arbitrary<DiskResource> = fc
  .record({ size, source, reservations: stack, volume: fc.option(volume) })
  .map(({ volume: spec, ...disk }) =>
    spec === null || disk.reservations.length === 0 ? disk : { ...disk, volume: spec },
  );

function compare(left: string, right: string): number {
  if (left === right) return 0;
  return left < right ? -1 : 1;
}
