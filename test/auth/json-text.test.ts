import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { readJsonText } from "../../src/auth/json-text.ts";

function faultOf(text: string) {
  const reading = readJsonText(text);
  return "fault" in reading ? reading.fault : undefined;
}

function accepts(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

describe("readJsonText", () => {
  test.each([
    ["", 1, 1, "the text ends too early"],
    ["{", 1, 2, "the text ends too early"],
    ['{\n  "a": 1,\n}', 3, 1, "expected a key in double quotes"],
    ['{\n  "a" 1}', 2, 7, 'expected ":"'],
    ['{"a": 1 "b": 2}', 1, 9, 'expected "," or "}"'],
    ["[1,\n 2,, 3]", 2, 4, "expected a value"],
    ["[1 2]", 1, 4, 'expected "," or "]"'],
    ["[01]", 1, 2, "expected a value"],
    ["[truey]", 1, 2, "expected a value"],
    ["[NaN]", 1, 2, "expected a value"],
    ['["a\nb"]', 1, 2, "expected a string that ends on its line, with valid escapes"],
    ['["\\x"]', 1, 2, "expected a string that ends on its line, with valid escapes"],
    ["{'a': 1}", 1, 2, "expected a key in double quotes"],
    ["{} {}", 1, 4, "expected nothing after the value"],
    ["// why", 1, 1, "expected a value"],
  ])("refuses %j at line %d, column %d", (text, line, column, reason) => {
    expect(faultOf(text)).toEqual({ line, column, reason });
  });

  test("refuses a key that appears twice in one object, however it is written", () => {
    expect(faultOf('{"a": 1,\n "\\u0061": 2}')).toEqual({ line: 2, column: 2, reason: "the key appears twice" });
    expect(faultOf('[{"a": {"a": 1}}, {"a": 2}]')).toBeUndefined();
  });

  test("refuses deep nesting without running out of stack", () => {
    expect(faultOf("[".repeat(1_000_000))).toMatchObject({ column: 65, reason: "nested deeper than 64 levels" });
  });

  test("reads a string of a megabyte", () => {
    expect(readJsonText(JSON.stringify("x".repeat(1_000_000)))).toEqual({ value: "x".repeat(1_000_000) });
  });

  test("refuses exactly what JSON.parse refuses, repeated keys and deep nesting aside", () => {
    const broken = fc
      .tuple(fc.json({ maxDepth: 4 }), fc.nat(), fc.nat(3), fc.string({ maxLength: 2, unit: "binary" }))
      .map(([json, at, length, put]) => {
        const offset = at % (json.length + 1);
        return json.slice(0, offset) + put + json.slice(offset + length);
      });
    fc.assert(
      fc.property(fc.oneof(fc.json({ maxDepth: 4 }), broken, fc.string({ unit: "binary" })), (text) => {
        const fault = faultOf(text);
        if (fault?.reason === "the key appears twice") return;
        expect(fault === undefined).toBe(accepts(text));
      }),
      { numRuns: 1000 },
    );
  });
});
