/**
 * The answer to a SUBSCRIBE: events as RecordIO, with a heartbeat while there is nothing else to say. What the client has
 * not read yet is kept up to a bound; a client that stops reading is cut off and never slows anybody else.
 *
 * Each record is one HTTP chunk, as Mesos sends it: there are clients that take a chunk for a record. Node joins what is
 * written at once into one chunk, so a record is written when the one before it is on its way.
 */
import type { Clock } from "../../ports/clock.ts";
import { encodeRecord } from "./recordio.ts";

/** What Mesos's master sends. */
export const HEARTBEAT_INTERVAL_MS = 15_000;
/** With more than this still unread, no event is added. One event may be larger. */
const UNREAD_BYTES_MAX = 8 * 1024 * 1024;
/** With more than this, what can wait should. */
const BUSY_BYTES = UNREAD_BYTES_MAX / 2;
/** How many heartbeats may fall due without a byte having been read. */
const SILENT_BEATS_MAX = 3;
/** How long what was said last may take to be read. */
const LAST_WORD_MS = 10_000;
/** How much is handed on at a time, so that it can be seen that somebody reads. */
const PIECE_BYTES = 64 * 1024;

/** The connection, as far as a stream needs it. */
export interface Wire {
  /** Calls back when the bytes are on their way. */
  write(bytes: Buffer, written: () => void): void;
  /** Sends what is left, and ends. */
  end(): void;
  /** Ends at once. */
  destroy(): void;
}

export class EventStream {
  /** What the client names in the `Mesos-Stream-Id` of its other calls. */
  readonly id: string;
  readonly #wire: Wire;
  readonly #clock: Clock;
  /** What waits for the piece that is being written. */
  #waiting: Buffer[] = [];
  #isWriting = false;
  #unreadBytes = 0;
  #silentBeats = 0;
  #state: "open" | "ending" | "closed" = "open";
  /** Of the next heartbeat, or of the end. */
  #cancelTimer: () => void = () => {};

  constructor(id: string, wire: Wire, clock: Clock) {
    this.id = id;
    this.#wire = wire;
    this.#clock = clock;
    this.#scheduleBeat();
  }

  get isOpen(): boolean {
    return this.#state === "open";
  }

  /** Whether so much is unread that what can wait should, before the client is cut off for it. */
  get isBusy(): boolean {
    return this.#unreadBytes > BUSY_BYTES;
  }

  send(event: object): void {
    if (!this.isOpen) return;
    if (this.#unreadBytes > UNREAD_BYTES_MAX) this.#cut();
    else this.#write(encodeRecord(event));
  }

  /** Ends it as soon as everything is read; who does not read it soon is cut off. */
  end(last?: object): void {
    if (last !== undefined) this.send(last);
    if (!this.isOpen) return;
    this.#state = "ending";
    this.#cancelTimer();
    this.#cancelTimer = this.#clock.after(LAST_WORD_MS, () => this.#cut());
    this.#next();
  }

  /** Ends it now; what is unread is lost. */
  endNow(): void {
    if (!this.isOpen) return;
    if (this.#unreadBytes > 0) this.#cut();
    else this.end();
  }

  /** The connection is gone. */
  closed(): void {
    this.#state = "closed";
    this.#waiting = [];
    this.#cancelTimer();
  }

  #cut(): void {
    this.closed();
    this.#wire.destroy();
  }

  #write(bytes: Buffer): void {
    this.#unreadBytes += bytes.length;
    for (let start = 0; start < bytes.length; start += PIECE_BYTES) {
      this.#waiting.push(bytes.subarray(start, start + PIECE_BYTES));
    }
    this.#next();
  }

  #next(): void {
    if (this.#isWriting) return;
    const piece = this.#waiting.shift();
    if (piece === undefined) {
      if (this.#state === "ending") this.#wire.end();
      return;
    }
    this.#isWriting = true;
    this.#wire.write(piece, () => {
      this.#isWriting = false;
      this.#unreadBytes -= piece.length;
      this.#silentBeats = 0;
      this.#next();
    });
  }

  #scheduleBeat(): void {
    this.#cancelTimer = this.#clock.after(HEARTBEAT_INTERVAL_MS, () => {
      this.#beat();
      if (this.isOpen) this.#scheduleBeat();
    });
  }

  /** What is unread tells the client as well that we are here. */
  #beat(): void {
    if (this.#unreadBytes === 0) this.send({ type: "HEARTBEAT" });
    else this.#silentBeats += 1;
    if (this.#silentBeats > SILENT_BEATS_MAX) this.#cut();
  }
}
