import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { codeOf } from "../../../src/domain/error.ts";
import { parseJson } from "../../../src/faces/http/json.ts";

const codeOfParsing = (text: string) => {
  try {
    parseJson(text, "the body");
    return "read";
  } catch (error) {
    return codeOf(error);
  }
};

describe("parseJson", () => {
  it.each(["", " ", "{", "nul", "[1,]", "{'a':1}", '"\n"', "\uFEFF{}", "{}{}", "NaN"])("refuses %j", (text) => {
    expect(codeOfParsing(text)).toBe("invalid");
  });

  it("takes 16 levels and refuses 17", () => {
    expect(codeOfParsing("[".repeat(16) + "]".repeat(16))).toBe("read");
    expect(codeOfParsing("[".repeat(17) + "]".repeat(17))).toBe("invalid");
    expect(codeOfParsing(`${'{"a":'.repeat(17)}1${"}".repeat(17)}`)).toBe("invalid");
  });

  it("refuses a megabyte of brackets in one pass", () => {
    expect(codeOfParsing("[".repeat(1024 * 1024))).toBe("invalid");
  });

  it("does not count brackets inside strings", () => {
    expect(parseJson(JSON.stringify("[".repeat(40)), "it")).toBe("[".repeat(40));
    expect(parseJson(JSON.stringify(`\\"${"{".repeat(40)}`), "it")).toBe(`\\"${"{".repeat(40)}`);
  });

  it.each([
    '{"__proto__":{}}',
    '[{"a":{"constructor":1}}]',
    '{"prototype":1}',
    '{"\\u005f_proto__":1}',
    '{"const\\u0072uctor":1}',
  ])("refuses the key in %s", (text) => {
    expect(codeOfParsing(text)).toBe("invalid");
  });

  it("takes the same words as values", () => {
    expect(parseJson('["__proto__","\\u0063onstructor"]', "it")).toEqual(["__proto__", "constructor"]);
  });

  it("reads what JSON.stringify writes, and never fails in another way", () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5, noUnicodeString: false }), (value) => {
        const text = JSON.stringify(value);
        const outcome = codeOfParsing(text);
        expect(["read", "invalid"]).toContain(outcome);
        if (outcome === "read") expect(JSON.stringify(parseJson(text, "it"))).toBe(text);
      }),
    );
    fc.assert(fc.property(fc.string(), (text) => ["read", "invalid"].includes(codeOfParsing(text))));
  });
});
