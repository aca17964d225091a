import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseResource } from "../../src/domain/mesos-format.ts";
import { parsePrincipal } from "../../src/domain/names.ts";
import type { Actor, Operation } from "../../src/domain/operation.ts";
import type { DiskResource } from "../../src/domain/resource.ts";
import type { MilliMb } from "../../src/domain/units.ts";
import { validateOperations } from "../../src/domain/validate-operation.ts";
import { refusalOf } from "./refusals.ts";
import * as arbitrary from "./resource-arbitraries.ts";

const ops: Actor = { kind: "principal", principal: parsePrincipal("ops") };
const anonymous: Actor = { kind: "anonymous" };
const peer: Actor = { kind: "peer", uid: 0, name: "root" };
const UNBOUND = [anonymous, peer];

const PATH = { source: { type: "PATH", path: { root: "/mnt/a" } } };
const MOUNT = { source: { type: "MOUNT", mount: { root: "/mnt/m" } } };
const BY_OPS = { role: "ads", reservation: { principal: "ops" } };
const BY_BOB = { role: "ads", reservation: { principal: "bob" } };
const BY_NOBODY = { role: "ads", reservation: {} };

function disk(fields: object = {}, value = 10): DiskResource {
  return parseResource({ name: "disk", type: "SCALAR", scalar: { value }, ...fields }, "the resource");
}

function stacked(...levels: (readonly [type: "STATIC" | "DYNAMIC", role: string, principal?: string])[]): DiskResource {
  return disk({ reservations: levels.map(([type, role, principal]) => ({ type, role, principal })) });
}

function volume(
  id: string,
  fields: { principal?: string; mode?: string; disk?: object; shared?: object; role?: string } = {},
) {
  const { principal, mode = "RW", role = "ads", ...rest } = fields;
  const spec = { ...rest.disk, persistence: { id, principal }, volume: { mode, container_path: "data" } };
  return disk({ role, reservation: { principal: "ops" }, disk: spec, shared: rest.shared });
}

const reserve = (...resources: DiskResource[]): Operation => ({ type: "RESERVE", resources });
const transfer = (source: DiskResource[], resources: DiskResource[]): Operation => ({
  type: "RESERVE",
  resources,
  source,
});
const unreserve = (...resources: DiskResource[]): Operation => ({ type: "UNRESERVE", resources });
const create = (...volumes: DiskResource[]): Operation => ({ type: "CREATE", volumes });
const destroy = (...volumes: DiskResource[]): Operation => ({ type: "DESTROY", volumes });
const grow = (target: DiskResource, addition: DiskResource, rest: { readonly sharedToo?: true } = {}): Operation => ({
  type: "GROW_VOLUME",
  volume: target,
  addition,
  ...rest,
});
const shrink = (target: DiskResource, mb: number): Operation => ({
  type: "SHRINK_VOLUME",
  volume: target,
  subtract: (mb * 1000) as MilliMb,
});

function refused(operation: Operation, actor: Actor = ops): string {
  const refusal = refusalOf(() => validateOperations(actor, [operation]));
  expect(refusal).toMatchObject({ code: "invalid", details: { index: 0 } });
  return refusal.message;
}

function valid(operation: Operation, actor: Actor = ops): Operation {
  const [validated] = validateOperations(actor, [operation]);
  if (validated === undefined) throw new Error("Expected one operation");
  return validated;
}

