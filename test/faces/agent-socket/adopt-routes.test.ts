import { afterEach, beforeEach, expect, it } from "vitest";
import { HoldfastError } from "../../../src/domain/error.ts";
import { VOLUME_UUID } from "../../fakes/fake-engine.ts";
import { ask, codeIn } from "../ask.ts";
import { openAgentDoor, openOperatorDoor } from "../doors.ts";

let door: Awaited<ReturnType<typeof openAgentDoor>>;
beforeEach(async () => {
  door = await openAgentDoor();
});
afterEach(() => door.close());

const DB = { directory: "/srv/db", role: "ads", id: "db" };

const post = (body: unknown) => ask(door.where, "/v1/adopt", { method: "POST", body: JSON.stringify(body) });

it.each([
  ["no list", {}],
  ["an empty list", { adoptions: [] }],
  ["an unknown field", { adoptions: [DB], force: true }],
  ["an unknown field of an item", { adoptions: [{ ...DB, copy: true }] }],
  ["no directory", { adoptions: [{ role: "ads", id: "db" }] }],
  ["a relative directory", { adoptions: [{ ...DB, directory: "srv/db" }] }],
  ["a directory with ..", { adoptions: [{ ...DB, directory: "/srv/../db" }] }],
  ["a directory with NUL", { adoptions: [{ ...DB, directory: "/srv/d\0b" }] }],
  ["no role", { adoptions: [{ ...DB, role: undefined }] }],
  ["an id with a slash", { adoptions: [{ ...DB, id: "a/b" }] }],
  ["a size of nothing", { adoptions: [{ ...DB, sizeMb: 0 }] }],
  ["a path with a slash", { adoptions: [{ ...DB, containerPath: "a/b" }] }],
])("refuses %s", async (_what, body) => {
  const answer = await post(body);
  expect([answer.status, codeIn(answer)]).toEqual([400, "invalid"]);
  expect(door.engine.calls).toEqual([]);
});

it("says which item is wrong", async () => {
  expect((await post({ adoptions: [DB, { ...DB, role: "*" }] })).text).toContain("adoptions[1]: role");
});

it("tells the engine's refusal with its place in the list", async () => {
  door.engine.failure = new HoldfastError("in_use", "Cannot adopt /srv/db: it is mounted at /x", {
    details: { index: 0 },
  });
  const answer = await post({ adoptions: [DB] });
  expect(answer.status).toBe(409);
  expect(answer.json).toEqual({
    error: { code: "in_use", message: "Cannot adopt /srv/db: it is mounted at /x", index: 0 },
  });
});

it("hands the list to the engine as it was meant, for the peer", async () => {
  const full = { ...DB, directory: "//srv/./db/", sizeMb: 512.5, containerPath: "var" };
  const answer = await post({ adoptions: [full], dryRun: true });
  expect(answer.status).toBe(200);
  expect(door.engine.calls).toEqual([
    {
      method: "adopt",
      args: [
        { kind: "peer", uid: 1000, name: "ada" },
        { adoptions: [{ ...DB, size: 512_500, containerPath: "var" }], dryRun: true },
      ],
    },
  ]);
});

it("answers what became of each", async () => {
  expect((await post({ adoptions: [DB] })).json).toEqual({
    adoptions: [
      {
        ...DB,
        containerPath: "data",
        sizeMb: 512,
        usedBytes: 1_000_000,
        inodes: 7,
        source: { type: "ROOT" },
        uuid: VOLUME_UUID,
      },
    ],
  });
});

it("is not for the operator's door", async () => {
  const operator = await openOperatorDoor();
  const question = { method: "POST", headers: { "content-type": "application/json" }, body: "{}" };
  expect((await ask(operator.where, "/v1/adopt", question)).status).toBe(404);
  await operator.close();
});
