import type { BootId, WallMs } from "../../src/domain/units.ts";
import type { Clock } from "../../src/ports/clock.ts";

interface Timer {
  readonly atMs: number;
  readonly order: number;
  readonly callback: () => void;
}

/** A clock that stands still until it is told otherwise. */
export class FakeClock implements Clock {
  #wallMs: number;
  #bootTimeMs = 1_000_000;
  #boots = 1;
  #ordered = 0;
  #timers: Timer[] = [];

  constructor(wallMs = Date.parse("2030-01-01T00:00:00Z")) {
    this.#wallMs = wallMs;
  }

  now(): WallMs {
    return this.#wallMs as WallMs;
  }

  bootId(): BootId {
    return `00000000-0000-4000-8000-${this.#boots.toString().padStart(12, "0")}` as BootId;
  }

  bootTimeMs(): number {
    return this.#bootTimeMs;
  }

  after(delayMs: number, callback: () => void): () => void {
    this.#ordered += 1;
    const timer = { atMs: this.#bootTimeMs + Math.max(0, delayMs), order: this.#ordered, callback };
    this.#timers.push(timer);
    return () => this.#forget(timer);
  }

  /** How many callbacks wait. */
  get waiting(): number {
    return this.#timers.length;
  }

  /** Lets time pass and calls back what has become due, in order, each at its own time. */
  advance(durationMs: number): void {
    const endMs = this.#bootTimeMs + durationMs;
    for (let due = this.#nextDue(endMs); due !== undefined; due = this.#nextDue(endMs)) {
      this.#forget(due);
      this.#passUntil(due.atMs);
      due.callback();
    }
    this.#passUntil(endMs);
  }

  /** Somebody sets the wall clock; time since boot does not notice. */
  jump(differenceMs: number): void {
    this.#wallMs += differenceMs;
  }

  /** A new boot: another boot id, no timers, time since boot from the beginning. */
  reboot(downMs = 60_000): void {
    this.#boots += 1;
    this.#wallMs += downMs;
    this.#bootTimeMs = 10_000;
    this.#timers = [];
  }

  #nextDue(endMs: number): Timer | undefined {
    return this.#timers
      .filter((timer) => timer.atMs <= endMs)
      .sort((left, right) => left.atMs - right.atMs || left.order - right.order)[0];
  }

  #passUntil(atMs: number): void {
    const passedMs = Math.max(0, atMs - this.#bootTimeMs);
    this.#bootTimeMs += passedMs;
    this.#wallMs += passedMs;
  }

  #forget(timer: Timer): void {
    this.#timers = this.#timers.filter((other) => other !== timer);
  }
}
