import { describe, expect, it } from "vitest";
import { createPace } from "../../src/host/census-pace.ts";

const never = new AbortController().signal;

describe("Pace", () => {
  it.each([0, -1, 1.5, Number.NaN])("refuses a share of %d", (share) => {
    expect(() => createPace(share)).toThrow(RangeError);
  });

  it("ends the wait at once when it is interrupted, also one that had not begun", async () => {
    const pace = createPace(0.001);
    pace.worked(1000);
    const interrupt = new AbortController();
    const startMs = performance.now();
    setTimeout(() => interrupt.abort(), 20);
    expect(await pace.turn(interrupt.signal)).toBe(false);
    expect(await pace.turn(interrupt.signal)).toBe(false);
    expect(performance.now() - startMs).toBeLessThan(1000);
  });

  it("lets the first slice begin at once, and the next when the rest is over", async () => {
    const pace = createPace(0.25);
    const startMs = performance.now();
    expect(await pace.turn(never)).toBe(true);
    expect(performance.now() - startMs).toBeLessThan(50);
    pace.worked(40);
    const workedMs = performance.now();
    expect(await pace.turn(never)).toBe(true);
    expect(performance.now() - workedMs).toBeGreaterThan(115);
  });

  it("adds up the rests of slices that were done one right after the other", async () => {
    const pace = createPace(0.5);
    pace.worked(60);
    const workedMs = performance.now();
    pace.worked(60);
    expect(await pace.turn(never)).toBe(true);
    expect(performance.now() - workedMs).toBeGreaterThan(170);
  });

  it("never rests with a whole core", async () => {
    const pace = createPace(1);
    const startMs = performance.now();
    for (let slice = 0; slice < 10; slice += 1) {
      pace.worked(1);
      expect(await pace.turn(never)).toBe(true);
    }
    expect(performance.now() - startMs).toBeLessThan(100);
  });
});
