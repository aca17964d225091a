import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseHumanSize, parseSizeMb, printSize } from "../../src/domain/size.ts";
import type { MilliMb } from "../../src/domain/units.ts";
import { invalidMessage } from "./refusals.ts";

describe("parseSizeMb", () => {
  const refused = [
    undefined,
    null,
    NaN,
    Infinity,
    -Infinity,
    -1,
    -0.0001,
    0,
    -0,
    0.0004,
    1e-9,
    1e13,
    1e300,
    true,
    {},
    [],
  ];
  it.each([...refused, "", "x", "NaN", "Infinity", "-1", "0", "1,5", "0x10", "5 MB", "[5]", '"5"', "1e999", 5n])(
    "refuses %o",
    (value) => {
      expect(invalidMessage(() => parseSizeMb(value, "the size"))).toMatch(
        /^Cannot parse the size: it is .+, expected /,
      );
    },
  );

  it("says that zero is not enough, and what is too little to count", () => {
    expect(invalidMessage(() => parseSizeMb(0, "the size"))).toMatch(/is 0, expected more than 0$/);
    expect(invalidMessage(() => parseSizeMb(0.0001, "the size"))).toMatch(/is 0.0001, expected at least 0.001 MB$/);
  });

  it.each([
    [1, 1000],
    [0.001, 1],
    [0.0005, 1],
    [0.0015, 2],
    [0.00149, 1],
    [512.1239, 512124],
    ["512", 512000],
    ["512.5", 512500],
    [" 1e3 ", 1_000_000],
    [9007199254740, 9007199254740000],
  ])("reads %o as %i thousandths", (value, expected) => {
    expect(parseSizeMb(value, "the size")).toBe(expected);
  });

  it.each([0, -0, "0", "0.0"])("takes %o where zero is a size", (value) => {
    expect(Object.is(parseSizeMb(value, "the size", { zero: true }), 0)).toBe(true);
  });

  it("refuses less than zero, and what rounds to zero, also where zero is a size", () => {
    expect(invalidMessage(() => parseSizeMb(-1, "the size", { zero: true }))).toMatch(/expected 0 or more$/);
    invalidMessage(() => parseSizeMb(0.0001, "the size", { zero: true }));
  });

  it("is the way back of three decimals", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 10 ** 14 }), (milli) => {
        expect(parseSizeMb(milli / 1000, "the size")).toBe(milli);
        expect(parseSizeMb(String(milli / 1000), "the size")).toBe(milli);
      }),
    );
  });

  it("yields a positive safe integer or a refusal for anything", () => {
    fc.assert(
      fc.property(fc.oneof(fc.anything(), fc.double(), fc.double().map(String)), (value) => {
        try {
          const size = parseSizeMb(value, "the size");
          expect(Number.isSafeInteger(size) && size > 0).toBe(true);
        } catch {
          invalidMessage(() => parseSizeMb(value, "the size"));
        }
      }),
    );
  });
});

describe("parseHumanSize", () => {
  const refused = ["", "M", "-5", "+5", "1,5G", "1.5.2", "1.G", ".5G", "5X", "5MM", "5Mi", "5B", "0", "0G", "0.1K"];
  it.each([...refused, "5 M B", "99999999999P", "1e3", "NaN", 512, null, undefined])("refuses %o", (value) => {
    expect(invalidMessage(() => parseHumanSize(value))).toMatch(/^Cannot parse the size: it is .+, expected /);
  });

  it.each([
    ["512", 512],
    ["512M", 512],
    ["512m", 512],
    ["512MB", 512],
    ["512MiB", 512],
    ["512 MiB", 512],
    [" 512 ", 512],
    ["1.5G", 1536],
    ["2T", 2 * 1024 * 1024],
    ["1p", 1024 ** 3],
    ["512K", 0.5],
    ["0.25", 0.25],
  ])("reads %o as %d MB", (text, mb) => {
    expect(parseHumanSize(text)).toBe(mb * 1000);
  });

  it("refuses nothing that it could read, whatever the unit", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1_000_000 }), fc.constantFrom("", "M", "MB", "MiB", "mb"), (mb, unit) => {
        expect(parseHumanSize(`${mb}${unit}`)).toBe(mb * 1000);
      }),
    );
  });
});

describe("printSize", () => {
  it.each([
    [512_000, "512 MB"],
    [500, "0.5 MB"],
    [1, "0.001 MB"],
    [0, "0 MB"],
    [1_000_000_000_001, "1000000000.001 MB"],
  ])("prints %i thousandths as %s", (milli, text) => {
    expect(printSize(milli as MilliMb)).toBe(text);
  });

  it("is read back by parseHumanSize", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 10 ** 14 }), (milli) => {
        expect(parseHumanSize(printSize(milli as MilliMb))).toBe(milli);
      }),
    );
  });
});
