import { describe, expect, it } from "vitest";
import {
  fieldOf,
  listOf,
  parseBoolean,
  parseNumber,
  parseObject,
  parseString,
  parseWord,
} from "../../src/domain/json.ts";
import { refuse, show } from "../../src/domain/refusal.ts";
import { invalidMessage } from "./refusals.ts";

class NotPlain {
  readonly name = "disk";
}

describe("parseObject", () => {
  it.each([undefined, null, 1, "{}", [], new Map(), new Date(0), new NotPlain(), () => ({})])("refuses %o", (value) => {
    expect(invalidMessage(() => parseObject(value, "the item"))).toMatch(/expected an object$/);
  });

  it("takes what JSON makes, and an object without prototype", () => {
    expect(parseObject(JSON.parse('{"a":1}'), "the item")).toEqual({ a: 1 });
    expect(parseObject(Object.create(null), "the item")).toBeDefined();
  });
});

describe("fieldOf", () => {
  it("sees only own properties", () => {
    const object = parseObject(JSON.parse('{"a":1,"__proto__":{"name":"disk"}}'), "the item");
    expect(fieldOf(object, "a")).toBe(1);
    expect(fieldOf(object, "name")).toBeUndefined();
    expect(fieldOf(object, "toString")).toBeUndefined();
    expect(fieldOf({}, "constructor")).toBeUndefined();
  });

  it("takes null for absent, but neither false nor 0 nor an empty string", () => {
    expect(fieldOf({ a: null }, "a")).toBeUndefined();
    expect(fieldOf({ a: false }, "a")).toBe(false);
    expect(fieldOf({ a: 0 }, "a")).toBe(0);
    expect(fieldOf({ a: "" }, "a")).toBe("");
  });
});

describe("listOf", () => {
  it.each([
    [undefined, []],
    [5, [5]],
    [{ a: 1 }, [{ a: 1 }]],
    [[], []],
    [
      [1, null, 2],
      [1, 2],
    ],
  ])("makes %o into %o", (value, expected) => {
    expect(listOf(value)).toEqual(expected);
  });
});

describe("scalars", () => {
  it("are read from strings that hold one, as Mesos does", () => {
    expect(parseNumber("1.5", "the number")).toBe(1.5);
    expect(parseBoolean("true", "the flag")).toBe(true);
    expect(parseBoolean(false, "the flag")).toBe(false);
  });

  it.each([undefined, "x", "true", true, "null", '"5"', []])("that are no number are refused: %o", (value) => {
    expect(invalidMessage(() => parseNumber(value, "the number"))).toMatch(/expected a number$/);
  });

  it.each([undefined, "x", "1", 1, "yes", []])("that are no boolean are refused: %o", (value) => {
    expect(invalidMessage(() => parseBoolean(value, "the flag"))).toMatch(/expected true or false$/);
  });

  it.each([1, null, ["a"], "\ud800"])("that are no well-formed string are refused: %o", (value) => {
    invalidMessage(() => parseString(value, "the text"));
  });

  it("that are no known word are refused with the known ones", () => {
    expect(parseWord("RO", ["RW", "RO"], "the mode")).toBe("RO");
    expect(invalidMessage(() => parseWord("ro", ["RW", "RO"], "the mode"))).toBe(
      'Cannot parse the mode: it is "ro", expected RW or RO',
    );
    expect(invalidMessage(() => parseWord(undefined, ["A", "B", "C"], "the word"))).toMatch(
      /missing, expected A, B or C$/,
    );
  });
});

describe("refuse", () => {
  it("says place, finding and expectation in one sentence", () => {
    expect(invalidMessage(() => refuse("the list: item 2: scalar.value", "-1", "more than 0"))).toBe(
      "Cannot parse the list: item 2: scalar.value is -1, expected more than 0",
    );
  });
});

describe("show", () => {
  it.each([
    ["a\nb\u007f\u009b", '"a\\nb\\u007f\\u009b"'],
    ["\ud800", '"\\ud800"'],
    ["x".repeat(61), `"${"x".repeat(60)}"...`],
    [null, "null"],
    [undefined, "missing"],
    [[1], "a list"],
    [{}, "an object"],
    [-1, "-1"],
    [1n, "a bigint"],
  ])("shows %o as %s", (value, expected) => {
    expect(show(value)).toBe(expected);
  });
});