describe("validateOperations", () => {
  it("refuses an empty list of operations", () => {
    expect(refusalOf(() => validateOperations(ops, []))).toMatchObject({ code: "invalid" });
  });

  it.each([reserve(), unreserve(), create(), destroy(), transfer([], [disk(BY_OPS)])])(
    "refuses an empty $type",
    (operation) => {
      expect(refused(operation)).toMatch(/: none is named$/);
    },
  );

  it("names the operation that is wrong, by its index", () => {
    const list = [reserve(disk(BY_OPS)), create(volume("db")), unreserve(disk())];
    expect(refusalOf(() => validateOperations(ops, list))).toMatchObject({ code: "invalid", details: { index: 2 } });
  });

  it("returns every operation in its place", () => {
    const list = [reserve(disk(BY_OPS)), create(volume("db", { principal: "ops" })), destroy(volume("db"))];
    expect(validateOperations(ops, list)).toEqual(list);
  });

  it("changes nothing for whoever has no principal", () => {
    const operation = fc.oneof(
      fc.array(arbitrary.resource, { maxLength: 3 }).map((resources) => reserve(...resources)),
      fc.array(arbitrary.resource, { maxLength: 3 }).map((volumes) => create(...volumes)),
      fc.tuple(arbitrary.resource, arbitrary.resource).map(([target, addition]) => grow(target, addition)),
    );
    fc.assert(
      fc.property(operation, fc.constantFrom(...UNBOUND), (one, actor) => {
        try {
          expect(validateOperations(actor, [one])).toEqual([one]);
        } catch (error) {
          expect(error).toMatchObject({ name: "HoldfastError", details: { index: 0 } });
        }
      }),
    );
  });
});

describe("validateOperations RESERVE", () => {
  it.each([
    [disk(), "has no reservation"],
    [disk({ role: "ads" }), "for ads is static"],
    [volume("db"), "db is a volume, destroy it first"],
    [disk(BY_BOB), "the principal is bob, expected the authenticated ops"],
    [stacked(["DYNAMIC", "a", "ops"], ["DYNAMIC", "a/b", "bob"]), "the principal is bob"],
  ])("refuses %o", (resource, expected) => {
    expect(refused(reserve(disk(BY_OPS), resource))).toContain(expected);
  });

  it("fills the principal of the last level only", () => {
    const resource = stacked(["DYNAMIC", "a", "bob"], ["DYNAMIC", "a/b"]);
    expect(valid(reserve(resource))).toEqual(reserve(stacked(["DYNAMIC", "a", "bob"], ["DYNAMIC", "a/b", "ops"])));
    expect(valid(reserve(disk(BY_NOBODY)))).toEqual(reserve(disk(BY_OPS)));
    const onStatic = stacked(["STATIC", "a"], ["DYNAMIC", "a/b"]);
    expect(valid(reserve(onStatic))).toEqual(reserve(stacked(["STATIC", "a"], ["DYNAMIC", "a/b", "ops"])));
  });

  it.each(UNBOUND)("lets $kind name anybody or nobody", (actor) => {
    for (const resource of [disk(BY_BOB), disk(BY_NOBODY)]) {
      expect(valid(reserve(resource), actor)).toEqual(reserve(resource));
    }
  });
});

