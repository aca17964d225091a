import { expect, test } from "vitest";
import { displayWidth, printable, printableJson } from "../../../src/clients/cli/text.ts";

test.each([
  ["an escape sequence", "a\u001b[2Jb", "a\\u{1b}[2Jb"],
  ["an eight-bit escape", "a\u009b2J", "a\\u{9b}2J"],
  ["a line feed", "a\nb", "a\\u{a}b"],
  ["a direction override", "a\u202eb", "a\\u{202e}b"],
  ["a zero-width joiner", "a\u200db", "a\\u{200d}b"],
  ["a lone surrogate", "a\ud800b", "a\\u{d800}b"],
  ["a line separator", "a\u2028b", "a\\u{2028}b"],
])("printable spells out %s", (_, text, expected) => {
  expect(printable(text)).toBe(expected);
});

test("printable leaves words of any language alone", () => {
  expect(printable("größe データ 🗄")).toBe("größe データ 🗄");
});

test("printableJson is harmless on a terminal and the same value", () => {
  const value = { id: "a\u009b2J\u202e\u{e0001}\u007f\n" };
  const text = printableJson(value);
  expect(text).toMatch(/^[\x20-\x7e\n]*$/);
  expect(JSON.parse(text)).toEqual(value);
});

test.each([
  ["plain", 5],
  ["データ", 6],
  ["한국", 4],
  ["e\u0301", 1],
  ["🦊🚀", 4],
])("displayWidth of %s is %i", (text, width) => {
  expect(displayWidth(text)).toBe(width);
});
