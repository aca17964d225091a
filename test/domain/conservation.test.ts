import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decideAttach } from "../../src/domain/attach.ts";
import { HoldfastError } from "../../src/domain/error.ts";
import { freeOf, Transaction } from "../../src/domain/node.ts";
import type { Operation } from "../../src/domain/operation.ts";
import { poolKey, type Reservation, ROOT_DISK } from "../../src/domain/resource.ts";
import type { ContainerId, ContainerPath, MilliMb, Role, VolumeId, WallMs } from "../../src/domain/units.ts";
import { BOOT, disk, reservedFor, staticFor, volume, World } from "./world.ts";

const STACKS: readonly (readonly Reservation[])[] = [
  [reservedFor("ads", "ops")],
  [reservedFor("ads", "other")],
  [reservedFor("eng")],
  [reservedFor("eng"), reservedFor("eng/web")],
  [staticFor("db")],
  [staticFor("db"), reservedFor("db/main")],
];

const stack = fc.constantFrom(...STACKS);
const size = fc.integer({ min: 1, max: 60_000 }).map((thousandths) => thousandths / 1000);
const id = fc.constantFrom("a", "b", "c");

const operation: fc.Arbitrary<Operation> = fc.oneof(
  fc.record({
    type: fc.constant("RESERVE" as const),
    resources: items(fc.tuple(size, stack).map(([mb, on]) => disk(mb, on))),
  }),
  fc.record({
    type: fc.constant("UNRESERVE" as const),
    resources: items(fc.tuple(size, stack).map(([mb, on]) => disk(mb, on))),
  }),
  fc.record({
    type: fc.constant("CREATE" as const),
    volumes: items(fc.tuple(id, size, stack).map(([name, mb, on]) => volume(name, mb, on))),
  }),
  fc.record({
    type: fc.constant("DESTROY" as const),
    volumes: items(fc.tuple(id, size, stack).map(([name, mb, on]) => volume(name, mb, on))),
  }),
);

function items<T>(one: fc.Arbitrary<T>): fc.Arbitrary<T[]> {
  return fc.array(one, { minLength: 1, maxLength: 3 });
}

/** Makes DESTROY, GROW and SHRINK meet: a random size hardly ever names a volume exactly. */
function aim(world: World, wanted: Operation, choice: number): Operation {
  const live = [...world.state.volumes.values()].filter((entry) => entry.phase === "live");
  const target = live[choice % Math.max(live.length, 1)];
  if (target === undefined || choice % 4 === 0) return wanted;
  const named = volume(target.id, target.size / 1000, target.reservations);
  if (wanted.type === "DESTROY") return { type: "DESTROY", volumes: [named] };
  if (choice % 4 === 1) return { type: "GROW_VOLUME", volume: named, addition: disk(1.5, target.reservations) };
  if (choice % 4 === 2 && target.size > 1) return { type: "SHRINK_VOLUME", volume: named, subtract: 1 as MilliMb };
  return wanted;
}

/** All disk by who has it: free in its pool, or under a live volume. */
function totalOf(world: World): number {
  let total = 0;
  for (const pool of world.state.pools) total += freeOf(pool);
  for (const entry of world.state.volumes.values()) if (entry.phase === "live") total += entry.size;
  return total;
}

