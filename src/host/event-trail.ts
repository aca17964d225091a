/**
 * The audit trail in files: `events/*.jsonl` below the work root's `meta`, one line an event. A line is in the kernel's
 * hands when `append` returns, so it survives kill -9, and is synced in the background, at most a second later.
 *
 *   append ─▶ one write ─▶ (a second) ─▶ fdatasync      segment full ─▶ the oldest goes, a new one is begun
 *
 * Numbers are never used again. What a power cut took, or a full disk refused, had numbers that somebody may have seen:
 * behind such an end the numbers go on `NUMBERS_SKIPPED` further.
 */
import { ftruncateSync, mkdirSync, writeSync } from "node:fs";
import { messageOf } from "../domain/error.ts";
import { DAEMON_ITSELF, type EventDraft, type NodeEvent } from "../domain/event.ts";
import type { BootId, WallMs } from "../domain/units.ts";
import type { EventRange, EventTrail } from "../ports/event-trail.ts";
import type { Log } from "../ports/log.ts";
import { findEnd, writeStanding } from "./event-end.ts";
import { printEvent, printMark } from "./event-line.ts";
import { readEvents } from "./event-reader.ts";
import { dropOldest, listSegments, openSegment, type Segment, segmentPath, syncDirectory } from "./event-segments.ts";
import { EventSyncs } from "./event-syncs.ts";
import { PRIVATE_MODE } from "./incarnation.ts";

export interface EventTrailOptions {
  /** Made when it is missing. */
  readonly directory: string;
  /** What all segments together may take. */
  readonly bytesMax: number;
  readonly bootId: BootId;
  readonly now: () => WallMs;
  readonly log: Log;
}

const SEGMENT_BYTES_MAX = 1024 * 1024;
/** How many segments a trail has that is full. */
const SEGMENTS_MIN = 16;
/** A power cut must not take more numbers than are skipped behind it. */
const UNSYNCED_MAX = 50_000;
const NUMBERS_SKIPPED = 100_000;
const OPEN_AGAIN_MS = 1_000;
const DAMAGED_COUNTED_MAX = 10_000;

/** Never throws: a trail that cannot be opened has a problem, and is tried again. */
export function openEventTrail(options: EventTrailOptions): EventTrail {
  return new FileTrail(options);
}

class FileTrail implements EventTrail {
  readonly #options: EventTrailOptions;
  readonly #segmentBytes: number;
  readonly #syncs: EventSyncs;
  readonly #damaged = new Set<string>();
  #segments: Segment[] = [];
  #fd: number | undefined;
  #last = 0;
  #openedAtMs = Number.NEGATIVE_INFINITY;
  #isClosed = false;
  /** Why the last write failed, and how many events are lost by now. */
  #failure: string | undefined;
  #lost = 0;
  #reading: Promise<unknown> = Promise.resolve();

  constructor(options: EventTrailOptions) {
    this.#options = options;
    this.#segmentBytes = Math.min(SEGMENT_BYTES_MAX, Math.floor(options.bytesMax / SEGMENTS_MIN));
    this.#syncs = new EventSyncs(options.log, UNSYNCED_MAX);
    try {
      this.#open();
    } catch (error) {
      this.#fail(error);
    }
  }

  get last(): number {
    return this.#last;
  }

