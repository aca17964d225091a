import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { codeOf } from "../../../src/domain/error.ts";
import { parseForm } from "../../../src/faces/http/form.ts";

const read = (text: string) => Object.fromEntries(parseForm(text));

describe("parseForm", () => {
  it.each(["a=%", "a=%4", "a=%zz", "%=1", "a=%ff", "a=%c3", "a=%ed%a0%80"])("refuses %s", (text) => {
    expect(() => parseForm(text)).toThrow(expect.objectContaining({ code: "invalid" }));
  });

  it.each([
    ["", {}],
    ["&;&", {}],
    ["a=1&b=2", { a: "1", b: "2" }],
    ["a=1;b=2", { a: "1", b: "2" }],
    ["a=1=2", { a: "1=2" }],
    ["a=1&a=2", { a: "2" }],
    ["a", { a: "" }],
    ["a=x+y%2Bz", { a: "x y+z" }],
    ["%61=%C3%A9", { a: "é" }],
    ['volumes=[{"name":"disk"}]', { volumes: '[{"name":"disk"}]' }],
    ["__proto__=1", Object.fromEntries([["__proto__", "1"]])],
  ])("reads %s", (text, fields) => {
    expect(read(text)).toEqual(fields);
  });

  it("reads what a form encodes", () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.string({ unit: "grapheme", minLength: 1 }), fc.string({ unit: "grapheme" })),
        (map) => {
          expect([...parseForm(new URLSearchParams(map).toString())]).toEqual(Object.entries(map));
        },
      ),
    );
  });

  it("refuses in one way only", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom("a", "=", "&", ";", "%", "+", "4", "f", "\ud800") }), (text) => {
        try {
          parseForm(text);
        } catch (error) {
          expect(codeOf(error)).toBe("invalid");
        }
      }),
    );
  });
});
