import { expect, test } from "vitest";
import { type Column, renderFacts, renderTable } from "../../../src/clients/cli/table.ts";

interface Row {
  readonly id: string;
  readonly size: number;
}

const COLUMNS: readonly Column<Row>[] = [
  { title: "ID", value: ({ id }) => id },
  { title: "SIZE", value: ({ size }) => String(size), align: "right" },
  { title: "AGAIN", value: ({ id }) => id },
];

test("renderTable aligns columns by what a terminal shows", () => {
  const rows = [
    { id: "db", size: 5 },
    { id: "データ", size: 10_000 },
  ];
  expect(renderTable(COLUMNS, rows)).toBe(
    ["ID       SIZE  AGAIN", "db          5  db", "データ  10000  データ"].join("\n"),
  );
});

test("renderTable keeps a hostile id inside its cell", () => {
  const table = renderTable(COLUMNS, [{ id: "a\n\u001b[1Ab", size: 1 }]);
  expect(table.split("\n")).toHaveLength(2);
  expect(table).not.toContain("\u001b");
});

test("renderTable shows an empty cell as a dash", () => {
  expect(renderTable(COLUMNS, [{ id: "", size: 1 }]).split("\n")[1]).toBe("-      1  -");
});

test("renderFacts leaves out what is not known", () => {
  expect(
    renderFacts([
      ["Volume", "ads/db"],
      ["Problem", undefined],
      ["Content", "/a\u001b"],
    ]),
  ).toBe("Volume   ads/db\nContent  /a\\u{1b}");
});
