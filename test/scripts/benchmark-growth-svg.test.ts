/** The picture of how cost grows. */
import { expect, test } from "vitest";
import { growthSvg } from "../../scripts/benchmark/growth-svg.ts";
import type { Row } from "../../scripts/benchmark/report.ts";

function row(measured: string, volumes: number, figure: number, journal = true): Row {
  return { title: `${measured}, ${volumes}`, journal, figure, unit: "ms", growth: { measured, volumes } };
}

/** The places of the points of every line, in order. */
function lines(svg: string | undefined): number[][][] {
  const polylines = [...(svg ?? "").matchAll(/<polyline points="([^"]*)"\/><circle/g)];
  return polylines.map(([, points = ""]) => points.split(" ").map((point) => point.split(",").map(Number)));
}

test("growthSvg draws nothing when no row tells its number of volumes", () => {
  expect(growthSvg([{ title: "create", journal: true, figure: 1, unit: "ms" }])).toBeUndefined();
});

test("growthSvg puts powers of ten at equal distances and figures at their share of the height", () => {
  const [line = []] = lines(growthSvg([row("list", 100, 10), row("list", 1000, 20), row("list", 10_000, 40)]));
  const [x, y] = [line.map(([left = 0]) => left), line.map(([, top = 0]) => top)];
  expect((x[1] ?? 0) - (x[0] ?? 0)).toBeCloseTo((x[2] ?? 0) - (x[1] ?? 0), 0);
  expect((y[1] ?? 0) - (y[2] ?? 0)).toBeCloseTo(2 * ((y[0] ?? 0) - (y[1] ?? 0)), 0);
});

test("growthSvg draws a panel for each cost and in it a line for each file system", () => {
  const rows = [true, false].flatMap((journal) => [row("a", 100, 1, journal), row("b", 100, 2, journal)]);
  const svg = growthSvg(rows);
  expect(svg?.match(/class="cost"/g)).toHaveLength(2);
  expect(lines(svg)).toHaveLength(4);
});

test("growthSvg is one well-formed element whatever the costs are called", () => {
  const svg = growthSvg([row("list <all> & more", 100, 0)]) ?? "";
  expect(svg).toContain("list &lt;all> &amp; more, ms");
  expect(svg).not.toContain("NaN");
  expect(svg.match(/<(g|text|svg|style)\b/g)).toHaveLength(svg.match(/<\/(g|text|svg|style)>/g)?.length ?? 0);
});