describe("a node", () => {
  test("never loses or invents a megabyte, whatever sequence of operations it is asked for", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(operation, fc.nat(1000)), { maxLength: 40 }), (steps) => {
        const world = new World(disk(100), disk(80, [staticFor("db")]));
        for (const [wanted, choice] of steps) {
          const before = world.snapshot();
          try {
            world.perform(aim(world, wanted, choice));
          } catch (error) {
            if (!(error instanceof HoldfastError)) throw error;
            expect(world.snapshot()).toEqual(before);
          }
          expect(totalOf(world)).toBe(180_000);
          for (const pool of world.state.pools) expect(freeOf(pool)).toBeGreaterThanOrEqual(0);
          for (const entry of world.state.reservations.values()) expect(entry.size).toBeGreaterThan(0);
        }
      }),
    );
  });

  test("is what it was after RESERVE then UNRESERVE, CREATE then DESTROY, GROW then SHRINK", () => {
    fc.assert(
      fc.property(
        size,
        stack.filter((levels) => levels.at(-1)?.type === "DYNAMIC"),
        (mb, levels) => {
          const world = new World(disk(100), disk(80, [staticFor("db")]));
          if (levels.length === 2 && levels[0]?.type === "DYNAMIC") {
            world.perform({ type: "RESERVE", resources: [disk(80, levels.slice(0, 1))] });
          }
          const start = world.snapshot();
          world.perform({ type: "RESERVE", resources: [disk(mb, levels)] });
          const whole = [...world.state.resources()].map((entry) => JSON.stringify(entry)).sort();
          world.perform({ type: "CREATE", volumes: [volume("a", mb / 2, levels)] });
          world.perform({ type: "GROW_VOLUME", volume: volume("a", mb / 2, levels), addition: disk(mb / 4, levels) });
          const grown = world.state.live(levels.at(-1)?.role as Role, "a" as VolumeId)?.size as MilliMb;
          world.perform({
            type: "SHRINK_VOLUME",
            volume: volume("a", grown / 1000, levels),
            subtract: (grown - 1) as MilliMb,
          });
          world.perform({ type: "DESTROY", volumes: [volume("a", 0.001, levels)] });
          expect([...world.state.resources()].map((entry) => JSON.stringify(entry)).sort()).toEqual(whole);
          world.perform({ type: "UNRESERVE", resources: [disk(mb, levels)] });
          for (const entry of [...world.state.volumes.keys()])
            world.state.apply({ table: "volumes", key: entry, value: undefined });
          expect(world.snapshot()).toEqual(start);
        },
      ),
    );
  });

  test("is what it was when a transaction of anything is rolled back", () => {
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 10 }), fc.array(operation, { maxLength: 5 }), (first, then) => {
        const world = new World(disk(100), disk(80, [staticFor("db")]));
        for (const wanted of first) attempt(() => world.perform(wanted));
        const before = world.snapshot();
        attempt(() => world.perform(...then, { type: "UNRESERVE", resources: [disk(1_000_000, STACKS[0] ?? [])] }));
        expect(world.snapshot()).toEqual(before);
      }),
    );
  });

  test("keeps its indexes true to its records over any containers", () => {
    const request = fc.record({
      container: fc.constantFrom("c1", "c2", "c3"),
      sandbox: fc.constantFrom("/s/1", "/s/2"),
      ids: fc.uniqueArray(id, { maxLength: 3 }),
      path: fc.constantFrom("data", "logs", undefined),
    });
    fc.assert(
      fc.property(fc.array(request, { maxLength: 20 }), (requests) => {
        const world = new World(disk(100));
        const levels = STACKS[0] ?? [];
        world.perform({ type: "RESERVE", resources: [disk(10, levels)] });
        world.perform({ type: "CREATE", volumes: ["a", "b"].map((name) => volume(name, 1, levels)) });
        world.perform({ type: "CREATE", volumes: [volume("c", 1, levels, { shared: true })] });
        for (const { container, sandbox, ids, path } of requests) {
          const tx = new Transaction(world.state);
          try {
            decideAttach(
              tx,
              {
                id: container as ContainerId,
                sandbox,
                volumes: ids.map((name, index) => ({
                  role: "ads" as Role,
                  id: name as VolumeId,
                  containerPath: `${path ?? "own"}${index}` as ContainerPath,
                  mode: "RW",
                })),
              },
              { by: "test", now: 1 as WallMs, bootId: BOOT, damageOf: () => undefined },
            );
          } catch (error) {
            tx.rollback();
            if (!(error instanceof HoldfastError)) throw error;
          }
          expectTrueIndexes(world);
        }
      }),
    );
  });
});

function expectTrueIndexes(world: World): void {
  for (const entry of world.state.volumes.values()) {
    const recorded = [...world.state.containers.values()].filter((container) =>
      container.attachments.some((attachment) => attachment.uuid === entry.uuid),
    );
    expect(new Set(world.state.containersOf(entry.uuid))).toEqual(new Set(recorded));
    const holders = recorded.filter((container) =>
      container.attachments.some(({ uuid, phase }) => uuid === entry.uuid && phase !== "detaching"),
    );
    if (!entry.shared) expect(holders.length).toBeLessThanOrEqual(1);
  }
  for (const sandbox of ["/s/1", "/s/2"]) {
    const recorded = [...world.state.containers.values()].filter((container) => container.sandbox === sandbox);
    expect(new Set(world.state.containersIn(sandbox))).toEqual(new Set(recorded));
  }
}

function attempt(act: () => unknown): void {
  try {
    act();
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error;
  }
}

test("poolKey ignores nothing that keeps pools apart", () => {
  const keys = STACKS.map((levels) => poolKey(ROOT_DISK, levels));
  expect(new Set(keys).size).toBe(STACKS.length);
});
