import { afterEach, beforeEach, expect, it } from "vitest";
import { HoldfastError } from "../../../src/domain/error.ts";
import { ask, codeIn } from "../ask.ts";
import { openAgentDoor, openOperatorDoor } from "../doors.ts";

let door: Awaited<ReturnType<typeof openAgentDoor>>;
beforeEach(async () => {
  door = await openAgentDoor();
});
afterEach(() => door.close());

const ADA = { kind: "peer", uid: 1000, name: "ada" };
const BOX = "/srv/sandboxes/web-1";

const post = (path: string, body: unknown) =>
  ask(door.where, `/v1/sandboxes${path}`, { method: "POST", body: JSON.stringify(body) });

it.each([
  ["no path", "", {}],
  ["an unknown field", "", { path: BOX, force: true }],
  ["a relative path", "", { path: "srv" }],
  ["a path with ..", "/keep", { path: "/srv/../etc" }],
  ["a path with NUL", "", { path: "/srv/\0" }],
  ["no paths", "/gc", {}],
  ["an empty list of paths", "/gc", { paths: [] }],
  ["a relative path in the list", "/gc", { paths: [BOX, "srv"] }],
])("refuses %s", async (_what, path, body) => {
  const answer = await post(path, body);
  expect([answer.status, codeIn(answer)]).toEqual([400, "invalid"]);
  expect(door.engine.calls).toEqual([]);
});

it("tells the engine's refusal", async () => {
  door.engine.failure = new HoldfastError("busy", "Cannot detach container web-1", { details: { pids: [7] } });
  const answer = await post("", { path: BOX });
  expect(answer.status).toBe(409);
  expect(answer.json).toEqual({ error: { code: "busy", message: "Cannot detach container web-1", pids: [7] } });
});

it("hands a sandbox over for the peer, and says when it goes", async () => {
  const answer = await post("", { path: "//srv/./sandboxes/web-1/" });
  expect(door.engine.calls).toEqual([{ method: "discardSandbox", args: [ADA, BOX] }]);
  expect(answer.json).toEqual({
    path: BOX,
    discardedAt: "2026-01-02T03:04:05.678Z",
    dueAt: "2026-01-09T03:04:05.678Z",
    by: "uid:0(root)",
  });
});

it("takes a sandbox back", async () => {
  expect((await post("/keep", { path: BOX })).json).toEqual({});
  expect(door.engine.calls).toEqual([{ method: "keepSandbox", args: [ADA, BOX] }]);
});

it("collects sandboxes by name", async () => {
  await post("/gc", { paths: [BOX], dryRun: true });
  expect(door.engine.calls).toEqual([{ method: "collect", args: [ADA, { dryRun: true, sandboxes: [BOX] }] }]);
});

it("lists sandboxes", async () => {
  const answer = await ask(door.where, "/v1/sandboxes", {});
  expect(answer.json).toEqual({ sandboxes: [expect.objectContaining({ path: BOX })] });
});

it("is not served to operators", async () => {
  const operator = await openOperatorDoor();
  try {
    expect((await ask(operator.where, "/v1/sandboxes", { method: "GET" })).status).toBe(404);
  } finally {
    await operator.close();
  }
});
