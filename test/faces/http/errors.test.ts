import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { ERROR_CODES, type ErrorCode, HoldfastError } from "../../../src/domain/error.ts";
import { STATUS } from "../../../src/faces/http/errors.ts";
import { ask, codeIn, errorIn } from "../ask.ts";
import { openOperatorDoor } from "../doors.ts";

const CODES = Object.keys(ERROR_CODES) as ErrorCode[];

let door: Awaited<ReturnType<typeof openOperatorDoor>>;
beforeAll(async () => {
  door = await openOperatorDoor();
});
beforeEach(() => {
  door.errors.length = 0;
});
afterAll(() => door.close());

describe("STATUS", () => {
  it.each(CODES)("maps %s to a refusal", (code) => {
    expect(STATUS[code]).toBeGreaterThanOrEqual(400);
    expect(STATUS[code]).toBeLessThan(600);
  });

  it("keeps 500 for our own failures", () => {
    expect(CODES.filter((code) => STATUS[code] === 500)).toEqual(["internal"]);
  });
});

describe("a refusal of the engine", () => {
  it.each(CODES.filter((code) => code !== "internal"))("%s has its status, code, message and details", async (code) => {
    door.engine.failure = new HoldfastError(code, "Cannot do it: because", { details: { index: 3, pids: [1, 2] } });
    const answer = await ask(door.where, "/v1/containers");
    expect(answer.status).toBe(code === "no_such_volume" ? 404 : STATUS[code]);
    expect(answer.json).toEqual({ error: { code, message: "Cannot do it: because", index: 3, pids: [1, 2] } });
    expect(door.errors).toEqual([]);
  });

  it.each([
    ["an assertion", new TypeError("secret is not a function")],
    ["an internal error", new HoldfastError("internal", "secret path /var/lib")],
    ["a string", "secret"],
    ["an error with a status of its own", Object.assign(new Error("secret"), { statusCode: 302 })],
  ])("answers %s with 500, reveals nothing and logs it", async (_name, failure) => {
    door.engine.failure = failure;
    const answer = await ask(door.where, "/v1/containers?password=1");
    expect(answer.status).toBe(500);
    expect(errorIn(answer)).toEqual({ code: "internal", message: "Cannot answer: see the log" });
    expect(door.errors).toEqual([{ err: failure, method: "GET", path: "/v1/containers" }]);
  });

  it("is 400 for a missing volume in the body and 404 for one in the address", async () => {
    door.engine.failure = new HoldfastError("no_such_volume", "Cannot find volume ads/db");
    const asked = await ask(door.where, "/v1/volumes/ads/db");
    const posted = await ask(door.where, "/v1/volumes/restore", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: '{"role":"ads","id":"db"}',
    });
    expect([asked.status, codeIn(asked)]).toEqual([404, "no_such_volume"]);
    expect([posted.status, codeIn(posted)]).toEqual([400, "no_such_volume"]);
  });
});
