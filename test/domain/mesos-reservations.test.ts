import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseReservations } from "../../src/domain/mesos-reservations.ts";
import { invalidMessage } from "./refusals.ts";

const parse = (fields: object) => parseReservations({ ...fields }, "the resource");
const message = (fields: object) => invalidMessage(() => parse(fields));
const STATIC = { type: "STATIC", role: "eng" };
const DYNAMIC = { type: "DYNAMIC", role: "eng" };

describe("parseReservations refuses", () => {
  it.each([
    [{ reservation: {} }, "role is "],
    [{ role: "*", reservation: {} }, "role is "],
    [{ role: "" }, "role is empty"],
    [{ role: "a b" }, "role is "],
    [{ role: 5 }, "role is 5"],
    [{ role: "eng", reservation: "ops" }, "reservation is "],
    [{ role: "eng", reservation: [{}] }, "reservation is a list"],
    [{ role: "eng", reservation: { type: "DYNAMIC" } }, "reservation: type is present"],
    [{ role: "eng", reservation: { role: "eng" } }, "reservation: role is present"],
    [{ role: "eng", reservation: { principal: "" } }, "reservation: principal is empty"],
    [{ role: "eng", reservation: { principal: "a\n" } }, "reservation: principal is "],
    [{ role: "eng", reservation: { principal: ["ops"] } }, "reservation: principal is a list"],
  ])("the form before refinement %o", (fields, expected) => {
    expect(message(fields)).toContain(`the resource: ${expected}`);
  });

  it.each([
    [["eng"], "reservations 1 is "],
    [[{ role: "eng" }], "reservations 1: type is missing"],
    [[{ type: "UNKNOWN", role: "eng" }], "reservations 1: type is "],
    [[{ type: "BOGUS", role: "eng" }], "reservations 1: type is "],
    [[{ type: "STATIC" }], "reservations 1: role is missing"],
    [[{ type: "STATIC", role: "*" }], "reservations 1: role is "],
    [[STATIC, { ...STATIC, role: "eng/web" }], "reservations 2: type is STATIC"],
    [[DYNAMIC, { ...STATIC, role: "eng/web" }], "reservations 2: type is STATIC"],
    [[STATIC, DYNAMIC], 'reservations 2: role is "eng"'],
    [[STATIC, { ...DYNAMIC, role: "engine" }], 'reservations 2: role is "engine", expected a role below "eng"'],
    [[{ ...STATIC, role: "eng/web" }, DYNAMIC], "reservations 2: role is "],
    [[DYNAMIC, { ...DYNAMIC, role: "eng/a" }, { ...DYNAMIC, role: "eng/b" }], "reservations 3: role is "],
  ])("the stack %o", (reservations, expected) => {
    expect(message({ reservations })).toContain(`the resource: ${expected}`);
  });

  it.each([
    [{ role: "ads", reservations: [STATIC] }, 'role is "ads", expected "eng" as in reservations'],
    [{ role: "*", reservations: [STATIC] }, "role is "],
    [{ role: "eng", reservation: {}, reservations: [STATIC] }, "reservation is present"],
    [{ reservation: {}, reservations: [STATIC] }, "role is missing"],
    [{ role: "eng", reservations: [DYNAMIC] }, "reservation is missing"],
    [{ reservation: {}, reservations: [DYNAMIC] }, "role is missing"],
    [{ role: "eng", reservation: { principal: "ops" }, reservations: [DYNAMIC] }, "reservation: principal is "],
    [
      { role: "eng", reservation: {}, reservations: [{ ...DYNAMIC, principal: "ops" }] },
      "reservation: principal is missing",
    ],
    [
      { role: "eng", reservation: { labels: { labels: { key: "a" } } }, reservations: [DYNAMIC] },
      "reservation: labels is another list",
    ],
    [{ role: "eng", reservations: [DYNAMIC, { ...DYNAMIC, role: "eng/web" }] }, "role is present"],
    [{ reservation: {}, reservations: [DYNAMIC, { ...DYNAMIC, role: "eng/web" }] }, "reservation is present"],
  ])("two forms that disagree: %o", (fields, expected) => {
    expect(message(fields)).toContain(`the resource: ${expected}`);
  });

  it.each([
    ["a"],
    [{ labels: [{}] }],
    [{ labels: [{ key: 5 }] }],
    [{ labels: [{ key: "a", value: 5 }] }],
    [{ labels: [{ key: "\ud800" }] }],
    [{ labels: ["a"] }],
    [[{ key: "a" }]],
  ])("the labels %o", (labels) => {
    expect(message({ reservations: [{ ...DYNAMIC, labels }] })).toContain("reservations 1: labels");
  });
});

