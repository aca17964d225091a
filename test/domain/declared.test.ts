import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseDeclaredResources, requireApart } from "../../src/domain/declared.ts";
import { poolKey } from "../../src/domain/resource.ts";
import { invalidMessage } from "./refusals.ts";
import * as arbitrary from "./resource-arbitraries.ts";

const message = (text: string) => invalidMessage(() => parseDeclaredResources(text));
const json = (...items: object[]) => JSON.stringify(items);
const disk = (fields: object = {}) => ({ name: "disk", type: "SCALAR", scalar: { value: 100 }, ...fields });
const mount = (root: string) => ({ disk: { source: { type: "MOUNT", mount: { root } } } });
const path = (root: string) => ({ disk: { source: { type: "PATH", path: { root } } } });

describe("parseDeclaredResources refuses", () => {
  it("an item with white space without end at once", () => {
    const start = performance.now();
    expect(message(`d${" ".repeat(100_000)}x`)).toContain("item 1 is ");
    expect(performance.now() - start).toBeLessThan(1_000);
  });

  it.each([
    ["disk", 'item 1 is "disk", expected name:value'],
    ["disk:", "item 1 is "],
    [":5", "item 1 is "],
    ["disk:5:6", "item 1 is "],
    ["cpus:4;disk(ads:5", "item 2 is "],
    ["disk)ads(:5", "item 1 is "],
    ["disk:many", "item 1: scalar.value is "],
    ["disk:[1-5]", "item 1: scalar.value is "],
    ["disk:0", "item 1: scalar.value is "],
    ["disk:-5", "item 1: scalar.value is "],
    ["disk():5", "item 1: role is empty"],
    ["disk(a b):5", "item 1: role is "],
    ["disk(-a):5", "item 1: role is "],
    ['{"name":"disk"}', "item 1 is "],
    ["disk:9000000000000;disk:9000000000000", "total is "],
  ])("the text %j", (text, expected) => {
    expect(message(text)).toContain(`Cannot parse the declared resources: ${expected}`);
  });

  it.each([
    ["[", "expected a JSON array"],
    ["[5]", "item 1 is 5"],
    ["[null]", "item 1 is null"],
    [json({}), "item 1: name is missing"],
    [json({ name: "disk", type: "RANGES", ranges: {} }), "item 1: type is "],
    [json(disk({ scalar: { value: 0 } })), "item 1: scalar.value is 0"],
    [json(disk({ revocable: {} })), "item 1: revocable is present"],
    [json(disk({ role: "ads", reservation: {} })), "item 1: reservation is dynamic"],
    [json(disk({ reservations: { type: "DYNAMIC", role: "ads" } })), "item 1: reservation is dynamic"],
    [
      json(disk({ role: "ads", disk: { persistence: { id: "db" }, volume: { mode: "RW", container_path: "data" } } })),
      "item 1: disk.persistence is present",
    ],
    [json(disk(mount("/a")), disk(mount("/a"))), 'MOUNT disk "/a" is declared twice'],
    [json(disk(mount("/a")), disk({ ...mount("/a"), role: "ads" })), "declared twice"],
    [json(disk(mount("/a")), disk(path("/a"))), "declared twice"],
    [json(disk(path("/a")), disk(mount("/a"))), "declared twice"],
  ])("the JSON %s", (text, expected) => {
    expect(message(text)).toContain(expected);
  });
});

