import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseDuration } from "../../src/config/duration.ts";

describe("parseDuration", () => {
  test.each([
    "",
    "5",
    "h",
    "soon",
    "-1h",
    "+1h",
    "1 h",
    " 1h",
    "1h ",
    "1H",
    "1.h",
    ".5h",
    "1e3s",
    "1h30m",
    "1y",
    "1ns",
  ])("refuses %j", (text) => {
    expect(parseDuration(text)).toBeUndefined();
  });

  test("refuses what is not an exact number of milliseconds any more", () => {
    expect(parseDuration("999999999999w")).toBeUndefined();
  });

  test("refuses the names of an object's own functions", () => {
    expect(parseDuration("1valueOf")).toBeUndefined();
  });

  test.each([
    ["0s", 0],
    ["500ms", 500],
    ["90s", 90_000],
    ["1m", 60_000],
    ["1.5h", 5_400_000],
    ["2d", 172_800_000],
    ["1w", 604_800_000],
  ])("reads %s as %d ms", (text, durationMs) => {
    expect(parseDuration(text)).toBe(durationMs);
  });

  test.each([
    ["10secs", 10_000],
    ["1mins", 60_000],
    ["1hrs", 3_600_000],
    ["1days", 86_400_000],
    ["1weeks", 604_800_000],
  ])("reads Mesos's %s as %d ms", (text, durationMs) => {
    expect(parseDuration(text)).toBe(durationMs);
  });

  test("returns a whole, safe, non-negative number or nothing, whatever it is given", () => {
    const likely = fc
      .tuple(fc.double(), fc.constantFrom("ms", "s", "m", "h", "d", "w", "weeks", "x"))
      .map((parts) => parts.join(""));
    fc.assert(
      fc.property(fc.oneof(fc.string(), likely), (text) => {
        const durationMs = parseDuration(text);
        return durationMs === undefined || (Number.isSafeInteger(durationMs) && durationMs >= 0);
      }),
    );
  });

  test("reads back every whole number of milliseconds", () => {
    fc.assert(fc.property(fc.nat(), (durationMs) => parseDuration(`${durationMs}ms`) === durationMs));
  });
});