describe("parseReservations reads", () => {
  it.each([
    {},
    { role: "*" },
    { role: null },
    { reservations: [] },
    { reservations: null, role: "*" },
    { reservations: [null] },
  ])("unreserved disk from %o", (fields) => {
    expect(parse(fields)).toEqual([]);
  });

  it.each([
    { role: "eng" },
    { reservations: [STATIC] },
    { reservations: STATIC },
    { role: "eng", reservations: [STATIC] },
    { role: "eng", reservations: [] },
  ])("a static reservation from %o", (fields) => {
    expect(parse(fields)).toEqual([STATIC]);
  });

  it.each([
    { role: "eng", reservation: { principal: "ops" } },
    { role: "eng", reservation: { principal: "ops", type: null, labels: null } },
    { reservations: [{ ...DYNAMIC, principal: "ops" }] },
    { role: "eng", reservation: { principal: "ops" }, reservations: [{ ...DYNAMIC, principal: "ops" }] },
  ])("a dynamic reservation from %o", (fields) => {
    expect(parse(fields)).toEqual([{ ...DYNAMIC, principal: "ops" }]);
  });

  it("a refined reservation", () => {
    const stack = [STATIC, { ...DYNAMIC, role: "eng/web" }, { ...DYNAMIC, role: "eng/web/blue", principal: "ops" }];
    expect(parse({ reservations: stack })).toEqual(stack);
  });

  it("labels in one order, whatever the order on the wire", () => {
    const label = fc.record(
      {
        key: fc.string({ maxLength: 2, unit: "binary-ascii" }),
        value: fc.string({ maxLength: 2, unit: "binary-ascii" }),
      },
      { requiredKeys: ["key"], noNullPrototype: true },
    );
    const shuffled = fc
      .array(label, { maxLength: 6 })
      .chain((list) => fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: list.length })));
    fc.assert(
      fc.property(shuffled, ([one, other]) => {
        const [left, right] = [one, other].map((labels) =>
          parse({ reservations: [{ ...DYNAMIC, labels: { labels } }] }),
        );
        expect(left).toStrictEqual(right);
      }),
    );
  });

  it("no labels as something else than an empty list of labels", () => {
    expect(parse({ reservations: [{ ...DYNAMIC, labels: {} }] })).toStrictEqual([{ ...DYNAMIC, labels: [] }]);
    expect(parse({ reservations: [{ ...DYNAMIC, labels: null }] })).toStrictEqual([DYNAMIC]);
  });

  it("one label for a list of labels, and a label without value", () => {
    const labels = { labels: { key: "a", value: null } };
    expect(parse({ reservations: [{ ...DYNAMIC, labels }] })).toStrictEqual([{ ...DYNAMIC, labels: [{ key: "a" }] }]);
  });

  it("both forms that agree, also in labels of another order", () => {
    const one = { labels: [{ key: "a" }, { key: "b" }] };
    const other = { labels: [{ key: "b" }, { key: "a" }] };
    const fields = { role: "eng", reservation: { labels: one }, reservations: [{ ...DYNAMIC, labels: other }] };
    expect(parse(fields)).toEqual([{ ...DYNAMIC, labels: one.labels }]);
  });
});
