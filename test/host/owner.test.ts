import { describe, expect, it } from "vitest";
import { insideId } from "../../src/host/owner.ts";

describe("insideId", () => {
  const map = "         0     100000      65536\n     70000       1000          1\n";

  it.each([
    [100_000, 0],
    [100_007, 7],
    [165_535, 65_535],
    [1000, 70_000],
  ])("calls %i of the host %i", (id, inside) => {
    expect(insideId(map, id)).toBe(inside);
  });

  it("takes its root for whom it does not know", () => {
    for (const id of [0, 99_999, 165_536, 1001]) expect(insideId(map, id)).toBe(0);
    expect(insideId("", 5)).toBe(0);
  });
});
