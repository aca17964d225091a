import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseResource, parseResources, printResource } from "../../src/domain/mesos-format.ts";
import { invalidMessage, refusalOf } from "./refusals.ts";
import * as arbitrary from "./resource-arbitraries.ts";

const FREE = { name: "disk", type: "SCALAR", scalar: { value: 2048 } };
const VOLUME = {
  name: "disk",
  type: "SCALAR",
  scalar: { value: 512 },
  reservations: [{ type: "DYNAMIC", role: "ads", principal: "ops" }],
  disk: { persistence: { id: "db", principal: "ops" }, volume: { mode: "RW", container_path: "data" } },
};

function message(value: unknown): string {
  return invalidMessage(() => parseResource(value, "the resource"));
}

describe("parseResources", () => {
  it.each([undefined, null, {}, FREE, "[]", 5])("refuses what is no array: %o", (value) => {
    expect(invalidMessage(() => parseResources(value, "the resources"))).toMatch(/expected a list of resources$/);
  });

  it("refuses an empty array", () => {
    expect(invalidMessage(() => parseResources([], "the resources"))).toBe(
      "Cannot parse the resources: it is empty, expected at least one resource",
    );
  });

  it("names the item that is wrong, and where", () => {
    const negative = { ...FREE, scalar: { value: -1 } };
    expect(invalidMessage(() => parseResources([FREE, negative], "the resources"))).toBe(
      "Cannot parse the resources: item 2: scalar.value is -1, expected more than 0",
    );
  });

  it.each([null, "disk", [FREE]])("refuses the item %o", (item) => {
    expect(invalidMessage(() => parseResources([FREE, item], "the volumes"))).toMatch(
      /^Cannot parse the volumes: item 2 is /,
    );
  });

  it("reads every item", () => {
    expect(parseResources([FREE, VOLUME], "the resources")).toHaveLength(2);
  });
});

describe("parseResource refuses", () => {
  it.each(["cpus", "mem", "ports", "", "DISK"])("the resource %j, because only disk is managed", (name) => {
    expect(message({ name, type: "RANGES", ranges: {} })).toBe(
      `Cannot parse the resource: name is "${name}", expected "disk": only disk is managed`,
    );
  });

  it.each([
    ["name", undefined],
    ["name", 5],
    ["type", undefined],
    ["type", "RANGES"],
    ["type", "scalar"],
    ["scalar", undefined],
    ["scalar", 5],
    ["scalar", [{ value: 5 }]],
    ["scalar", {}],
    ["scalar", { value: null }],
    ["scalar", { value: true }],
    ["scalar", { value: [5] }],
    ["scalar", { value: 0 }],
    ["scalar", { value: 0.0001 }],
    ["scalar", { value: "NaN" }],
    ["provider_id", { value: "csi" }],
    ["allocation_info", { role: "ads" }],
    ["allocation_info", {}],
    ["revocable", {}],
    ["ranges", {}],
    ["set", { item: ["a"] }],
    ["shared", {}],
    ["shared", true],
  ])("%s: %o", (field, value) => {
    expect(message({ ...FREE, [field]: value })).toMatch(new RegExp(`^Cannot parse the resource: ${field}`));
  });

  it("what only looks like a resource through its prototype", () => {
    expect(message(JSON.parse(`{"__proto__":${JSON.stringify(FREE)}}`))).toMatch(/name is missing/);
    expect(message(Object.create(FREE))).toMatch(/expected an object$/);
  });

  it("a volume on unreserved disk", () => {
    const { reservations: _, ...unreserved } = VOLUME;
    expect(message(unreserved)).toBe(
      "Cannot parse the resource: disk.persistence is on unreserved disk, expected a reservation",
    );
    expect(message({ ...unreserved, role: "*" })).toMatch(/on unreserved disk/);
  });
});

