import { describe, expect, test } from "vitest";
import { appDefinition, creating, ownReservation, poolFor } from "../../src/console/operations.ts";
import { parseOperations } from "../../src/faces/http/operations.ts";

const NEW = { role: "ads", id: "db", sizeMib: 512, containerPath: "data", shared: false };
const reservations = ownReservation("ads", "ops") ?? [];

describe("creating a volume", () => {
  test("reserves its disk first, in operations that the daemon understands", () => {
    const operations = parseOperations(creating({ ...NEW, from: { reservations } }, { reserve: true }));
    const disk = {
      size: 512_000,
      source: { type: "ROOT" },
      reservations: [{ type: "DYNAMIC", role: "ads", principal: "ops" }],
    };
    expect(operations).toEqual([
      { type: "RESERVE", resources: [disk] },
      {
        type: "CREATE",
        volumes: [{ ...disk, volume: { id: "db", containerPath: "data", mode: "RW", shared: false } }],
      },
    ]);
  });

  test("on reserved disk takes that, with its own disk", () => {
    const from = { reservations, disk: { source: { type: "PATH", path: { root: "/mnt/a" } } } };
    const [create, ...rest] = parseOperations(creating({ ...NEW, shared: true, from }, { reserve: false }));
    expect(rest).toEqual([]);
    expect(create).toMatchObject({
      type: "CREATE",
      volumes: [{ source: { type: "PATH", root: "/mnt/a" }, volume: { shared: true } }],
    });
  });

  test("takes the smallest pool of the role that is large enough, and none of another's", () => {
    const pool = (role: string, value: number) => ({ reservations: [{ role }], scalar: { value } });
    const pools = [
      { scalar: { value: 9_000 } },
      pool("ads", 1_000),
      pool("ads", 600),
      pool("ads", 100),
      pool("eng", 512),
    ];
    expect(poolFor(pools, "ads", 512)).toBe(pools[2]);
    expect(poolFor(pools, "ads", 2_000)).toBeUndefined();
  });
});

test("An app is Marathon's definition of it", () => {
  const app = { id: "sesame/samson", role: "", instances: 2, volumes: [{ sizeMib: 100, containerPath: "data" }] };
  expect(appDefinition(app)).toEqual({
    id: "/sesame/samson",
    instances: 2,
    container: { volumes: [{ containerPath: "data", mode: "RW", persistent: { size: 100 } }] },
    residency: { taskLostBehavior: "WAIT_FOREVER" },
  });
});
