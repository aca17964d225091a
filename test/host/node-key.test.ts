import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { nodeKey } from "../../src/host/node-key.ts";
import { createMemoryLog } from "../auth/memory-log.ts";

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "holdfast-key-"));
});
afterEach(() => {
  rmSync(directory, { recursive: true });
});

test("a node's key that cannot be kept is another one each time, and the log says so", async () => {
  mkdirSync(join(directory, "key"));
  const log = createMemoryLog();
  expect(await nodeKey(directory, "key", log)).not.toEqual(await nodeKey(directory, "key", log));
  expect(log.lines.map(({ level }) => level)).toEqual(["warn", "warn"]);
});

test("a node's key of which only a part is there is made anew", async () => {
  writeFileSync(join(directory, "key"), "half");
  const key = await nodeKey(directory, "key", createMemoryLog());
  expect(key).toHaveLength(32);
  expect(await nodeKey(directory, "key", createMemoryLog())).toEqual(key);
});

test("a node's key is the same at the next start, and nobody else's to read", async () => {
  const log = createMemoryLog();
  const key = await nodeKey(directory, "key", log);
  expect(await nodeKey(directory, "key", log)).toEqual(key);
  expect(statSync(join(directory, "key")).mode & 0o777).toBe(0o600);
  expect(log.lines).toEqual([]);
});
