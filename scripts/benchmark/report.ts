import type { Measured } from "./client-worker.ts";

type Bound = { readonly atMost: number } | { readonly atLeast: number };

/** What was measured, what it stands beside, and what it should be. */
export interface Row {
  readonly title: string;
  readonly journal: boolean;
  readonly figure: number;
  readonly unit: "ms" | "/s" | "MB";
  /** How many samples there were, where that depends on the run. */
  readonly samples?: number;
  /** The number of volumes that it was measured with, for a row that is one of several. */
  readonly growth?: { readonly measured: string; readonly volumes: number };
  /** What the ratio is taken of; without it the ratio is figure to target. */
  readonly beside?: { readonly name: string; readonly figure: number };
  /** The ratios of single runs, whose spread is shown. */
  readonly ratios?: readonly number[];
  /** Bounds the ratio where there is something beside, else the figure; a row without one is for information. */
  readonly target?: Bound;
}

/** A row with its verdict. */
export interface Judged extends Row {
  readonly ratio?: number;
  readonly verdict?: "PASS" | "FAIL";
}

export function judge(row: Row): Judged {
  const bound = row.target === undefined ? undefined : boundOf(row.target);
  const reference = row.beside?.figure ?? bound;
  const ratio = reference === undefined ? {} : { ratio: row.figure / reference };
  if (row.target === undefined) return { ...row, ...ratio };
  const judged = row.beside === undefined ? row.figure : row.figure / row.beside.figure;
  return { ...row, ...ratio, verdict: keeps(row.target, judged) ? "PASS" : "FAIL" };
}

function boundOf(bound: Bound): number {
  return "atMost" in bound ? bound.atMost : bound.atLeast;
}

function keeps(bound: Bound, value: number): boolean {
  return "atMost" in bound ? value <= bound.atMost : value >= bound.atLeast;
}

const HEAD = ["journal", "measured", "figure", "beside", "ratio", "target", ""];

/** The rows as a table for people. */
export function table(rows: readonly Judged[]): string {
  const cells = [HEAD, ...rows.map(cellsOf)];
  const widths = HEAD.map((_, column) => Math.max(...cells.map((line) => line[column]?.length ?? 0)));
  return cells
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

function cellsOf(row: Judged): string[] {
  const beside = row.beside === undefined ? "" : `${quantity(row.beside.figure, row.unit)} ${row.beside.name}`;
  const ratio = row.ratio === undefined ? "" : `${row.ratio.toFixed(2)}${spread(row)}`;
  const journal = row.journal ? "on" : "off";
  const title = row.samples === undefined ? row.title : `${row.title} of ${row.samples}`;
  return [journal, title, quantity(row.figure, row.unit), beside, ratio, targetText(row), row.verdict ?? ""];
}

function spread({ ratios }: Row): string {
  if (ratios === undefined) return "";
  return ` (${Math.min(...ratios).toFixed(2)}-${Math.max(...ratios).toFixed(2)})`;
}

function targetText({ target, beside, unit }: Row): string {
  if (target === undefined) return "";
  const sign = "atMost" in target ? "≤" : "≥";
  return `${sign} ${beside === undefined ? quantity(boundOf(target), unit) : `${boundOf(target)} ×`}`;
}

function quantity(value: number, unit: Row["unit"]): string {
  const digits = value < 100 ? 3 : 0;
  return `${value.toFixed(digits)} ${unit}`;
}

/** The value that the share `fraction` of the samples does not exceed. */
export function percentile(samples: readonly number[] | Float64Array, fraction: number): number {
  const sorted = Float64Array.from(samples).sort();
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * fraction))] ?? Number.NaN;
}

/** All latencies of several runs, in milliseconds. */
export function latencies(runs: readonly Measured[]): number[] {
  return runs.flatMap((run) => [...run.latenciesMs]);
}
