import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, expect, test, vi } from "vitest";
import { openSystemClock } from "../../src/host/system-clock.ts";
import { systemRandom } from "../../src/host/system-random.ts";

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

afterEach(() => {
  vi.useRealTimers();
});

test("the boot id is the kernel's, and time since boot is /proc/uptime", () => {
  const clock = openSystemClock();
  expect(clock.bootId()).toMatch(UUID);
  const uptimeMs = Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]) * 1000;
  expect(Math.abs(clock.bootTimeMs() - uptimeMs)).toBeLessThan(1000);
  expect(Math.abs(clock.now() - Date.now())).toBeLessThan(1000);
});

test("a cancelled callback never comes, another comes once", async () => {
  const clock = openSystemClock();
  const calls: string[] = [];
  clock.after(1, () => calls.push("cancelled"))();
  clock.after(1, () => calls.push("due"));
  clock.after(-5, () => calls.push("overdue"));
  await sleep(30);
  expect(calls.toSorted()).toEqual(["due", "overdue"]);
});

test("a delay longer than Node's timers can wait is waited for in full", () => {
  vi.useFakeTimers();
  const clock = openSystemClock();
  const [delayMs, called] = [60 * 24 * 3600 * 1000, vi.fn()];
  clock.after(delayMs, called);
  const cancel = clock.after(delayMs, called);
  vi.advanceTimersByTime(delayMs - 1);
  expect(called).not.toHaveBeenCalled();
  cancel();
  vi.advanceTimersByTime(1);
  expect(called).toHaveBeenCalledTimes(1);
});

test("random ids are version 4 UUIDs, each another", () => {
  const ids = Array.from({ length: 100 }, () => systemRandom.uuid());
  expect(ids.every((id) => UUID.test(id))).toBe(true);
  expect(new Set(ids).size).toBe(100);
});