  get problem(): string | undefined {
    const trail = `The audit trail in ${this.#options.directory}`;
    if (this.#failure !== undefined) {
      return `${trail} is not kept (${this.#failure}), ${this.#lost} events are lost: see to its disk`;
    }
    if (this.#syncs.failure !== undefined) return `${trail} cannot be synced (${this.#syncs.failure}): see to its disk`;
    if (this.#damaged.size > 0) return `${trail} has ${this.#damaged.size} damaged lines: see to its disk`;
    return undefined;
  }

  append(drafts: readonly EventDraft[]): readonly NodeEvent[] {
    const [first] = drafts;
    if (first === undefined || this.#isClosed) return [];
    this.#openAgain();
    const gap = this.#failure === undefined ? undefined : this.#tellGap(first.at);
    const from = this.#last + 1;
    try {
      this.#write(drafts.map((draft, index) => printEvent(from + index, draft)).join(""), drafts.length);
    } catch (error) {
      this.#lost += drafts.length;
      this.#fail(error);
    }
    // Not before: a file that was begun for them is named by the first of them.
    this.#last += drafts.length;
    const events = drafts.map((draft, index): NodeEvent => ({ seq: from + index, ...draft }));
    return gap === undefined ? events : [gap, ...events];
  }

  read(range: EventRange): Promise<readonly NodeEvent[]> {
    // One at a time, so that many who ask take no more memory than one.
    const found = this.#reading.then(() => readEvents([...this.#segments], range, (place) => this.#noteDamaged(place)));
    this.#reading = found.catch(() => undefined);
    return found;
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    try {
      if (this.#failure === undefined) this.#write(printMark({ mark: "close" }), 1);
    } catch (error) {
      this.#fail(error);
    }
    this.#isClosed = true;
    if (this.#fd !== undefined) this.#syncs.leave(this.#fd);
    this.#fd = undefined;
    await this.#syncs.finish();
  }

  #openAgain(): void {
    if (this.#fd !== undefined || performance.now() - this.#openedAtMs < OPEN_AGAIN_MS) return;
    try {
      this.#open();
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Finds where the trail ended, and goes on behind it. */
  #open(): void {
    this.#openedAtMs = performance.now();
    const { directory, bootId, now } = this.#options;
    mkdirSync(directory, { recursive: true, mode: PRIVATE_MODE });
    this.#segments = listSegments(directory);
    const { last, isCertain, lostSome } = findEnd(directory, this.#segments, bootId);
    this.#last = Math.max(this.#last, last + (isCertain ? 0 : NUMBERS_SKIPPED));
    this.#begin();
    // What fails since it was opened tells of that itself.
    if (this.#failure !== undefined) return;
    if (lostSome) {
      const message = "Events before this one could not be kept; how many is not known";
      this.#write(printEvent(this.#last + 1, { at: now(), type: "events-lost", by: DAEMON_ITSELF, message }), 1);
      this.#last += 1;
    }
    writeStanding(directory, "kept");
  }

  /** Goes on in the newest segment, or begins another. Each opening is marked, in each segment. */
  #begin(): void {
    const { directory, bytesMax, bootId } = this.#options;
    let segment = this.#segments.at(-1);
    const isNew = segment === undefined || this.#isFull();
    if (segment === undefined || isNew) {
      // Its room may be all that there is.
      dropOldest(this.#segments, bytesMax - this.#segmentBytes);
      segment = { first: this.#last + 1, path: segmentPath(directory, this.#last + 1), bytes: 0, isTorn: false };
    }
    const fd = openSegment(segment.path);
    // What cannot be opened is no segment: the last one's descriptor would be taken for its.
    if (isNew) this.#segments.push(segment);
    if (this.#fd !== undefined) this.#syncs.leave(this.#fd);
    this.#fd = fd;
    this.#syncs.afterwards(() => syncDirectory(directory));
    writeWhole(fd, segment, printMark({ mark: "open", boot: bootId }));
  }

  #isFull(): boolean {
    const segment = this.#segments.at(-1);
    return segment !== undefined && (segment.bytes >= this.#segmentBytes || segment.isTorn);
  }

  #write(text: string, count: number): void {
    if (this.#fd !== undefined && this.#isFull()) this.#begin();
    const segment = this.#segments.at(-1);
    if (segment === undefined || this.#fd === undefined) throw new Error(this.#failure);
    writeWhole(this.#fd, segment, text);
    this.#syncs.wrote(this.#fd, count);
  }

  /** Before anything is kept again: how much was not. `undefined` when this cannot be kept either. */
  #tellGap(at: WallMs): NodeEvent | undefined {
    const count = this.#lost === 1 ? "1 event" : `${this.#lost} events`;
    const message = `${count} before this one could not be kept: ${this.#failure}`;
    const draft: EventDraft = { at, type: "events-lost", by: DAEMON_ITSELF, message };
    try {
      this.#write(printEvent(this.#last + 1, draft), 1);
    } catch {
      return undefined;
    }
    this.#last += 1;
    this.#options.log.warn({ lost: this.#lost }, "The audit trail is kept again");
    this.#failure = undefined;
    this.#lost = 0;
    writeStanding(this.#options.directory, "kept");
    return { seq: this.#last, ...draft };
  }

  #fail(error: unknown): void {
    const { directory, log } = this.#options;
    if (this.#failure === undefined) {
      writeStanding(directory, "lost");
      log.error({ error }, `Cannot keep the audit trail in ${directory}: ${messageOf(error)}`);
    }
    this.#failure = messageOf(error);
  }

  #noteDamaged(place: string): void {
    if (this.#damaged.has(place) || this.#damaged.size >= DAMAGED_COUNTED_MAX) return;
    if (this.#damaged.size === 0) this.#options.log.warn({ place }, "A line of the audit trail is damaged");
    this.#damaged.add(place);
  }
}

/** All of it, or nothing: what comes next must not continue half a line. */
function writeWhole(fd: number, segment: Segment, text: string): void {
  const bytes = Buffer.from(text);
  try {
    if (writeSync(fd, bytes) < bytes.length) throw new Error("no space is left");
    segment.bytes += bytes.length;
  } catch (error) {
    try {
      ftruncateSync(fd, segment.bytes);
    } catch {
      segment.isTorn = true;
    }
    throw error;
  }
}
