/** What the benchmark says got slower, and what it keeps. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { type BestKnown, slowerThanBest, withImproved } from "../../scripts/benchmark/best.ts";
import { judge, type Row } from "../../scripts/benchmark/report.ts";

const RUN = { date: "2026-11-22", machine: "2 × test" };

const CREATE: Row = { title: "create", journal: true, figure: 1, unit: "ms", beside: { name: "Docker", figure: 1 } };
const MEMORY: Row = { title: "resident", journal: true, figure: 100, unit: "MB", target: { atMost: 150 } };
const SPEED: Row = {
  title: "creates",
  journal: false,
  figure: 3000,
  unit: "/s",
  beside: { name: "Docker", figure: 1000 },
};

const KNOWN = best(CREATE, MEMORY, SPEED);

function best(...rows: readonly Row[]): BestKnown {
  return withImproved({}, rows.map(judge), RUN);
}

function slower(row: Row): string[] {
  return slowerThanBest(KNOWN, [judge(row)]);
}

test("slowerThanBest names a row whose ratio is more than a quarter worse, with both figures", () => {
  expect(slower({ ...CREATE, figure: 2.52, beside: { name: "Docker", figure: 2 } })).toEqual([
    "create, journal on: 2.52 ms (ratio 1.26), the best known is 1 ms (ratio 1.00) (2026-11-22, 2 × test): 26 % worse",
  ]);
});

test("slowerThanBest takes more for worse where a figure is a time or a size, and less where it is a speed", () => {
  expect(slower({ ...MEMORY, figure: 126 })).toHaveLength(1);
  expect(slower({ ...SPEED, figure: 2300 })).toHaveLength(1);
  expect(slower({ ...MEMORY, figure: 50 })).toEqual([]);
  expect(slower({ ...SPEED, figure: 9000 })).toEqual([]);
});

test("slowerThanBest lets a figure be worse whose ratio is not, and everything by a quarter", () => {
  expect(slower({ ...CREATE, figure: 10, beside: { name: "Docker", figure: 10 } })).toEqual([]);
  expect(slower({ ...CREATE, figure: 1.25 })).toEqual([]);
  expect(slower({ ...MEMORY, figure: 125 })).toEqual([]);
});

test("slowerThanBest says nothing of a row that is new, nor of one with the other journal", () => {
  expect(slower({ ...CREATE, title: "attach", figure: 99 })).toEqual([]);
  expect(slower({ ...CREATE, journal: false, figure: 99 })).toEqual([]);
});

test("withImproved keeps what is better or new, and leaves the rest as it was", () => {
  const rows = [
    { ...CREATE, figure: 1.1 },
    { ...MEMORY, figure: 90 },
    { ...SPEED, journal: true },
  ];
  const later = { date: "2026-12-01", machine: "4 × test" };
  const kept = withImproved(KNOWN, rows.map(judge), later);
  expect(kept["create, journal on"]).toEqual({ figure: 1, unit: "ms", ratio: 1, ...RUN });
  expect(kept["resident, journal on"]).toEqual({ figure: 90, unit: "MB", ...later });
  expect(kept["creates, journal on"]).toEqual({ figure: 3000, unit: "/s", ratio: 3, ...later });
  expect(Object.keys(kept)).toEqual(Object.keys(kept).toSorted());
});

test("withImproved takes a speed for better when it is higher", () => {
  const kept = withImproved(KNOWN, [judge({ ...SPEED, figure: 2000 })], RUN);
  expect(kept["creates, journal off"]?.figure).toBe(3000);
});

test("best.json can be compared with", () => {
  const file = new URL("../../scripts/benchmark/best.json", import.meta.url);
  const known = JSON.parse(readFileSync(file, "utf8")) as BestKnown;
  for (const [row, { figure, unit, date, machine }] of Object.entries(known)) {
    expect(figure, row).toBeGreaterThan(0);
    expect(["ms", "/s", "MB"], row).toContain(unit);
    expect(
      [date, machine].every((text) => text !== ""),
      row,
    ).toBe(true);
  }
});
