/**
 * The files of the audit trail: segments named by the first number that an event in them may have, written one after the
 * other. When there are more bytes than the bound, the oldest goes.
 */
import { closeSync, constants, fsyncSync, openSync, readdirSync, readFileSync, statSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import { errnoOf } from "./disk-error.ts";

export interface Segment {
  /** No event in it has a lower number. */
  readonly first: number;
  readonly path: string;
  bytes: number;
  /** It ends with half a line, and no more may be written behind that. */
  isTorn: boolean;
}

const NAME = /^(\d{16})\.jsonl$/;
const DIGITS = 16;

/** Oldest first. */
export function listSegments(directory: string): Segment[] {
  const names = readdirSync(directory).filter((name) => NAME.test(name));
  return names.sort().map((name) => {
    const path = join(directory, name);
    return { first: Number(NAME.exec(name)?.[1]), path, bytes: statSync(path).size, isTorn: false };
  });
}

export function segmentPath(directory: string, first: number): string {
  return join(directory, `${String(first).padStart(DIGITS, "0")}.jsonl`);
}

/** For appending. */
export function openSegment(path: string): number {
  const { O_WRONLY, O_APPEND, O_CREAT, O_NOFOLLOW } = constants;
  return openSync(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW, 0o600);
}

/** Takes the oldest away until all have room; the newest stays. */
export function dropOldest(segments: Segment[], bytesMax: number): void {
  let total = segments.reduce((sum, { bytes }) => sum + bytes, 0);
  while (segments.length > 1 && total > bytesMax) {
    const [oldest] = segments;
    if (oldest === undefined) return;
    try {
      unlinkSync(oldest.path);
    } catch (error) {
      if (errnoOf(error) !== "ENOENT") throw error;
    }
    segments.shift();
    total -= oldest.bytes;
  }
}

/** The lines that are whole, and how many bytes those take: a torn one at the end has no line end. */
export function readWhole(path: string): { readonly lines: readonly string[]; readonly wholeBytes: number } {
  const bytes = readFileSync(path);
  const wholeBytes = bytes.lastIndexOf("\n") + 1;
  return { lines: bytes.toString("utf8", 0, wholeBytes).split("\n").slice(0, -1), wholeBytes };
}

/** New names in it survive a power cut from now on. */
export function syncDirectory(path: string): void {
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
