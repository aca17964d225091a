import { describe, expect, test } from "vitest";
import { type Facts, Ledger, type Wish } from "./ledger.ts";

const DESTROY: Wish = { client: "r0", what: "destroy", change: { "r0/v1": "4 MB retained" } };
const LIST: Wish = {
  client: "r0",
  what: "list",
  change: { "r0/v1": null, "r0/v2": "4 MB live", "r0/v3": "4 MB live" },
};
const WRITE: Wish = { client: "r1", what: "write", change: { "r1/v1/file": "7 bytes" }, isLoose: true };

describe("the judge of a power cut", () => {
  test("finds what is gone, other than it was, or come by itself", () => {
    const ledger = told({ "r0/v1": "4 MB live", "r0/v1/file": "7 bytes" });
    expect(ledger.judge(facts({ "r0/v1": "8 MB live", "r9/v1": "4 MB live" }))).toEqual([
      'r0/v1 is "8 MB live", acknowledged was "4 MB live"',
      'r0/v1/file is not there, acknowledged was "7 bytes"',
      'r9/v1 is "4 MB live", acknowledged was not there',
    ]);
  });

  test("finds an acknowledged operation that is not done", () => {
    const ledger = told({ "r0/v1": "4 MB live" });
    ledger.wish(DESTROY);
    ledger.acknowledge("r0");
    expect(ledger.judge(facts({ "r0/v1": "4 MB live" }))).toHaveLength(1);
    expect(ledger.judge(facts({ "r0/v1": "4 MB retained" }))).toEqual([]);
  });

  test("lets an operation without an answer be done or not, and nothing else", () => {
    const ledger = told({ "r0/v1": "4 MB live" });
    ledger.wish(DESTROY);
    expect(ledger.judge(facts({ "r0/v1": "4 MB live" }))).toEqual([]);
    expect(ledger.judge(facts({ "r0/v1": "4 MB retained" }))).toEqual([]);
    expect(ledger.judge(facts({}))).toEqual([
      'r0/v1 is not there, neither "4 MB live" nor, by destroy, "4 MB retained"',
    ]);
  });

  test("finds half of a list, and one that was refused", () => {
    const ledger = told({ "r0/v1": "4 MB live" });
    ledger.wish(LIST);
    expect(ledger.judge(facts({ "r0/v2": "4 MB live", "r0/v3": "4 MB live" }))).toEqual([]);
    expect(ledger.judge(facts({ "r0/v1": "4 MB live", "r0/v2": "4 MB live" }))).toEqual([
      "half of r0's list is there, unacknowledged",
    ]);
    ledger.refuse("r0");
    expect(ledger.judge(facts({ "r0/v2": "4 MB live", "r0/v3": "4 MB live" }))).toHaveLength(3);
  });

  test("asks nothing of bytes that were not synced, and all of those that were", () => {
    const ledger = told({});
    ledger.wish(WRITE);
    expect(ledger.judge(facts({ "r1/v1/file": "3 bytes" }))).toEqual([]);
    ledger.acknowledge("r1");
    expect(ledger.judge(facts({ "r1/v1/file": "3 bytes" }))).toHaveLength(1);
  });

  test("holds the next life to what this one has found", () => {
    const ledger = told({ "r0/v1": "4 MB live" });
    ledger.wish(DESTROY);
    ledger.believe(facts({ "r0/v1": "4 MB retained" }));
    expect(ledger.judge(facts({ "r0/v1": "4 MB live" }))).toHaveLength(1);
  });
});

function told(record: Readonly<Record<string, string>>): Ledger {
  const ledger = new Ledger();
  ledger.believe(facts(record));
  return ledger;
}

function facts(record: Readonly<Record<string, string>>): Facts {
  return new Map(Object.entries(record));
}
