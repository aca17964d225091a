/** How a trail ended: from its last lines, and from a file that says whether events were lost behind them. */
import { readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { BootId } from "../domain/units.ts";
import { isEvent, OPEN_MARK, parseLine } from "./event-line.ts";
import { readWhole, type Segment } from "./event-segments.ts";

/** How the trail stands; written in place, because a full disk has no room for more. */
export type Standing = "kept" | "lost";

export interface TrailEnd {
  /** The highest number that is known to have been given, 0 when there is none. */
  readonly last: number;
  /** Whether higher numbers may have been given, by whoever was not heard any more. */
  readonly isCertain: boolean;
  /** The last daemon died while it could not keep events. */
  readonly lostSome: boolean;
}

/** Cuts a torn line off. @throws what cannot be read or cut */
export function findEnd(directory: string, segments: readonly Segment[], bootId: BootId): TrailEnd {
  const lostSome = readStanding(directory) === "lost";
  const segment = segments.at(-1);
  if (segment === undefined) return { last: 0, isCertain: !lostSome, lostSome };
  const { lines, wholeBytes } = readWhole(segment.path);
  if (wholeBytes < segment.bytes) {
    truncateSync(segment.path, wholeBytes);
    segment.bytes = wholeBytes;
  }
  const final = parseLine(lines.at(-1) ?? "");
  const isClosed = final !== undefined && !isEvent(final) && final.mark === "close";
  const isWhole = isClosed || (final !== undefined && bootOf(lines) === bootId);
  return { last: lastNumber(lines) ?? segment.first - 1, isCertain: isWhole && !lostSome, lostSome };
}

export function writeStanding(directory: string, standing: Standing): void {
  const path = join(directory, STANDING);
  try {
    writeFileSync(path, standing, { flag: "r+" });
  } catch {
    try {
      writeFileSync(path, standing, { mode: 0o600 });
    } catch {
      // It is a pity: numbers may be used again after this.
    }
  }
}

const STANDING = "standing";

function readStanding(directory: string): Standing {
  try {
    return readFileSync(join(directory, STANDING), "utf8") === "lost" ? "lost" : "kept";
  } catch {
    return "kept";
  }
}

function lastNumber(lines: readonly string[]): number | undefined {
  for (const line of lines.toReversed()) {
    const entry = parseLine(line);
    if (entry !== undefined && isEvent(entry)) return entry.seq;
  }
  return undefined;
}

/** The boot in which the trail was opened last: every segment begins with it. */
function bootOf(lines: readonly string[]): string | undefined {
  const entry = parseLine(lines.findLast((line) => line.startsWith(OPEN_MARK)) ?? "");
  return entry !== undefined && !isEvent(entry) && entry.mark === "open" ? entry.boot : undefined;
}
