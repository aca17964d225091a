import { describe, expect, it } from "vitest";
import { parseRecord } from "../../src/store/schema.ts";
import { sampleVolume, setContainer, setOperation, setReservation } from "../contract/samples.ts";

describe("parseRecord", () => {
  const volume = sampleVolume(1);

  it.each<[string, object, string]>([
    ["a missing field", { ...volume, role: undefined }, "role: missing"],
    ["an unknown field", { ...volume, colour: "red" }, "colour: unknown"],
    ["a field with a name without end", { ...volume, ["x".repeat(5000)]: 1 }, `"${"x".repeat(60)}"...: unknown`],
    ["a prototype as a field", JSON.parse(`{"__proto__": {}, "uuid": "${volume.uuid}"}`), "__proto__: unknown"],
    ["an incarnation that climbs", { ...volume, uuid: "../../etc" }, "uuid: expected text like"],
    ["a container path of two components", { ...volume, containerPath: "a/b" }, "containerPath: expected text like"],
    ["the container path ..", { ...volume, containerPath: ".." }, "containerPath: expected text like"],
    ["the unreserved role", { ...volume, role: "*" }, "role: expected text like"],
    ["a negative size", { ...volume, size: -1 }, "size: expected a whole number"],
    ["a fractional size", { ...volume, size: 0.5 }, "size: expected a whole number"],
    ["an unsafe size", { ...volume, size: 2 ** 53 }, "size: expected a whole number"],
    ["a null where nothing should be", { ...volume, principal: null }, "principal: expected text like"],
    ["an unknown phase", { ...volume, phase: "gone" }, "phase: expected live or destroying or retained or collecting"],
    [
      "a disk of no known type",
      { ...volume, source: { type: "BLOCK" } },
      "source: type: expected ROOT or PATH or MOUNT",
    ],
    ["a relative disk", { ...volume, source: { type: "PATH", root: "disk" } }, "source: root: expected text like"],
    ["a root disk with a path", { ...volume, source: { type: "ROOT", root: "/" } }, "source: root: unknown"],
    ["a list for an object", { ...volume, directory: [] }, "directory: expected an object"],
    ["an object for a list", { ...volume, reservations: {} }, "reservations: expected an array"],
    ["a bad level", { ...volume, reservations: [{ type: "DYNAMIC" }] }, "reservations: 0: role: missing"],
  ])("refuses %s", (_, record, reason) => {
    const parsed = parseRecord("volumes", JSON.stringify(record));
    expect(parsed).toMatchObject({ ok: false, reason: expect.stringContaining(reason) });
  });

  it.each(["null", "1", '"text"', "[]", "{}", ""])("refuses %s as any kind of record", (json) => {
    for (const table of ["volumes", "reservations", "containers", "operations"] as const) {
      expect(parseRecord(table, json).ok).toBe(false);
    }
  });

  it("takes every kind of record as it is", () => {
    const volumes = [1, 2].map((number) => ({ table: "volumes" as const, value: sampleVolume(number) }));
    for (const { table, value } of [...volumes, setReservation(), setContainer(), setOperation()]) {
      expect(parseRecord(table, JSON.stringify(value))).toEqual({ ok: true, value });
    }
  });
});
