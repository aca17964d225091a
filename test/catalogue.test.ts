import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { CATALOGUE } from "./catalogue.ts";

const REPOSITORY = join(import.meta.dirname, "..");
const ATTACKS = 45;

describe("the catalogue of attacks", () => {
  it("has every row", () => {
    expect(Object.keys(CATALOGUE)).toEqual(Array.from({ length: ATTACKS }, (_, index) => `A${index + 1}`));
  });

  it.each(Object.entries(CATALOGUE))("%s is kept away by tests that exist, or is not applicable", (_, row) => {
    if ("notApplicable" in row) {
      expect(row.notApplicable).not.toBe("");
      return;
    }
    const missing = Object.entries(row.tests).flatMap(([file, titles]) =>
      titles.filter((title) => !hasTitle(file, title)).map((title) => `${file}: ${title}`),
    );
    expect(missing).toEqual([]);
    expect(Object.values(row.tests).flat().length).toBeGreaterThan(0);
  });
});

/** Whether a file has a string literal that says so. */
function hasTitle(file: string, title: string): boolean {
  const path = join(REPOSITORY, file);
  return existsSync(path) && readFileSync(path, "utf8").includes(`"${title}"`);
}