describe("validateOperations RESERVE with a source", () => {
  const target = stacked(["DYNAMIC", "eng", "bob"], ["DYNAMIC", "eng/new", "ops"]);
  const old = stacked(["DYNAMIC", "eng", "bob"], ["DYNAMIC", "eng/old", "bob"]);

  it.each<readonly [string, DiskResource[], DiskResource[], string]>([
    ["a volume in it", [volume("db")], [disk(BY_OPS)], "the source has a volume"],
    [
      "several stacks in it",
      [disk(), disk(BY_OPS)],
      [disk(BY_OPS), disk(BY_OPS)],
      "the source has several reservations",
    ],
    ["several stacks to make", [disk(), disk()], [disk(BY_OPS), target], "the resources have several reservations"],
    ["less disk", [disk({}, 9)], [disk(BY_OPS)], "not equally much"],
    ["more disk", [disk({}, 11)], [disk(BY_OPS)], "not equally much"],
    ["another disk", [disk({ disk: PATH })], [disk(BY_OPS)], "not equally much"],
    ["another disk besides", [disk(), disk({ disk: PATH })], [disk(BY_OPS)], "not equally much"],
    [
      "pieces of a MOUNT disk",
      [disk({ disk: MOUNT }), disk({ disk: MOUNT })],
      [disk({ ...BY_OPS, disk: MOUNT }, 20)],
      "not equally much",
    ],
    ["a static level to give up", [disk({ role: "web" })], [disk(BY_OPS)], "static"],
    ["a static level to make", [disk()], [stacked(["STATIC", "a"], ["DYNAMIC", "a/b", "ops"])], "static"],
    ["a static target", [disk()], [disk({ role: "ads" })], "static"],
    ["a level that another would make", [disk()], [target], "the principal is bob"],
  ])("refuses %s", (_name, source, resources, expected) => {
    expect(refused(transfer(source, resources))).toContain(expected);
  });

  it("replaces dynamic levels above the common ones", () => {
    expect(valid(transfer([old], [target]))).toEqual(transfer([old], [target]));
    const below = stacked(["STATIC", "eng"], ["DYNAMIC", "eng/new", "ops"]);
    expect(valid(transfer([disk({ role: "eng" })], [below]))).toEqual(transfer([disk({ role: "eng" })], [below]));
  });

  it("fills the principal of every level that is made", () => {
    const unnamed = stacked(["DYNAMIC", "eng", "bob"], ["DYNAMIC", "eng/new"], ["DYNAMIC", "eng/new/a"]);
    const filled = stacked(["DYNAMIC", "eng", "bob"], ["DYNAMIC", "eng/new", "ops"], ["DYNAMIC", "eng/new/a", "ops"]);
    expect(valid(transfer([old], [unnamed]))).toEqual(transfer([old], [filled]));
    expect(valid(transfer([old], [unnamed]), peer)).toEqual(transfer([old], [unnamed]));
  });

  it("adds up pieces of one disk", () => {
    const source = [disk({}, 4), disk({}, 6), disk({ disk: PATH }, 1)];
    const resources = [disk({ ...BY_OPS, disk: PATH }, 1), disk(BY_OPS, 10)];
    expect(valid(transfer(source, resources))).toEqual(transfer(source, resources));
    const whole = transfer([disk({ disk: MOUNT })], [disk({ ...BY_OPS, disk: MOUNT })]);
    expect(valid(whole)).toEqual(whole);
  });
});

describe("validateOperations UNRESERVE", () => {
  it.each([
    [disk(), "has no reservation"],
    [disk({ role: "ads" }), "static"],
    [volume("db"), "db is a volume"],
  ])("refuses %o", (resource, expected) => {
    expect(refused(unreserve(resource))).toContain(expected);
  });

  it.each([ops, ...UNBOUND])("lets $kind name what anybody reserved", (actor) => {
    const operation = unreserve(disk(BY_BOB), disk(BY_NOBODY), stacked(["STATIC", "a"], ["DYNAMIC", "a/b", "bob"]));
    expect(valid(operation, actor)).toEqual(operation);
  });
});

describe("validateOperations CREATE", () => {
  it.each([
    [disk(BY_OPS), "Cannot create a volume: the resource has no disk.persistence"],
    [volume("db", { mode: "RO" }), "Cannot create volume ads/db: its mode is RO, expected RW"],
    [
      volume("db", { principal: "bob" }),
      "Cannot create volume ads/db: the principal is bob, expected the authenticated ops",
    ],
    [{ ...volume("db"), reservations: [] }, "is not on reserved disk"],
  ])("refuses %o", (resource, expected) => {
    expect(refused(create(volume("other"), resource))).toContain(expected);
  });

  it("refuses one volume twice", () => {
    const twice = [create(volume("db"), volume("other"), volume("db", { principal: "ops", disk: PATH }))];
    expect(refusalOf(() => validateOperations(ops, twice))).toMatchObject({
      code: "duplicate_volume",
      message: "Cannot create volume ads/db: the list names it twice",
      details: { index: 0 },
    });
  });

  it("takes one id in two roles, and in two operations", () => {
    validateOperations(ops, [
      create(volume("db"), volume("db", { role: "web" })),
      destroy(volume("db")),
      create(volume("db")),
    ]);
  });

  it("fills the creator and leaves the reservation's principal alone", () => {
    const byBob = { ...volume("db"), reservations: disk(BY_BOB).reservations };
    const filled = { ...volume("db", { principal: "ops" }), reservations: byBob.reservations };
    expect(valid(create(byBob))).toEqual(create(filled));
  });

  it.each(UNBOUND)("lets $kind name any creator or none", (actor) => {
    const operation = create(volume("db", { principal: "bob" }), volume("other"), volume("both", { shared: {} }));
    expect(valid(operation, actor)).toEqual(operation);
  });
});

