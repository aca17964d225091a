import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { withTables } from "../scripts/readme.ts";

test("README.md has the options and error codes that the code has", () => {
  const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
  expect(withTables(readme)).toBe(readme);
});
