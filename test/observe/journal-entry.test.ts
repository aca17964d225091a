import { expect, test } from "vitest";
import { journalEntry } from "../../src/observe/journal-entry.ts";
import { presentable } from "../../src/observe/presentable.ts";
import { parseEntry } from "../support/journal.ts";

const entryOf = (level: "debug" | "info" | "warn" | "error", fields: object, message: string) =>
  parseEntry(journalEntry(level, presentable(fields), message));

test("what users sent forges no field, nor writes on the terminal", () => {
  const entry = entryOf("info", { id: "a\nPRIORITY=0\n", "X=1\nY": 1 }, "M\u001b[2J\nPRIORITY=1");
  expect(entry["PRIORITY"]).toBe("6");
  expect(entry["MESSAGE"]).toBe('M\\u{1b}[2J\\u{a}PRIORITY=1 id="a\\nPRIORITY=0\\n" X=1\\u{a}Y=1');
  expect(entry["HOLDFAST_ID"]).toBe("a\nPRIORITY=0\n");
  expect(entry["HOLDFAST_X_1_Y"]).toBe("1");
});

test("a name is never too long for the journal", () => {
  const [name] = Object.keys(entryOf("info", { ["k".repeat(100)]: 1 }, "M")).filter((key) => key.includes("KKK"));
  expect(name).toHaveLength(64);
});

test.each([
  ["error", "3"],
  ["warn", "4"],
  ["info", "6"],
  ["debug", "7"],
] as const)("%s has priority %s", (level, priority) => {
  expect(entryOf(level, {}, "M")).toEqual({ MESSAGE: "M", PRIORITY: priority, SYSLOG_IDENTIFIER: "holdfast" });
});

test("fields stand behind the message, and each by itself", () => {
  const fields = { workRoot: "/var/lib/holdfast", port: 5055, waiting: ["a", "b"], nothing: undefined, path: "/a b" };
  expect(entryOf("info", fields, "Serving")).toMatchObject({
    MESSAGE: 'Serving workRoot=/var/lib/holdfast port=5055 waiting="[\\"a\\",\\"b\\"]" path="/a b"',
    HOLDFAST_WORK_ROOT: "/var/lib/holdfast",
    HOLDFAST_PORT: "5055",
    HOLDFAST_WAITING: '["a","b"]',
    HOLDFAST_PATH: "/a b",
  });
});

test("an error says itself once, and keeps its code, stack and cause", () => {
  const error = Object.assign(new Error("it broke"), { code: "damaged", cause: new Error("rust") });
  const entry = entryOf("error", { error }, "Cannot go on: it broke");
  expect(entry).toMatchObject({
    MESSAGE: "Cannot go on: it broke",
    HOLDFAST_ERROR_CODE: "damaged",
    HOLDFAST_ERROR_MESSAGE: "it broke",
    HOLDFAST_ERROR_STACK: expect.stringContaining("\n    at "),
    HOLDFAST_ERROR_CAUSE: expect.stringContaining('"message":"rust"'),
  });
  expect(entryOf("error", { error }, "Cannot go on")["MESSAGE"]).toBe('Cannot go on error="it broke"');
});
