import { expect, test, vi } from "vitest";
import type { Incarnation } from "../../src/domain/units.ts";
import { KnownMounts } from "../../src/host/known-mounts.ts";

const [DB, CACHE] = ["db", "cache"] as unknown as readonly [Incarnation, Incarnation];

const ids = (...numbers: readonly number[]) => Float64Array.from(numbers);

test("what cannot be told is asked for again, until it is told", () => {
  const mounts = new KnownMounts();
  mounts.update(ids(5, 6, 7), (id) => (id === 6 ? undefined : []));
  const ask = vi.fn(() => [DB]);
  mounts.update(ids(5, 6, 7), ask);
  expect(ask.mock.calls).toEqual([[6]]);
  expect(mounts.of(DB)).toEqual([6]);
});

test("only those that came are asked for, wherever they come in the list", () => {
  const mounts = new KnownMounts();
  mounts.update(ids(5, 9), () => [DB]);
  const ask = vi.fn((id: number) => (id === 7 ? [DB, CACHE] : []));
  mounts.update(ids(3, 5, 7, 9, 12), ask);
  expect(ask.mock.calls).toEqual([[3], [7], [12]]);
  expect([mounts.of(DB), mounts.of(CACHE)]).toEqual([[5, 9, 7], [7]]);
});

test("those that went are forgotten, wherever they were in the list", () => {
  const mounts = new KnownMounts();
  mounts.update(ids(1, 2, 3, 4), (id) => [id % 2 === 0 ? DB : CACHE]);
  mounts.update(ids(2, 3), () => undefined);
  expect([mounts.of(DB), mounts.of(CACHE)]).toEqual([[2], [3]]);
  mounts.update(ids(), () => undefined);
  expect([mounts.of(DB), mounts.of(CACHE)]).toEqual([[], []]);
  const ask = vi.fn(() => []);
  mounts.update(ids(2), ask);
  expect(ask).toHaveBeenCalledOnce();
});