describe("validateOperations DESTROY", () => {
  it.each([
    [disk(BY_OPS), "no disk.persistence"],
    [volume("db", { mode: "RO" }), "its mode is RO"],
  ])("refuses %o", (resource, expected) => {
    expect(refused(destroy(resource))).toContain(expected);
  });

  it("neither fills nor compares principals", () => {
    const operation = destroy(volume("db"), volume("other", { principal: "bob", shared: {} }));
    expect(valid(operation)).toEqual(operation);
  });
});

describe("validateOperations GROW_VOLUME", () => {
  const huge = 9_000_000_000_000;
  it.each<readonly [string, DiskResource, DiskResource, string]>([
    ["what is no volume", disk(BY_OPS), disk(BY_OPS), "no disk.persistence"],
    ["a read-only volume", volume("db", { mode: "RO" }), disk(BY_OPS), "its mode is RO"],
    ["a shared volume", volume("db", { shared: {} }), disk(BY_OPS), "it is shared"],
    ["a volume on a MOUNT disk", volume("db", { disk: MOUNT }), disk({ ...BY_OPS, disk: MOUNT }), "MOUNT"],
    ["by a volume", volume("db"), volume("other"), "the addition is a volume"],
    ["by nothing", volume("db"), { ...disk(BY_OPS), size: 0 as MilliMb }, "the addition is 0 MB"],
    ["by another disk", volume("db"), disk({ ...BY_OPS, disk: PATH }), "on another disk"],
    ["by unreserved disk", volume("db"), disk(), "other reservations"],
    ["by another role's disk", volume("db"), disk({ ...BY_OPS, role: "web" }), "other reservations"],
    ["by another principal's disk", volume("db"), disk(BY_BOB), "other reservations"],
    ["beyond what is exact", { ...volume("db"), size: (huge * 1000) as MilliMb }, disk(BY_OPS, huge), "too large"],
  ])("refuses %s", (_name, target, addition, expected) => {
    expect(refused(grow(target, addition))).toContain(expected);
  });

  it("takes a shared volume where that was said, and never one on a MOUNT disk", () => {
    const shared = volume("db", { shared: {} });
    expect(valid(grow(shared, disk(BY_OPS), { sharedToo: true }))).toMatchObject({ volume: shared });
    const whole = volume("db", { shared: {}, disk: MOUNT });
    expect(refused(grow(whole, disk({ ...BY_OPS, disk: MOUNT }), { sharedToo: true }))).toContain("MOUNT");
  });

  it("takes an addition from the volume's own pool", () => {
    const operation = grow(volume("db", { disk: PATH }), disk({ ...BY_OPS, disk: PATH }, 0.001));
    expect(valid(operation)).toEqual(operation);
  });
});

describe("validateOperations SHRINK_VOLUME", () => {
  it.each<readonly [string, DiskResource, number, string]>([
    ["what is no volume", disk(BY_OPS), 1, "no disk.persistence"],
    ["a read-only volume", volume("db", { mode: "RO" }), 1, "its mode is RO"],
    ["a shared volume", volume("db", { shared: {} }), 1, "it is shared"],
    ["a volume on a MOUNT disk", volume("db", { disk: MOUNT }), 1, "MOUNT"],
    ["by nothing", volume("db"), 0, "expected more than 0"],
    ["by less than nothing", volume("db"), -1, "expected more than 0"],
    ["by all it has", volume("db"), 10, "expected less than its 10 MB"],
    ["by more than it has", volume("db"), 11, "expected less than its 10 MB"],
  ])("refuses %s", (_name, target, subtract, expected) => {
    expect(refused(shrink(target, subtract))).toContain(expected);
  });

  it.each([0.001, 9.999])("takes %d of 10 MB away", (subtract) => {
    const operation = shrink(volume("db", { disk: PATH }), subtract);
    expect(valid(operation)).toEqual(operation);
  });
});
