/** What the source never does, because every way of doing it has been somebody's hole. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

const SOURCE = join(import.meta.dirname, "../src");
/** Run by people and runtimes, outside of the daemon. */
const CLIENTS = "clients/";
/** What removes nothing but a directory that it has made itself, in a place of root's. */
const OWN_TREES = /^(?:dev|offline)\.ts: /;

describe("the daemon's source", () => {
  it("starts no program, mount(8) neither", () => {
    expect(linesWith(/child_process|from "execa"|process\.execve/)).toEqual([]);
  });

  it("removes and copies no tree by its path", () => {
    const lines = linesWith(/\brm(?:Sync)?\(.*recursive|\bcp(?:Sync)?\(|fs-extra/);
    expect(lines.filter((line) => !OWN_TREES.test(line))).toEqual([]);
  });

  it("makes no regular expression out of what it is told", () => {
    expect(linesWith(/new RegExp\(/)).toEqual([]);
  });

  it("never changes its user", () => {
    expect(linesWith(/\bset(?:e|re|res|fs)?[ug]id\b/)).toEqual([]);
  });
});

function linesWith(pattern: RegExp): readonly string[] {
  return readdirSync(SOURCE, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts") && !name.startsWith(CLIENTS))
    .flatMap((name) =>
      readFileSync(join(SOURCE, name), "utf8")
        .split("\n")
        .filter((line) => pattern.test(line) && !/^\s*(?:\/\/|\*|\/\*)/.test(line))
        .map((line) => `${name}: ${line.trim()}`),
    );
}
