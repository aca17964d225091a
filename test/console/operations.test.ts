import { describe, expect, test } from "vitest";
import { appDefinition, creating, ownReservation, poolFor, resizing } from "../../src/console/operations.ts";
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

describe("resizing a volume", () => {
  const disk = { source: { type: "PATH", path: { root: "/mnt/a" } } };
  const resource = {
    name: "disk",
    type: "SCALAR",
    scalar: { value: 10 },
    reservations,
    disk: { ...disk, persistence: { id: "db" }, volume: { mode: "RW", container_path: "data" } },
  };
  const free = { reservations, disk, scalar: { value: 5 } };
  const sized = (operations: ReturnType<typeof parseOperations>) =>
    operations.map((one) => {
      if (one.type === "RESERVE") return [one.type, one.resources[0]?.size, one.resources[0]?.source];
      if (one.type === "GROW_VOLUME") return [one.type, one.addition.size, one.addition.source];
      return one.type === "SHRINK_VOLUME" ? [one.type, one.subtract] : [one.type];
    });
  const source = { type: "PATH", root: "/mnt/a" };

  test("to the size that it has does nothing", () => {
    expect(resizing(resource, 10, [free])).toEqual([]);
  });

  test("takes free disk of its own reservation first, and reserves what is missing", () => {
    expect(sized(parseOperations(resizing(resource, 14.5, [free])))).toEqual([["GROW_VOLUME", 4_500, source]]);
    expect(sized(parseOperations(resizing(resource, 17.1, [free])))).toEqual([
      ["RESERVE", 2_100, source],
      ["GROW_VOLUME", 7_100, source],
    ]);
    const others = [
      { ...free, disk: {} },
      { ...free, reservations: ownReservation("ads", "another") ?? [] },
    ];
    expect(sized(parseOperations(resizing(resource, 11, others)))).toEqual([
      ["RESERVE", 1_000, source],
      ["GROW_VOLUME", 1_000, source],
    ]);
  });

  test("gives the rest back to its reservation", () => {
    expect(sized(parseOperations(resizing(resource, 0.5, [])))).toEqual([["SHRINK_VOLUME", 9_500]]);
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
