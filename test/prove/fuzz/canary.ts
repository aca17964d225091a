/**
 * How slow the machine itself is: what a plain question and a plain sync beside the daemon's take, again and again, and how
 * late this process wakes from a sleep.
 */
import { open } from "node:fs/promises";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Door, request } from "../../e2e/request.ts";

export interface Canary {
  /** The slowest that was under way at this moment or after it, in milliseconds. */
  slowestSince(momentMs: number): number;
  stop(): Promise<void>;
}

const PAUSE_MS = 100;
const KEPT = 1_000;

/** @param directory on the daemon's disk */
export function startCanary(directory: string, door: Door): Canary {
  const flights: { readonly startMs: number; endMs: number }[] = [];
  let stopped = false;
  const ended = fly();

  function begin(startMs: number): (typeof flights)[number] {
    const flight = { startMs, endMs: Number.POSITIVE_INFINITY };
    if (flights.push(flight) > KEPT) flights.shift();
    return flight;
  }

  async function fly(): Promise<void> {
    const file = await open(path.join(directory, "canary"), "w");
    try {
      while (!stopped) {
        const flight = begin(performance.now());
        await Promise.all([file.write("x").then(() => file.sync()), request(door, { path: "/healthz" })]);
        flight.endMs = performance.now();
        // Its sleep takes nothing, unless this process stands still.
        const rest = begin(performance.now() + PAUSE_MS);
        await sleep(PAUSE_MS);
        rest.endMs = performance.now();
      }
    } catch {
      // The daemon is gone: others notice.
    } finally {
      await file.close();
    }
  }

  return {
    slowestSince: (momentMs) =>
      Math.max(
        0,
        ...flights
          .filter(({ endMs }) => endMs >= momentMs)
          .map(({ startMs, endMs }) => Math.min(endMs, performance.now()) - startMs),
      ),
    stop: () => {
      stopped = true;
      return ended;
    },
  };
}
