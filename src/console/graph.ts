/**
 * Use over time as a small picture. Its points are what the daemon remembers since it started, and what this page has
 * seen while it was open.
 */
import { html, nothing, type TemplateResult } from "lit-html";
import type { VolumeJson } from "../faces/http/wire.ts";
import { bytes, mib, relative, toBytes } from "./format.ts";

interface Point {
  readonly at: number;
  readonly usedBytes: number;
}

const WIDTH = 600;
const HEIGHT = 120;
const POINTS_MAX = 1_000;

/** Seen by this page, by uuid; only the volume that is looked at. */
const seen = new Map<string, Point[]>();

/** Remembers what was seen now. */
export function observe({ uuid, usedBytes }: VolumeJson, at: number): void {
  if (usedBytes === undefined) return;
  const points = seen.get(uuid) ?? [];
  seen.clear();
  seen.set(uuid, [...points.slice(1 - POINTS_MAX), { at, usedBytes }]);
}

export function useGraph(volume: VolumeJson, now: number): TemplateResult | typeof nothing {
  const points = pointsOf(volume);
  const [first] = points;
  const last = points.at(-1);
  if (first === undefined || last === undefined) return nothing;
  const sizeBytes = toBytes(volume.sizeMb);
  const top = Math.max(sizeBytes, ...points.map(({ usedBytes }) => usedBytes)) * 1.05;
  const span = Math.max(now - first.at, 1);
  const x = (at: number): number => ((at - first.at) / span) * WIDTH;
  const y = (value: number): number => HEIGHT - (value / top) * HEIGHT;
  const line = steps([...points, { at: now, usedBytes: last.usedBytes }], x, y);
  const since = new Date(first.at).toISOString();
  const summary = `Uses ${bytes(last.usedBytes)} of ${mib(volume.sizeMb)}; ${bytes(first.usedBytes)} ${relative(since, now)}`;
  return html`<figure class="graph">
    <svg viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" role="img" aria-label=${summary}>
      <path class="area" d="${line} L${WIDTH} ${HEIGHT} L0 ${HEIGHT} Z"></path>
      <path class="line" d=${line} vector-effect="non-scaling-stroke"></path>
      <path class="limit" d="M0 ${y(sizeBytes).toFixed(1)} H${WIDTH}" vector-effect="non-scaling-stroke"></path>
    </svg>
    <figcaption>
      <span>${relative(since, now)}: ${bytes(first.usedBytes)}</span>
      <span class="limit">size ${mib(volume.sizeMb)}</span>
      <span>now: ${bytes(last.usedBytes)}</span>
    </figcaption>
  </figure>`;
}

function pointsOf({ uuid, useHistory = [] }: VolumeJson): readonly Point[] {
  const told = useHistory.map(({ at, usedBytes }) => ({ at: Date.parse(at), usedBytes }));
  const toldUntil = told.at(-1)?.at ?? 0;
  return [...told, ...(seen.get(uuid) ?? []).filter(({ at }) => at > toldUntil)];
}

/** Use stays what it was until the next point. */
function steps(points: readonly Point[], x: (at: number) => number, y: (bytes: number) => number): string {
  return points
    .map(({ at, usedBytes }, index) => {
      const place = `${x(at).toFixed(1)} ${y(usedBytes).toFixed(1)}`;
      return index === 0 ? `M${place}` : `H${x(at).toFixed(1)} V${y(usedBytes).toFixed(1)}`;
    })
    .join(" ");
}