describe("parseDeclaredResources reads", () => {
  it("the text form", () => {
    expect(parseDeclaredResources("disk(ads):2048;disk(*):8192.5")).toEqual({
      disks: [
        { size: 2_048_000, source: { type: "ROOT" }, reservations: [{ type: "STATIC", role: "ads" }] },
        { size: 8_192_500, source: { type: "ROOT" }, reservations: [] },
      ],
      ignored: [],
    });
  });

  it.each(["disk:100", " disk : 100 ", "disk(*):100;", ";;disk( * ): 1 00", "disk:60;disk(*):40"])(
    "%j as 100 MB unreserved",
    (text) => {
      expect(parseDeclaredResources(text).disks).toEqual([
        { size: 100_000, source: { type: "ROOT" }, reservations: [] },
      ]);
    },
  );

  it("what is not disk by its names, each once", () => {
    const text = "cpus:4;mem(ads):1024;disk:5;ports:[31000-32000, 33000-34000];zones:{a,b};cpus(ads):2";
    expect(parseDeclaredResources(text)).toMatchObject({
      disks: [{ size: 5000 }],
      ignored: ["cpus", "mem", "ports", "zones"],
    });
    expect(
      parseDeclaredResources(json({ name: "ports", type: "RANGES", ranges: { range: [] } }, disk())).ignored,
    ).toEqual(["ports"]);
  });

  it.each(["", " ", ";", "[]"])("nothing from %j", (text) => {
    expect(parseDeclaredResources(text)).toEqual({ disks: [], ignored: [] });
  });

  it("the JSON form, adding up what is declared of one pool", () => {
    const text = ` ${json(disk(), disk({ ...path("/a"), role: "eng/web" }), disk({ role: "*" }), disk(mount("/m")))}`;
    expect(parseDeclaredResources(text).disks).toEqual([
      { size: 200_000, source: { type: "ROOT" }, reservations: [] },
      { size: 100_000, source: { type: "PATH", root: "/a" }, reservations: [{ type: "STATIC", role: "eng/web" }] },
      { size: 100_000, source: { type: "MOUNT", root: "/m" }, reservations: [] },
    ]);
  });

  it("every megabyte of the text form, in one entry a pool", () => {
    const entry = fc.tuple(fc.constantFrom("*", "ads", "eng/web"), arbitrary.size);
    fc.assert(
      fc.property(fc.array(entry, { minLength: 1, maxLength: 8 }), (entries) => {
        const text = entries.map(([role, size]) => `disk(${role}):${size / 1000}`).join(";");
        const { disks } = parseDeclaredResources(text);
        const keys = disks.map(({ source, reservations }) => poolKey(source, reservations));
        expect(new Set(keys).size).toBe(disks.length);
        const total = (sizes: readonly number[]) => sizes.reduce((sum, size) => sum + size, 0);
        expect(total(disks.map(({ size }) => size))).toBe(total(entries.map(([, size]) => size)));
      }),
    );
  });
});

describe("requireApart", () => {
  const apart = (resolve: (path: string) => string, ...items: object[]) =>
    invalidMessage(() => requireApart(parseDeclaredResources(json(...items)).disks, "/work/root", resolve));
  const asItIs = (path: string) => path;

  it.each([
    [path("/a/b"), mount("/a"), 'PATH disk "/a/b" is inside MOUNT disk "/a"'],
    [path("/a"), path("/a/b"), 'PATH disk "/a/b" is inside PATH disk "/a"'],
    [path("/work/root/d"), path("/c"), 'PATH disk "/work/root/d" is inside the work root'],
    [path("/work/root"), path("/c"), "is the same directory as"],
    [mount("/work"), path("/c"), 'the work root is inside MOUNT disk "/work"'],
    [path("/"), path("/c"), 'is inside PATH disk "/"'],
  ])("refuses %j beside %j", (one, other, expected) => {
    expect(apart(asItIs, disk(one), disk(other))).toContain(expected);
  });

  it("refuses two names of one directory", () => {
    const resolve = (name: string) => name.replace("/link", "/a");
    expect(apart(resolve, disk(path("/a")), disk(path("/link")))).toContain("is the same directory as");
  });

  it("takes disks side by side, whose names begin alike, in several pools", () => {
    const items = [
      disk(path("/a")),
      disk({ ...path("/a"), role: "ads" }),
      disk(mount("/ab")),
      disk(path("/work/root2")),
    ];
    expect(() => requireApart(parseDeclaredResources(json(...items)).disks, "/work/root", asItIs)).not.toThrow();
  });
});
