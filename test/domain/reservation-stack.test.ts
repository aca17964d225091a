import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { commonStack, isSameStack } from "../../src/domain/reservation-stack.ts";
import { poolKey, type Reservation, ROOT_DISK } from "../../src/domain/resource.ts";
import type { MilliMb } from "../../src/domain/units.ts";
import * as arbitrary from "./resource-arbitraries.ts";

const under = (reservations: readonly Reservation[]) => ({ size: 1 as MilliMb, source: ROOT_DISK, reservations });

describe("commonStack", () => {
  it("is empty for nothing", () => {
    expect(commonStack([])).toEqual([]);
  });

  it("is all of one stack", () => {
    fc.assert(
      fc.property(arbitrary.stack, (stack) => {
        expect(commonStack([under(stack), under(stack)])).toEqual(stack);
      }),
    );
  });

  it("is the longest that all begin with", () => {
    fc.assert(
      fc.property(fc.array(arbitrary.stack, { minLength: 1, maxLength: 3 }), arbitrary.stack, (stacks, trunk) => {
        const grown = stacks.map((stack) => [...trunk, ...stack]);
        const common = commonStack(grown.map(under));
        const begins = (depth: number) =>
          grown.every((stack) => isSameStack(stack.slice(0, depth), grown[0]?.slice(0, depth) ?? []));
        expect(common.length).toBeGreaterThanOrEqual(trunk.length);
        expect(begins(common.length)).toBe(true);
        expect(grown.some((stack) => stack.length === common.length) || !begins(common.length + 1)).toBe(true);
      }),
    );
  });
});

describe("isSameStack", () => {
  it("says what the pools' keys say", () => {
    fc.assert(
      fc.property(arbitrary.stack, arbitrary.stack, (left, right) => {
        expect(isSameStack(left, right)).toBe(poolKey(ROOT_DISK, left) === poolKey(ROOT_DISK, right));
        expect(isSameStack(left, structuredClone(left))).toBe(true);
      }),
    );
  });
});
