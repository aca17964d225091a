import { displayWidth, printable } from "./text.ts";

export interface Column<Row> {
  readonly title: string;
  readonly value: (row: Row) => string;
  /** Numbers stand to the right. */
  readonly align?: "left" | "right";
}

const GAP = "  ";

/**
 * A table for people: titles, then one line a row, columns as wide as their widest cell.
 *
 * @example
 * renderTable([{ title: "ID", value: (row) => row.id }], [{ id: "db" }]) // "ID\ndb"
 */
export function renderTable<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string {
  const lines = [
    columns.map((column) => column.title),
    ...rows.map((row) => columns.map((column) => printable(column.value(row)) || "-")),
  ];
  const widths = columns.map((_, index) => widest(lines, index));
  return lines.map((cells) => renderLine(columns, cells, widths)).join("\n");
}

function widest(lines: readonly (readonly string[])[], index: number): number {
  let width = 0;
  for (const cells of lines) width = Math.max(width, displayWidth(cells[index] ?? ""));
  return width;
}

function renderLine<Row>(columns: readonly Column<Row>[], cells: readonly string[], widths: readonly number[]): string {
  const padded = columns.map((column, index) => {
    const cell = cells[index] ?? "";
    const padding = " ".repeat((widths[index] ?? 0) - displayWidth(cell));
    return column.align === "right" ? padding + cell : cell + padding;
  });
  return padded.join(GAP).trimEnd();
}

/** Label and value lines: `size      512 MB`. Lines without a value are left out. */
export function renderFacts(facts: readonly (readonly [label: string, value: string | undefined])[]): string {
  const known = facts.filter(([, value]) => value !== undefined && value !== "");
  const width = Math.max(...known.map(([label]) => label.length));
  return known.map(([label, value]) => `${label.padEnd(width)}${GAP}${printable(value ?? "")}`).join("\n");
}