describe("parseResource", () => {
  it("reads free disk", () => {
    expect(parseResource(FREE, "the resource")).toEqual({
      size: 2_048_000,
      source: { type: "ROOT" },
      reservations: [],
    });
  });

  it("reads a volume", () => {
    expect(parseResource(VOLUME, "the resource")).toEqual({
      size: 512_000,
      source: { type: "ROOT" },
      reservations: [{ type: "DYNAMIC", role: "ads", principal: "ops" }],
      volume: { id: "db", principal: "ops", containerPath: "data", mode: "RW", shared: false },
    });
  });

  it("reads a volume on statically reserved disk, shared, read-only", () => {
    const { reservations: _, ...rest } = VOLUME;
    const volume = { ...rest.disk.volume, mode: "RO" };
    const parsed = parseResource({ ...rest, role: "ads", shared: {}, disk: { ...rest.disk, volume } }, "the resource");
    expect(parsed.reservations).toEqual([{ type: "STATIC", role: "ads" }]);
    expect(parsed.volume).toMatchObject({ mode: "RO", shared: true });
  });

  it("ignores unknown keys, takes null for absent and numbers from strings", () => {
    const nulls = { role: null, reservation: null, reservations: null, disk: null, shared: null, revocable: null };
    const odd = { ...FREE, ...nulls, scalar: { value: "2048", unit: "MB" }, provider_id: null, comment: "hello" };
    expect(parseResource(odd, "the resource")).toEqual(parseResource(FREE, "the resource"));
  });

  it("never throws anything but invalid", () => {
    const keys = ["name", "type", "scalar", "role", "reservation", "reservations", "disk", "shared", "__proto__"];
    const near = fc.dictionary(fc.constantFrom(...keys), fc.anything()).map((fields) => ({ ...VOLUME, ...fields }));
    fc.assert(
      fc.property(fc.oneof(fc.anything(), near), (value) => {
        try {
          parseResource(value, "the resource");
        } catch {
          expect(message(value)).toMatch(/^Cannot parse the resource: .+ is .+, expected /);
        }
      }),
    );
  });
});

describe("printResource", () => {
  it("refuses a refined reservation in the form that was before refinement", () => {
    const refined = {
      ...FREE,
      reservations: [
        { type: "STATIC", role: "a" },
        { type: "DYNAMIC", role: "a/b" },
      ],
    };
    const refusal = refusalOf(() => printResource(parseResource(refined, "the resource"), "pre"));
    expect(refusal.code).toBe("unsupported");
  });

  it.each([
    ["pre", { role: "*" }],
    ["post", {}],
    ["endpoint", { role: "*" }],
  ] as const)("prints unreserved disk in %s form", (form, fields) => {
    expect(printResource(parseResource(FREE, "the resource"), form)).toStrictEqual({ ...FREE, ...fields });
  });

  it.each([
    ["pre", { role: "ads" }],
    ["post", { reservations: [{ type: "STATIC", role: "ads" }] }],
    ["endpoint", { role: "ads", reservations: [{ type: "STATIC", role: "ads" }] }],
  ] as const)("prints a static reservation in %s form", (form, fields) => {
    expect(printResource(parseResource({ ...FREE, role: "ads" }, "the resource"), form)).toStrictEqual({
      ...FREE,
      ...fields,
    });
  });

  const reserver = { principal: "ops", labels: { labels: [{ key: "a" }, { key: "b", value: "" }] } };
  const reservations = [{ type: "DYNAMIC", role: "ads", ...reserver }];
  it.each([
    ["pre", { role: "ads", reservation: reserver }],
    ["post", { reservations }],
    ["endpoint", { role: "ads", reservation: reserver, reservations }],
  ] as const)("prints a dynamic reservation in %s form", (form, fields) => {
    expect(printResource(parseResource({ ...FREE, reservations }, "the resource"), form)).toStrictEqual({
      ...FREE,
      ...fields,
    });
  });

  it("prints a dynamic reservation of nobody as an empty reservation", () => {
    const bare = { ...FREE, role: "ads", reservation: {} };
    expect(printResource(parseResource(bare, "the resource"), "pre")).toStrictEqual(bare);
  });

  it.each(["post", "endpoint"] as const)("prints a refined reservation without role in %s form", (form) => {
    const refined = {
      ...FREE,
      reservations: [
        { type: "STATIC", role: "a" },
        { type: "DYNAMIC", role: "a/b" },
      ],
    };
    expect(printResource(parseResource(refined, "the resource"), form)).toStrictEqual(refined);
  });

  it("prints a volume with its fields in Mesos's order", () => {
    const source = { type: "PATH", path: { root: "/mnt/a" } };
    const volume = { ...VOLUME, disk: { ...VOLUME.disk, source }, shared: {} };
    expect(JSON.stringify(printResource(parseResource(volume, "the resource"), "post"))).toBe(JSON.stringify(volume));
  });

  it("prints three decimals", () => {
    const odd = { ...FREE, scalar: { value: 0.1234 } };
    expect(printResource(parseResource(odd, "the resource"), "post")).toMatchObject({ scalar: { value: 0.123 } });
  });

  it.each(["pre", "post", "endpoint"] as const)("is read back from JSON as it was, in %s form", (form) => {
    fc.assert(
      fc.property(arbitrary.resource, (resource) => {
        fc.pre(form !== "pre" || resource.reservations.length < 2);
        // Before refinement a static reservation had neither principal nor labels.
        fc.pre(form !== "pre" || resource.reservations.every((level) => level.type === "DYNAMIC"));
        const json: unknown = JSON.parse(JSON.stringify(printResource(resource, form)));
        expect(parseResource(json, "the resource")).toStrictEqual(resource);
      }),
    );
  });
});
