import fc from "fast-check";
import { expect, test } from "vitest";
import { NodeState } from "../../src/domain/node.ts";
import type { Role, VolumeId } from "../../src/domain/units.ts";
import { byName, placeBehind, placeBehindName, volumesByName } from "../../src/engine/name-order.ts";
import { sampleVolume } from "../contract/samples.ts";

const VOLUMES = 6;

/** A volume that comes or changes its name, or goes (`null`); and whether somebody looks then. */
const step = fc.record({
  number: fc.nat({ max: VOLUMES - 1 }),
  id: fc.option(fc.constantFrom("a", "b", "c")),
  looks: fc.boolean(),
});

test("Volumes are in the order of their names after any changes, also where a change was taken back", () => {
  fc.assert(
    fc.property(fc.array(step), (steps) => {
      const state = new NodeState([]);
      for (const { number, id, looks } of steps) {
        const { uuid, ...rest } = sampleVolume(number * 2);
        const value = id === null ? undefined : { ...rest, uuid, id: id as VolumeId, createdAt: number as never };
        const undo = state.apply({ table: "volumes", key: uuid, value });
        if (looks) volumesByName(state);
        if (id === "c") state.apply(undo);
        expect(volumesByName(state)).toEqual([...state.volumes.values()].sort(byName));
      }
    }),
  );
});

test("The order is the same list as long as no volume changes", () => {
  const state = new NodeState([]);
  const value = sampleVolume(0);
  state.apply({ table: "volumes", key: value.uuid, value });
  const before = volumesByName(state);
  expect(volumesByName(state)).toBe(before);
  state.apply({ table: "volumes", key: value.uuid, value: { ...value, revision: 9 } });
  expect(volumesByName(state)).not.toBe(before);
});

test("The list goes on behind any of its volumes, also among those of one name and moment", () => {
  fc.assert(
    fc.property(fc.array(fc.record({ id: fc.constantFrom("a", "b"), createdAt: fc.nat({ max: 2 }) })), (some) => {
      const state = new NodeState([]);
      for (const [index, { id, createdAt }] of some.entries()) {
        const value = { ...sampleVolume(index), id: id as VolumeId, createdAt: createdAt as never };
        state.apply({ table: "volumes", key: value.uuid, value });
      }
      const ordered = volumesByName(state);
      expect(ordered.map((volume) => placeBehind(ordered, volume))).toEqual(ordered.map((_, index) => index + 1));
    }),
  );
});

test("The list goes on behind all incarnations of a name, also one that nobody has", () => {
  const state = new NodeState([]);
  for (const [index, id] of ["b", "b", "d"].entries()) {
    const value = { ...sampleVolume(index * 2), id: id as VolumeId };
    state.apply({ table: "volumes", key: value.uuid, value });
  }
  const ordered = volumesByName(state);
  const { role } = sampleVolume(0);
  const places = ["a", "b", "c", "d", "e"].map((id) => placeBehindName(ordered, { role, id: id as VolumeId }));
  expect(places).toEqual([0, 2, 2, 3, 3]);
  expect(placeBehindName(ordered, { role: `${role}-later` as Role, id: "a" as VolumeId })).toBe(3);
});
