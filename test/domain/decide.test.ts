import { describe, expect, test } from "vitest";
import { codeOf, HoldfastError } from "../../src/domain/error.ts";
import { freeOf } from "../../src/domain/node.ts";
import type { Volume } from "../../src/domain/records.ts";
import type { DiskSource } from "../../src/domain/resource.ts";
import type { Incarnation, Role, VolumeId } from "../../src/domain/units.ts";
import { disk, mb, reservedFor, staticFor, volume, World } from "./world.ts";

const ADS = [reservedFor("ads", "ops")];

function reserved(sizeMb = 1024): World {
  const world = new World(disk(2048));
  world.perform({ type: "RESERVE", resources: [disk(sizeMb, ADS)] });
  return world;
}

function refusal(act: () => unknown): HoldfastError {
  try {
    act();
  } catch (error) {
    if (error instanceof HoldfastError) return error;
    throw error;
  }
  throw new Error("Nothing was refused");
}

describe("RESERVE", () => {
  test("refuses more than is free, with the figures", () => {
    const error = refusal(() => new World(disk(100)).perform({ type: "RESERVE", resources: [disk(100.001, ADS)] }));
    expect(error.code).toBe("insufficient");
    expect(error.details).toEqual({ wantedMb: 100.001, freeMb: 100, index: 0 });
  });

  test("refuses a list whose second item no longer fits, and changes nothing", () => {
    const world = new World(disk(100));
    const before = world.snapshot();
    expect(refusal(() => world.perform({ type: "RESERVE", resources: [disk(60, ADS), disk(60, ADS)] })).code).toBe(
      "insufficient",
    );
    expect(world.snapshot()).toEqual(before);
  });

  test("refuses a disk that is closed, with the reason", () => {
    const world = new World(disk(100));
    world.context = () => ({ ...World.prototype.context.call(world), closedTo: () => "it is too small" });
    expect(refusal(() => world.perform({ type: "RESERVE", resources: [disk(1, ADS)] })).message).toContain("too small");
  });

  test("merges with the same reservation and not with another principal's", () => {
    const world = new World(disk(100));
    world.perform({ type: "RESERVE", resources: [disk(10, ADS)] });
    world.perform({ type: "RESERVE", resources: [disk(10, ADS), disk(5, [reservedFor("ads", "other")])] });
    expect([...world.state.reservations.values()].map((entry) => entry.size)).toEqual([mb(20), mb(5)]);
  });

  test("refines a static reservation", () => {
    const world = new World(disk(100, [staticFor("eng")]));
    world.perform({ type: "RESERVE", resources: [disk(40, [staticFor("eng"), reservedFor("eng/web")])] });
    expect([...world.state.resources()].map((resource) => resource.size).sort()).toEqual([mb(40), mb(60)]);
  });

  test("moves disk from one role to another by its source", () => {
    const world = reserved(100);
    world.perform({ type: "RESERVE", source: [disk(30, ADS)], resources: [disk(30, [reservedFor("web")])] });
    expect([...world.state.reservations.values()].map((entry) => entry.size)).toEqual([mb(70), mb(30)]);
  });

  test("takes a MOUNT disk whole or not at all", () => {
    const source: DiskSource = { type: "MOUNT", root: "/mnt/a" };
    const world = new World(disk(100, [], source));
    expect(refusal(() => world.perform({ type: "RESERVE", resources: [disk(50, ADS, source)] })).code).toBe(
      "insufficient",
    );
    world.perform({ type: "RESERVE", resources: [disk(100, ADS, source)] });
    expect(refusal(() => world.perform({ type: "CREATE", volumes: [volume("db", 50, ADS, { source })] })).code).toBe(
      "insufficient",
    );
    world.perform({ type: "CREATE", volumes: [volume("db", 100, ADS, { source })] });
  });
});

describe("UNRESERVE", () => {
  test("refuses what lies under a volume or a refinement, and what is not reserved", () => {
    const world = reserved(100);
    world.perform({ type: "CREATE", volumes: [volume("db", 60, ADS)] });
    expect(refusal(() => world.perform({ type: "UNRESERVE", resources: [disk(41, ADS)] })).code).toBe("insufficient");
    expect(refusal(() => world.perform({ type: "UNRESERVE", resources: [disk(1, [reservedFor("web")])] })).code).toBe(
      "insufficient",
    );
    world.perform({ type: "UNRESERVE", resources: [disk(40, ADS)] });
  });

  test("gives a part back", () => {
    const world = reserved(100);
    world.perform({ type: "UNRESERVE", resources: [disk(0.5, ADS)] });
    expect([...world.state.reservations.values()].map((entry) => entry.size)).toEqual([mb(99.5)]);
  });
});

describe("CREATE", () => {
  test("refuses an id that lives, in the store or earlier in the list", () => {
    const world = reserved();
    const twice = [volume("db", 1, ADS), volume("db", 1, ADS)];
    expect(refusal(() => world.perform({ type: "CREATE", volumes: twice })).code).toBe("duplicate_volume");
    world.perform({ type: "CREATE", volumes: [volume("db", 1, ADS)] });
    expect(refusal(() => world.perform({ type: "CREATE", volumes: [volume("db", 2, ADS)] })).code).toBe(
      "duplicate_volume",
    );
  });

  test("refuses another role's disk", () => {
    expect(
      refusal(() => reserved().perform({ type: "CREATE", volumes: [volume("db", 1, [reservedFor("web")])] })).code,
    ).toBe("insufficient");
  });

  test("sees the RESERVE before it in the list", () => {
    const world = new World(disk(100));
    const decision = world.perform(
      { type: "RESERVE", resources: [disk(50, ADS)] },
      { type: "CREATE", volumes: [volume("db", 50, ADS)] },
    );
    expect(decision.created.map((created) => created.id)).toEqual(["db"]);
    expect(decision.reservationsChanged).toBe(true);
  });
});

