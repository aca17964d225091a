import { describe, expect, test } from "vitest";
import type { Incarnation } from "../../src/domain/units.ts";
import { SparePool, type SparePoolOptions } from "../../src/host/spare-pool.ts";
import type { Spare } from "../../src/ports/disk.ts";

interface PoolWorld {
  readonly pool: SparePool;
  /** How many each sync covered. */
  readonly syncs: number[];
  readonly discarded: Spare[];
  readonly failures: unknown[];
}

function newPool(options: Partial<SparePoolOptions> = {}): PoolWorld {
  let made = 0;
  const [syncs, discarded, failures]: [number[], Spare[], unknown[]] = [[], [], []];
  const pool = new SparePool({
    min: 4,
    max: 32,
    make() {
      made += 1;
      return { uuid: `uuid-${made}` as Incarnation, directory: { ino: String(made), birthNs: "0" } };
    },
    sync: async (spares) => void syncs.push(spares.length),
    discard: (spare) => discarded.push(spare),
    onRefillFailure: (error) => failures.push(error),
    ...options,
  });
  return { pool, syncs, discarded, failures };
}

describe("SparePool", () => {
  test("a failed sync hands nothing out, fails whoever waits, and the next take tries again", async () => {
    let broken = true;
    const { pool, discarded } = newPool({
      min: 0,
      sync: async () => {
        if (broken) throw new Error("EIO");
      },
    });
    await expect(Promise.allSettled([pool.take(2), pool.take(1)])).resolves.toMatchObject([
      { status: "rejected" },
      { status: "rejected" },
    ]);
    expect(discarded.length).toBeGreaterThanOrEqual(2);
    broken = false;
    expect((await pool.take(1)).length).toBe(1);
  });

  test("a failed refill is reported once and bothers nobody", async () => {
    const { pool, failures } = newPool({
      make() {
        throw new Error("ENOSPC");
      },
    });
    pool.fill();
    await pool.close();
    expect(failures.length).toBe(1);
  });

  test("those who wait together share one sync", async () => {
    const { pool, syncs } = newPool({ min: 0, max: 0 });
    await Promise.all(Array.from({ length: 20 }, () => pool.take(1)));
    expect(syncs.length).toBeLessThanOrEqual(2);
    expect(syncs.reduce((sum, count) => sum + count, 0)).toBe(20);
  });

  test("take from a filled pool makes nothing in the same turn", async () => {
    const { pool, syncs } = newPool();
    pool.fill();
    await expect.poll(() => syncs).toEqual([4]);
    expect((await pool.take(3)).length).toBe(3);
    expect(syncs).toEqual([4]);
  });

  test("the pool grows with demand, up to the most", async () => {
    const { pool, syncs } = newPool();
    for (let round = 0; round < 10; round += 1) await pool.take(10);
    await pool.close();
    const made = syncs.reduce((sum, count) => sum + count, 0);
    expect(made - 100).toBeGreaterThan(4);
    expect(made - 100).toBeLessThanOrEqual(32);
  });

  test("a claimed spare is not handed out, a released one is discarded", async () => {
    const { pool, discarded } = newPool({ min: 0, max: 0 });
    const spares = await pool.take(3);
    pool.add(spares);
    pool.claim("uuid-2" as Incarnation);
    expect([pool.has("uuid-1" as Incarnation), pool.has("uuid-2" as Incarnation)]).toEqual([true, false]);
    expect(pool.release(5)).toBe(2);
    expect(discarded.map(({ uuid }) => uuid)).toEqual(["uuid-1", "uuid-3"]);
  });

  test("what was taken is known until it is claimed", async () => {
    const { pool } = newPool();
    const [spare] = await pool.take(1);
    const uuid = spare?.uuid as Incarnation;
    expect(pool.has(uuid)).toBe(true);
    pool.claim(uuid);
    expect(pool.has(uuid)).toBe(false);
  });
});

describe("SparePool with something scarce", () => {
  test("holds no more ready than it is told, and makes what is asked for all the same", async () => {
    let free = 10;
    const { pool, syncs } = newPool({ most: (ready) => Math.floor((free + ready) / 2) });
    pool.fill();
    await pool.close();
    expect(syncs).toEqual([4]);
    free = 0;
    expect((await pool.take(4)).length).toBe(4);
    expect(pool.room).toBe(0);
  });

  test("a refill that fails again and again is reported once", async () => {
    const { pool, syncs, failures } = newPool({
      sync: async (spares) => {
        syncs.push(spares.length);
        throw new Error("insufficient");
      },
    });
    for (let round = 1; round <= 3; round += 1) {
      pool.fill();
      await expect.poll(() => syncs.length).toBe(round);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(failures.length).toBe(1);
  });
});
