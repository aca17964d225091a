/** Looks for events in the trail's files, one segment after the other, without holding anybody up. */
import { readFile } from "node:fs/promises";
import { isWanted, type NodeEvent } from "../domain/event.ts";
import type { EventRange } from "../ports/event-trail.ts";
import { isEvent, needlesOf, parseLine } from "./event-line.ts";
import type { Segment } from "./event-segments.ts";

/** Looked at between two turns of the event loop: a millisecond or two. */
const LINES_PER_SLICE = 250;
const LINE_END = "\n".charCodeAt(0);

/**
 * What `EventTrail.read` returns.
 * @param segments oldest first
 * @param onDamaged told of every line that is damaged, as far as they are looked at
 */
export async function readEvents(
  segments: readonly Segment[],
  range: EventRange,
  onDamaged: (place: string) => void,
): Promise<readonly NodeEvent[]> {
  const isForward = range.after !== undefined;
  const search = { range, isForward, needles: needlesOf(range.filter), found: [] as NodeEvent[], onDamaged };
  const inRange = segments.filter((_, index) => mayHave(segments, index, range));
  for (const segment of isForward ? inRange : inRange.toReversed()) {
    await searchSegment(segment, search);
    if (search.found.length >= range.limit) break;
  }
  return isForward ? search.found : search.found.reverse();
}

function mayHave(segments: readonly Segment[], index: number, { after, before }: EventRange): boolean {
  const first = segments[index]?.first ?? 0;
  const next = segments[index + 1]?.first ?? Number.POSITIVE_INFINITY;
  return (before === undefined || first < before) && (after === undefined || next > after + 1);
}

interface Search {
  readonly range: EventRange;
  readonly isForward: boolean;
  readonly needles: readonly string[];
  readonly found: NodeEvent[];
  readonly onDamaged: (place: string) => void;
}

async function searchSegment({ path }: Segment, search: Search): Promise<void> {
  const { needles, isForward, range, found } = search;
  const bytes = await readFile(path).catch(goneIsEmpty);
  if (!needles.every((needle) => bytes.includes(needle))) return;
  const lines = linesWith(bytes, needles[0]);
  for (let step = 0; step < lines.length && found.length < range.limit; step += 1) {
    if (step % LINES_PER_SLICE === LINES_PER_SLICE - 1) await new Promise<void>((resolve) => setImmediate(resolve));
    const [start = 0, end = 0] = lines[isForward ? step : lines.length - 1 - step] ?? [];
    const line = bytes.toString("utf8", start, end);
    if (!needles.every((needle) => line.includes(needle))) continue;
    const event = parseLine(line);
    if (event === undefined) search.onDamaged(`${path} at byte ${start}`);
    else if (isEvent(event) && isInRange(event, range)) found.push(event);
  }
}

/** Where the lines begin and end that have a text, or all of them. One that is being written has no line end yet. */
function linesWith(bytes: Buffer, needle: string | undefined): readonly (readonly [start: number, end: number])[] {
  const lines: [number, number][] = [];
  let start = 0;
  for (;;) {
    const hit = needle === undefined ? start : bytes.indexOf(needle, start);
    const end = hit < 0 ? -1 : bytes.indexOf(LINE_END, hit);
    if (end < 0) return lines;
    // Between two hits there may be lines without.
    lines.push([hit === 0 ? 0 : bytes.lastIndexOf(LINE_END, hit - 1) + 1, end]);
    start = end + 1;
  }
}

function isInRange(event: NodeEvent, { after, before, filter, admits }: EventRange): boolean {
  if (after !== undefined && event.seq <= after) return false;
  if (before !== undefined && event.seq >= before) return false;
  return isWanted(event, filter) && admits(event);
}

/** The oldest goes whenever a new one is begun. */
function goneIsEmpty(error: NodeJS.ErrnoException): Buffer {
  if (error.code === "ENOENT") return Buffer.alloc(0);
  throw error;
}
