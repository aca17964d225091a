import { readFileSync } from "node:fs";
import { uptime } from "node:os";
import type { BootId, WallMs } from "../domain/units.ts";
import type { Clock } from "../ports/clock.ts";

/** The longest that a timer of Node can wait; a longer one would fire at once. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** The machine's clocks. Time since boot is /proc/uptime, which goes on while the machine sleeps; hrtime does not. */
export function openSystemClock(): Clock {
  const bootId = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim() as BootId;
  return {
    now: () => Date.now() as WallMs,
    bootId: () => bootId,
    bootTimeMs: () => Math.round(uptime() * 1000),
    after,
  };
}

function after(delayMs: number, callback: () => void): () => void {
  const start = (remainingMs: number): NodeJS.Timeout => {
    const waitMs = Math.min(remainingMs, TIMER_MS_MAX);
    const next = (): void => {
      if (waitMs < remainingMs) timer = start(remainingMs - waitMs);
      else callback();
    };
    return setTimeout(next, waitMs).unref();
  };
  let timer = start(Math.max(0, delayMs));
  return () => clearTimeout(timer);
}
