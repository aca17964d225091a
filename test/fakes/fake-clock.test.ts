import { expect, test } from "vitest";
import { FakeClock } from "./fake-clock.ts";
import { fakeRandom } from "./fake-random.ts";

test("advance calls back in order, each at its own time, also what a callback asks for", () => {
  const clock = new FakeClock(0);
  const calls: [string, number][] = [];
  const note = (name: string) => () => void calls.push([name, clock.now()]);
  clock.after(20, note("second"));
  clock.after(10, () => {
    note("first")();
    clock.after(5, note("between"));
  });
  clock.after(10, note("never"))();
  clock.advance(30);
  expect(calls).toEqual([
    ["first", 10],
    ["between", 15],
    ["second", 20],
  ]);
  expect(clock.now()).toBe(30);
});

test("a jump moves the wall clock alone, a reboot everything", () => {
  const clock = new FakeClock(0);
  const [bootId, bootTimeMs] = [clock.bootId(), clock.bootTimeMs()];
  clock.jump(1000);
  expect([clock.now(), clock.bootTimeMs()]).toEqual([1000, bootTimeMs]);
  clock.reboot();
  expect(clock.bootId()).not.toBe(bootId);
  expect(clock.bootTimeMs()).toBeLessThan(bootTimeMs);
});

test("a seed repeats its ids", () => {
  const [one, same, other] = [fakeRandom(3), fakeRandom(3), fakeRandom(4)];
  const id = one.uuid();
  expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  expect([same.uuid(), other.uuid() === id, one.uuid() === id]).toEqual([id, false, false]);
});
