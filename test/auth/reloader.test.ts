import { describe, expect, test } from "vitest";
import { createReloader } from "../../src/auth/reloader.ts";
import { HoldfastError } from "../../src/domain/error.ts";
import { createMemoryLog } from "./memory-log.ts";

describe("createReloader", () => {
  test("keeps the old value when the new one is broken, and says so once a change", async () => {
    const log = createMemoryLog();
    const load = () => Promise.reject(new HoldfastError("invalid", "Cannot read credentials /c.json: line 1"));
    const reloader = createReloader({ what: "credentials", initial: "old", load, log });
    await reloader.reload();
    expect(reloader.current).toBe("old");
    expect(reloader.failure).toBe(log.lines[0]?.message);
    expect(log.lines.map(({ level, message }) => [level, message])).toEqual([
      [
        "error",
        "Cannot load the changed credentials, the old ones stay in force: Cannot read credentials /c.json: line 1",
      ],
    ]);
  });

  test("takes the new value, also after a broken one", async () => {
    const values = ["broken", "new"];
    const load = async () => {
      const value = values.shift() ?? "none";
      if (value === "broken") throw new Error(value);
      return value;
    };
    const reloader = createReloader({ what: "ACLs", initial: "old", load, log: createMemoryLog() });
    await reloader.reload();
    expect(reloader.failure).toBeDefined();
    await reloader.reload();
    expect(reloader.current).toBe("new");
    expect(reloader.failure).toBeUndefined();
  });

  test("reads once more when it is asked while it reads, never twice at a time", async () => {
    let loads = 0;
    let reading = 0;
    const load = async () => {
      reading += 1;
      expect(reading).toBe(1);
      loads += 1;
      const value = loads;
      await new Promise((resolve) => setImmediate(resolve));
      reading -= 1;
      return value;
    };
    const reloader = createReloader({ what: "ACLs", initial: 0, load, log: createMemoryLog() });
    await Promise.all([reloader.reload(), reloader.reload(), reloader.reload()]);
    expect(loads).toBe(2);
    expect(reloader.current).toBe(2);
  });
});
