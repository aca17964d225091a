import fc from "fast-check";
import { expect, test } from "vitest";
import { NodeState } from "../../src/domain/node.ts";
import type { VolumeId } from "../../src/domain/units.ts";
import { byName, volumesByName } from "../../src/engine/name-order.ts";
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
