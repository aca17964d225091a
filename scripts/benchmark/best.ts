/** The best result known of every row, and what a run makes of it. */
import type { Judged, Row } from "./report.ts";

/** A figure counts as worse from here on: less is the machine's mood. */
const WORSE = 1.25;

/** What was reached once, where and when. */
interface Best {
  readonly figure: number;
  readonly unit: Row["unit"];
  /** To what it stood beside. */
  readonly ratio?: number;
  readonly date: string;
  readonly machine: string;
}

/** By title and journal. */
export type BestKnown = Readonly<Record<string, Best>>;

/** Where and when a run was. */
export type Run = Pick<Best, "date" | "machine">;

/** The rows that are a quarter worse than the best known: in ratio where there is one on both sides, else in figure. */
export function slowerThanBest(known: BestKnown, rows: readonly Judged[]): string[] {
  return rows.flatMap((row) => {
    const best = known[keyOf(row)];
    if (best === undefined) return [];
    const share = worseBy(best, row);
    if (share <= WORSE) return [];
    const told = `${shown(row, ratioOf(row))}, the best known is ${shown(best, best.ratio)}`;
    return [`${keyOf(row)}: ${told} (${best.date}, ${best.machine}): ${Math.round((share - 1) * 100)} % worse`];
  });
}

/** The best known with what this run did better, or for the first time. Sorted, so that files can be compared. */
export function withImproved(known: BestKnown, rows: readonly Judged[], run: Run): BestKnown {
  const improved = rows.filter((row) => {
    const best = known[keyOf(row)];
    return best === undefined || worseBy(best, row) < 1;
  });
  const entries = improved.map((row): [string, Best] => {
    const ratio = ratioOf(row);
    return [keyOf(row), { figure: row.figure, unit: row.unit, ...(ratio !== undefined && { ratio }), ...run }];
  });
  const all = Object.entries({ ...known, ...Object.fromEntries(entries) });
  return Object.fromEntries(all.sort(([one], [other]) => (one < other ? -1 : 1)));
}

function keyOf(row: Row): string {
  return `${row.title}, journal ${row.journal ? "on" : "off"}`;
}

/** Only that to something measured in the same run: one to a target says no more than the figure. */
function ratioOf(row: Judged): number | undefined {
  return row.beside === undefined ? undefined : row.ratio;
}

/** 1 is as good, 2 is half as good. */
function worseBy(best: Best, row: Judged): number {
  const ratio = ratioOf(row);
  const [was, is] = best.ratio === undefined || ratio === undefined ? [best.figure, row.figure] : [best.ratio, ratio];
  return row.unit === "/s" ? was / is : is / was;
}

function shown({ figure, unit }: Pick<Best, "figure" | "unit">, ratio: number | undefined): string {
  return `${Number(figure.toPrecision(3))} ${unit}${ratio === undefined ? "" : ` (ratio ${ratio.toFixed(2)})`}`;
}
