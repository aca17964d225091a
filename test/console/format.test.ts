import { describe, expect, test } from "vitest";
import { bytes, counted, mib, number, quoted, relative } from "../../src/console/format.ts";

const NOW = Date.parse("2026-01-02T03:04:05Z");
const at = (distanceMs: number) => new Date(NOW + distanceMs).toISOString();

describe("figures", () => {
  test.each([
    [0, "0 B"],
    [1023, "1,023 B"],
    [1024, "1 KiB"],
    [1536 * 1024, "1.5 MiB"],
    [1000 * 1024 ** 2, "1,000 MiB"],
    [5 * 1024 ** 4, "5 TiB"],
  ])("%d bytes are %s", (value, text) => expect(bytes(value)).toBe(text));

  test("are grouped, with what is exact of them", () => {
    expect([number(1536.5), number(100_000), mib(2048), counted(1, "volume"), counted(2, "volume")]).toEqual([
      "1,536.5",
      "100,000",
      "2 GiB",
      "1 volume",
      "2 volumes",
    ]);
  });
});

test.each([
  [-5_000, "just now"],
  [5_000, "in a moment"],
  [-60_000, "1 min ago"],
  [90 * 60_000, "in 2 h"],
  [-28 * 3_600_000, "28 h ago"],
  [7 * 86_400_000, "in 7 days"],
])("What is %d ms away is %s", (distanceMs, text) => expect(relative(at(distanceMs), NOW)).toBe(text));

test.each([
  ["ads/db", "ads/db"],
  ["ads/it's $HOME", "'ads/it'\\''s $HOME'"],
  ["", "''"],
])("A shell reads %j as it is meant", (text, word) => expect(quoted(text)).toBe(word));
