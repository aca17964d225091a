/**
 * A picture of how cost grows with the number of volumes: a panel for each cost, a line for each file system. Volumes
 * grow by powers of ten to the right, cost grows evenly from zero upwards; readable on light and on dark.
 */
import type { Row } from "./report.ts";

const COLUMNS = 2;
const PANEL = { width: 400, height: 204, left: 24, right: 40, top: 52, bottom: 46 } as const;
const WIDTH = COLUMNS * PANEL.width;
const HEAD = 58;
/** A little room above the highest point. */
const HEADROOM = 1.12;

const STYLE = `
  :root { --page: #ffffff; --text: #1f2328; --dim: #59636e; --rule: #d1d9e0; --on: #0969da; --off: #bc4c00 }
  @media (prefers-color-scheme: dark) {
    :root { --page: #0d1117; --text: #f0f6fc; --dim: #9198a1; --rule: #3d444d; --on: #4493f8; --off: #f0883e }
  }
  text { font: 12px system-ui, sans-serif; fill: var(--dim) }
  .title { font-size: 17px; font-weight: 600; fill: var(--text) }
  .cost { font-size: 13px; font-weight: 600; fill: var(--text) }
  .rule { stroke: var(--rule) }
  .on { --line: var(--on) } .off { --line: var(--off) }
  polyline { fill: none; stroke: var(--line); stroke-width: 2 }
  .off polyline { stroke-dasharray: 5 4 }
  circle { fill: var(--line) }
  .on text, .off text { fill: var(--line); font-size: 11px }`;

interface Point {
  readonly volumes: number;
  readonly figure: number;
}

interface Panel {
  readonly measured: string;
  readonly unit: Row["unit"];
  readonly lines: readonly { readonly journal: boolean; readonly points: readonly Point[] }[];
}

/** Draws the rows that tell their number of volumes; undefined when there are none. */
export function growthSvg(rows: readonly Row[]): string | undefined {
  const panels = panelsOf(rows);
  if (panels.length === 0) return undefined;
  const height = HEAD + Math.ceil(panels.length / COLUMNS) * PANEL.height;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${TITLE}">
<style>${STYLE}
</style>
<rect width="100%" height="100%" fill="var(--page)"/>
<text class="title" x="${PANEL.left}" y="30">${TITLE}</text>
${legend(panels)}
${panels.map(panel).join("\n")}
</svg>
`;
}

const TITLE = "How cost grows with the number of volumes";

function panelsOf(rows: readonly Row[]): Panel[] {
  const grown = rows.flatMap((row) => (row.growth === undefined ? [] : [{ ...row, ...row.growth }]));
  const panels = Map.groupBy(grown, ({ measured }) => measured);
  return [...panels].map(([measured, all]) => {
    const lines = [...Map.groupBy(all, ({ journal }) => journal)].map(([journal, points]) => ({ journal, points }));
    return { measured, unit: all[0]?.unit ?? "ms", lines };
  });
}

function legend(panels: readonly Panel[]): string {
  const journals = new Set(panels.flatMap(({ lines }) => lines.map(({ journal }) => journal)));
  return [...journals]
    .map((journal, index) => {
      const left = PANEL.left + index * 170;
      const line = `<polyline points="${left},46 ${left + 28},46"/>`;
      return `<g class="${className(journal)}">${line}<text x="${left + 36}" y="50">ext4 ${journalText(journal)}</text></g>`;
    })
    .join("\n");
}

function panel({ measured, unit, lines }: Panel, index: number): string {
  const points = lines.flatMap((line) => line.points);
  const place = placing(points);
  const sizes = [...new Set(points.map(({ volumes }) => volumes))];
  const bottom = PANEL.height - PANEL.bottom;
  const x = (index % COLUMNS) * PANEL.width;
  const y = HEAD + Math.floor(index / COLUMNS) * PANEL.height;
  const ticks = sizes.map((volumes) => {
    return `<text x="${place({ volumes, figure: 0 }).x}" y="${bottom + 32}" text-anchor="middle">${count(volumes)}</text>`;
  });
  return `<g transform="translate(${x} ${y})">
<text class="cost" x="${PANEL.left}" y="26">${escaped(measured)}, ${unit}</text>
<line class="rule" x1="${PANEL.left}" y1="${bottom}" x2="${PANEL.width - PANEL.right + 16}" y2="${bottom}"/>
${ticks.join("")}
${lines.map((line) => drawn(line, lines, place)).join("\n")}
</g>`;
}

type Place = (point: Point) => { readonly x: string; readonly y: string };

function placing(points: readonly Point[]): Place {
  const decades = points.map(({ volumes }) => Math.log10(volumes));
  const [first, last] = [Math.min(...decades), Math.max(...decades)];
  const highest = Math.max(...points.map(({ figure }) => figure)) * HEADROOM || 1;
  const left = PANEL.left + 16;
  const width = PANEL.width - PANEL.right - left;
  const bottom = PANEL.height - PANEL.bottom;
  return ({ volumes, figure }) => ({
    x: (left + (width * (Math.log10(volumes) - first)) / (last - first || 1)).toFixed(1),
    y: (bottom - ((bottom - PANEL.top) * figure) / highest).toFixed(1),
  });
}

function drawn(line: Panel["lines"][number], lines: Panel["lines"], place: Place): string {
  const places = line.points.map(place);
  const marks = line.points.map((point, index) => {
    const { x, y } = places[index] ?? place(point);
    const others = lines.filter((other) => other !== line).flatMap((other) => other.points);
    const other = others.find(({ volumes }) => volumes === point.volumes);
    // The higher one is labelled above, the lower one below: labels keep out of each other's way.
    const isLower =
      other !== undefined && (other.figure > point.figure || (other.figure === point.figure && !line.journal));
    const label = `<text x="${x}" y="${Number(y) + (isLower ? 16 : -8)}" text-anchor="middle">${figure(point.figure)}</text>`;
    return `<circle cx="${x}" cy="${y}" r="3"/>${label}`;
  });
  const corners = places.map(({ x, y }) => `${x},${y}`).join(" ");
  return `<g class="${className(line.journal)}"><polyline points="${corners}"/>${marks.join("")}</g>`;
}

function className(journal: boolean): string {
  return journal ? "on" : "off";
}

function journalText(journal: boolean): string {
  return journal ? "with a journal" : "without a journal";
}

function count(volumes: number): string {
  return volumes.toLocaleString("en");
}

function figure(value: number): string {
  return value < 100 ? String(Number(value.toPrecision(2))) : Math.round(value).toLocaleString("en");
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
