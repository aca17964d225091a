import { describe, expect, it } from "vitest";
import { parsePathPattern } from "../../src/domain/path-pattern.ts";

describe("parsePathPattern", () => {
  it.each([
    "(",
    ")",
    "a)",
    "(a",
    "[",
    "[a",
    "[]",
    "*",
    "+a",
    "a**",
    "a{2}",
    "\\",
    "\\k",
    "(?=a)",
    "a^b",
    "((((a))))",
    "a".repeat(256),
  ])("takes %s for no expression", (expression) => {
    expect(parsePathPattern(expression)).toBeUndefined();
  });

  it.each([
    ["/mnt/ssd", "/mnt/ssd", true],
    ["/mnt/ssd", "/mnt/ssd-1", false],
    ["/mnt/ssd.*", "/mnt/ssd-1", true],
    [".*ssd.*", "/mnt/ssd-1", true],
    [".*ssd", "/mnt/ssd-1", false],
    ["/mnt/(ssd|nvme)-[0-9]+", "/mnt/nvme-12", true],
    ["/mnt/(?:ssd|nvme)-\\d+", "/mnt/ssd-", false],
    ["/mnt/[^s].*", "/mnt/ssd", false],
    ["/mnt/[a-f0-9_-]?", "/mnt/-", true],
    ["/mnt/v\\.1", "/mnt/vx1", false],
    ["/mnt/(a|)b", "/mnt/b", true],
    ["(/\\w+)+", "/mnt/disk/a", true],
    ["(/\\w+)+", "/mnt//a", false],
    ["", "", true],
    ["", "/", false],
  ])("%s and %s: %s", (expression, text, matches) => {
    expect(parsePathPattern(expression)?.(text)).toBe(matches);
  });

  it("is through soon with an expression that would take others for ever", () => {
    const startedAt = performance.now();
    expect(parsePathPattern("((a*)*)*b")?.("a".repeat(60))).toBe(false);
    expect(parsePathPattern(".*".repeat(100).concat("b"))?.("a".repeat(200))).toBe(false);
    expect(performance.now() - startedAt).toBeLessThan(1000);
  });
});
