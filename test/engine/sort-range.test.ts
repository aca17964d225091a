import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { sortRange } from "../../src/engine/sort-range.ts";

interface Item {
  readonly key: number;
  readonly place: number;
}

const compare = (left: Item, right: Item): number => left.key - right.key || left.place - right.place;
const items = fc.array(fc.nat({ max: 9 })).map((keys) => keys.map((key, place) => ({ key, place })));

describe("sortRange", () => {
  test("returns nothing of a range behind the end, and what there is of one that reaches behind it", () => {
    expect(sortRange([2, 1], { start: 5, end: 9 }, (a, b) => a - b)).toEqual([]);
    expect(sortRange([3, 1, 2], { start: 1, end: 9 }, (a, b) => a - b)).toEqual([2, 3]);
    expect(sortRange([], { start: 0, end: 1 }, () => 0)).toEqual([]);
  });

  test("returns what a full sort has there", () => {
    fc.assert(
      fc.property(items, fc.nat({ max: 50 }), fc.nat({ max: 50 }), (list, start, length) => {
        const range = { start, end: start + length };
        expect(sortRange([...list], range, compare)).toEqual([...list].sort(compare).slice(range.start, range.end));
      }),
    );
  });

  test("looks at a short range of many without sorting them all", () => {
    const count = 100_000;
    const shuffled = Array.from({ length: count }, (_, index) => (index * 7919) % count);
    let compared = 0;
    const page = sortRange(shuffled, { start: 500, end: 550 }, (left, right) => {
      compared += 1;
      return left - right;
    });
    expect(page).toEqual(Array.from({ length: 50 }, (_, index) => 500 + index));
    expect(compared).toBeLessThan(count * 8);
  });
});