describe("DESTROY", () => {
  test.each([
    ["an unknown id", volume("web", 512, ADS), "no_such_volume"],
    ["another size", volume("db", 511, ADS), "no_such_volume"],
    ["another reservation", volume("db", 512, [reservedFor("ads")]), "no_such_volume"],
  ])("refuses %s", (_what, named, code) => {
    const world = reserved();
    world.perform({ type: "CREATE", volumes: [volume("db", 512, ADS)] });
    expect(refusal(() => world.perform({ type: "DESTROY", volumes: [named] })).code).toBe(code);
  });

  test("refuses a volume that somebody holds though our books know of nobody", () => {
    const world = reserved();
    const { created } = world.perform({ type: "CREATE", volumes: [volume("db", 512, ADS)] });
    world.held.set(created[0]?.uuid as Incarnation, "a mount at /elsewhere");
    const error = refusal(() => world.perform({ type: "DESTROY", volumes: [volume("db", 512, ADS)] }));
    expect(error.code).toBe("in_use");
    expect(error.message).toContain("/elsewhere");
  });

  test("refuses a protected volume", () => {
    const world = reserved();
    const { created } = world.perform({ type: "CREATE", volumes: [volume("db", 512, ADS)] });
    const [db] = created as readonly [Volume];
    world.state.apply({ table: "volumes", key: db.uuid, value: { ...db, protected: true } });
    const error = refusal(() => world.perform({ type: "DESTROY", volumes: [volume("db", 512, ADS)] }));
    expect(error.code).toBe("protected");
  });

  test("returns the disk at once, keeps the incarnation, and frees the id", () => {
    const world = reserved(512);
    world.perform({ type: "CREATE", volumes: [volume("db", 512, ADS)] });
    world.perform({ type: "DESTROY", volumes: [volume("db", 512, ADS)] });
    expect(world.state.live("ads" as Role, "db" as VolumeId)).toBeUndefined();
    expect(world.state.retired("ads" as Role, "db" as VolumeId)).toHaveLength(1);
    world.perform({ type: "CREATE", volumes: [volume("db", 512, ADS)] });
    expect(world.state.volumes.size).toBe(2);
  });

  test("of a volume that the same list created leaves nothing to label", () => {
    const decision = reserved().perform(
      { type: "CREATE", volumes: [volume("db", 512, ADS)] },
      { type: "DESTROY", volumes: [volume("db", 512, ADS)] },
    );
    expect(decision.created).toEqual([]);
    expect(decision.destroyed).toHaveLength(1);
  });
});

describe("GROW_VOLUME and SHRINK_VOLUME", () => {
  test("refuse the size the volume had before, as a conflict", () => {
    const world = reserved();
    world.perform({ type: "CREATE", volumes: [volume("db", 100, ADS)] });
    const grow = { type: "GROW_VOLUME", volume: volume("db", 100, ADS), addition: disk(28, ADS) } as const;
    world.perform(grow);
    expect(refusal(() => world.perform(grow)).code).toBe("conflict");
  });

  test("refuse more than the reservation has", () => {
    const world = reserved(100);
    world.perform({ type: "CREATE", volumes: [volume("db", 90, ADS)] });
    const grow = { type: "GROW_VOLUME", volume: volume("db", 90, ADS), addition: disk(11, ADS) } as const;
    expect(refusal(() => world.perform(grow)).code).toBe("insufficient");
  });

  test("refuse to shrink below what is used, with the figures, and go down to it", () => {
    const world = reserved(100);
    const { created } = world.perform({ type: "CREATE", volumes: [volume("db", 90, ADS)] });
    world.used.set(created[0]?.uuid as Incarnation, 50 * 1024 * 1024);
    const shrink = (by: number) =>
      world.perform({ type: "SHRINK_VOLUME", volume: volume("db", 90, ADS), subtract: mb(by) });
    const error = refusal(() => shrink(40.001));
    expect(error).toMatchObject({ code: "insufficient", details: { wantedMb: 49.999, usedMb: 50 } });
    shrink(40);
  });

  test("move disk between the volume and its reservation", () => {
    const world = reserved(100);
    world.perform({ type: "CREATE", volumes: [volume("db", 40, ADS)] });
    world.perform({ type: "GROW_VOLUME", volume: volume("db", 40, ADS), addition: disk(20, ADS) });
    world.perform({ type: "SHRINK_VOLUME", volume: volume("db", 60, ADS), subtract: mb(50) });
    const pool = world.state.pool({ type: "ROOT" }, ADS);
    expect(pool === undefined ? undefined : freeOf(pool)).toBe(mb(90));
  });
});

describe("decideOperations", () => {
  test("names the index of the refused operation", () => {
    const error = refusal(() =>
      new World(disk(10)).perform(
        { type: "RESERVE", resources: [disk(5, ADS)] },
        { type: "RESERVE", resources: [disk(6, ADS)] },
      ),
    );
    expect(codeOf(error)).toBe("insufficient");
    expect(error.details?.["index"]).toBe(1);
  });
});
