import { describe, expect, it } from "vitest";
import { LinkedInodes } from "../../src/host/census-links.ts";

describe("LinkedInodes", () => {
  it("counts a file at its first name only", () => {
    const linked = new LinkedInodes();
    const file = { device: 1, ino: 7, nlink: 3 };
    expect([1, 2, 3].map(() => linked.partOf(file))).toEqual([1, 0, 0]);
  });

  it("tells equal numbers on two devices apart, and numbers that only a bigint holds", () => {
    const linked = new LinkedInodes();
    expect(linked.partOf({ device: 1, ino: 7, nlink: 2 })).toBe(1);
    expect(linked.partOf({ device: 2, ino: 7, nlink: 2 })).toBe(1);
    expect(linked.partOf({ device: 1, ino: 2n ** 60n, nlink: 2 })).toBe(1);
    expect(linked.partOf({ device: 1, ino: 2n ** 60n + 1n, nlink: 2 })).toBe(1);
    expect(linked.partOf({ device: 1, ino: 2n ** 60n, nlink: 2 })).toBe(0);
  });

  it("counts those beyond its limit a part at each name, and forgets none that it remembers", () => {
    const linked = new LinkedInodes(1);
    expect(linked.partOf({ device: 1, ino: 1, nlink: 2 })).toBe(1);
    const parts = [1, 2, 3, 4].map(() => linked.partOf({ device: 1, ino: 2, nlink: 4 }));
    expect(parts).toEqual([0.25, 0.25, 0.25, 0.25]);
    expect(linked.partOf({ device: 1, ino: 1, nlink: 2 })).toBe(0);
  });
});
