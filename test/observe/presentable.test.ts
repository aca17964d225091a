import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { HoldfastError } from "../../src/domain/error.ts";
import { cut, presentable } from "../../src/observe/presentable.ts";

describe("presentable", () => {
  test("hides secrets at any depth, whatever the case of their key", () => {
    const fields = {
      req: { headers: { Authorization: "Basic eDp5", host: "a" } },
      secret: "s",
      list: [{ PASSWORD: "p" }],
    };
    expect(presentable(fields)).toEqual({
      req: { headers: { Authorization: "(secret)", host: "a" } },
      secret: "(secret)",
      list: [{ PASSWORD: "(secret)" }],
    });
  });

  test("cuts strings to 1,000 characters and says how much is missing", () => {
    expect(presentable({ id: "x".repeat(1000) })).toEqual({ id: "x".repeat(1000) });
    expect(presentable({ id: "x".repeat(1500) })).toEqual({ id: `${"x".repeat(1000)}… (500 more)` });
    expect(cut("abc", 2)).toBe("ab… (1 more)");
  });

  test("bounds lists and depth, circles too", () => {
    const circle: { self?: unknown } = {};
    circle.self = circle;
    expect(JSON.stringify(presentable(circle))).toContain('"self":"…"');
    expect(presentable({ list: Array.from({ length: 101 }, () => 1) })["list"]).toHaveLength(101);
    expect(presentable({ list: Array.from({ length: 150 }, () => 1) })).toMatchObject({
      list: expect.arrayContaining(["… (50 more)"]),
    });
  });

  test("shows an error with its cause, and a stack only where it is not a refusal", () => {
    const cause = Object.assign(new Error("read failed"), { code: "EIO" });
    const refusal = new HoldfastError("damaged", "Cannot open the checkpoint", { cause, details: { pids: [1] } });
    expect(presentable({ error: refusal })).toEqual({
      error: {
        name: "HoldfastError",
        code: "damaged",
        message: "Cannot open the checkpoint",
        details: { pids: [1] },
        cause: { name: "Error", code: "EIO", message: "read failed", stack: expect.stringContaining("read failed") },
      },
    });
  });

  test("takes an error for the fields", () => {
    expect(presentable(new Error("lost"))).toMatchObject({ error: { message: "lost" } });
  });

  test("shows big integers, sets, maps and bytes", () => {
    const fields = { ino: 1n, roles: new Set(["a"]), pids: new Map([[1, "sh"]]), bytes: Buffer.alloc(3) };
    expect(presentable(fields)).toEqual({ ino: "1", roles: ["a"], pids: { "1": "sh" }, bytes: "(3 bytes)" });
  });

  test("can always be written as JSON", () => {
    const anything = fc.anything({ withBigInt: true, withMap: true, withSet: true, withDate: true });
    fc.assert(
      fc.property(
        fc.dictionary(fc.string(), anything),
        (fields) => typeof JSON.stringify(presentable(fields)) === "string",
      ),
    );
  });
});
