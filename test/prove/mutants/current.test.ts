import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import { ALL } from "../mutants.ts";

const REPOSITORY = path.join(import.meta.dirname, "../../..");

test.each(ALL)("the mutant with $name is one of the program as it is, and of a test that is there", (mutant) => {
  const text = readFileSync(path.join(REPOSITORY, "src", mutant.file), "utf8");
  expect(text.split(mutant.find).length - 1).toBe(1);
  expect(existsSync(path.join(REPOSITORY, "test", mutant.test))).toBe(true);
});
