import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { HoldfastError } from "../../../src/domain/error.ts";
import { AGENT_ID } from "../../fakes/fake-engine.ts";
import { ask, codeIn, messageIn } from "../ask.ts";
import { openOperatorDoor } from "../doors.ts";

let door: Awaited<ReturnType<typeof openOperatorDoor>>;
beforeAll(async () => {
  door = await openOperatorDoor();
});
beforeEach(() => {
  door.engine.calls.length = 0;
  door.engine.failure = undefined;
  door.errors.length = 0;
});
afterAll(() => door.close());

const RESERVED = {
  name: "disk",
  type: "SCALAR",
  scalar: { value: 512 },
  reservations: [{ type: "DYNAMIC", role: "ads" }],
};
const VOLUME = { ...RESERVED, disk: { persistence: { id: "db" }, volume: { mode: "RW", container_path: "data" } } };
const agent_id = { value: AGENT_ID };
const CREATE = { type: "CREATE_VOLUMES", create_volumes: { agent_id, volumes: [VOLUME] } };

const call = (body: unknown, headers: Record<string, string> = { "content-type": "application/json" }) =>
  ask(door.where, "/api/v1", {
    method: "POST",
    headers,
    body: typeof body === "string" ? body : JSON.stringify(body),
  });

describe("POST /api/v1", () => {
  it("refuses another method", async () => {
    const answer = await ask(door.where, "/api/v1");
    expect([answer.status, answer.headers["allow"]]).toEqual([405, "POST"]);
  });

  it("refuses a call without Content-Type with 400", async () => {
    const answer = await call(CREATE, {});
    expect([answer.status, codeIn(answer)]).toEqual([400, "invalid"]);
  });

  it.each(["application/x-protobuf", "text/plain", "application/x-www-form-urlencoded", "json", "???"])(
    "refuses the type %s with 415",
    async (type) => {
      const answer = await call(CREATE, { "content-type": type });
      expect([answer.status, codeIn(answer)]).toEqual([415, "unsupported_media_type"]);
      expect(door.engine.calls).toEqual([]);
    },
  );

  it.each([
    ["what is not JSON", "{"],
    ["a list", []],
    ["no type", {}],
    ["an unknown type", { type: "LAUNCH_NUKES" }],
    ["a call that does not concern disk", { type: "GET_FRAMEWORKS" }],
    ["a type of an object's own", { type: "constructor" }],
    ["no message", { type: "CREATE_VOLUMES" }],
    ["another call's message", { ...CREATE, type: "DESTROY_VOLUMES" }],
    ["no agent_id", { type: "CREATE_VOLUMES", create_volumes: { volumes: [VOLUME] } }],
    ["an agent_id that is a string", { type: "CREATE_VOLUMES", create_volumes: { agent_id: "x", volumes: [VOLUME] } }],
    ["no volumes", { type: "CREATE_VOLUMES", create_volumes: { agent_id } }],
    ["no addition", { type: "GROW_VOLUME", grow_volume: { agent_id, volume: VOLUME } }],
    [
      "a negative subtract",
      { type: "SHRINK_VOLUME", shrink_volume: { agent_id, volume: VOLUME, subtract: { value: -1 } } },
    ],
  ])("refuses %s with 400", async (_what, body) => {
    const answer = await call(body);
    expect([answer.status, codeIn(answer)]).toEqual([400, "invalid"]);
    expect(door.engine.calls).toEqual([]);
  });

  it("refuses another agent's id with 400", async () => {
    const answer = await call({
      type: "CREATE_VOLUMES",
      create_volumes: { agent_id: { value: "S0" }, volumes: [VOLUME] },
    });
    expect([answer.status, codeIn(answer)]).toEqual([400, "unknown_agent"]);
  });

  it.each(["text/html", "application/x-protobuf", "application/json;q=0", "text/*, application/x-protobuf"])(
    "refuses to answer in %s with 406, and does nothing",
    async (accept) => {
      const answer = await call(CREATE, { "content-type": "application/json", accept });
      expect(answer.status).toBe(406);
      expect(door.engine.calls).toEqual([]);
    },
  );

  it.each(["*/*", "application/json", "application/*;q=0.5", "text/html, application/json; charset=utf-8", ""])(
    "answers who accepts %j",
    async (accept) => {
      expect((await call(CREATE, { "content-type": "application/json; charset=utf-8", accept })).status).toBe(200);
    },
  );

  it.each([
    ["RESERVE_RESOURCES", { resources: [RESERVED] }, "RESERVE"],
    ["UNRESERVE_RESOURCES", { resources: [RESERVED] }, "UNRESERVE"],
    ["CREATE_VOLUMES", { volumes: [VOLUME] }, "CREATE"],
    ["DESTROY_VOLUMES", { volumes: [VOLUME] }, "DESTROY"],
    ["GROW_VOLUME", { volume: VOLUME, addition: RESERVED }, "GROW_VOLUME"],
    ["SHRINK_VOLUME", { volume: VOLUME, subtract: { value: 12 } }, "SHRINK_VOLUME"],
  ])("answers %s with an empty 200", async (type, message, operation) => {
    const answer = await call({ type, unknown: 1, [type.toLowerCase()]: { agent_id, unknown: 1, ...message } });
    expect([answer.status, answer.text]).toEqual([200, ""]);
    expect(door.engine.calls).toMatchObject([{ method: "perform", args: [{}, [{ type: operation }]] }]);
  });

  it("passes a refusal on", async () => {
    door.engine.failure = new HoldfastError("forbidden", "Cannot create volumes of role ads");
    const answer = await call(CREATE);
    expect([answer.status, messageIn(answer)]).toEqual([403, "Cannot create volumes of role ads"]);
  });

  it("answers questions", async () => {
    const answers = await Promise.all(
      ["GET_HEALTH", "GET_VERSION", "GET_AGENTS", "GET_OPERATIONS"].map(async (type) => (await call({ type })).json),
    );
    expect(answers).toMatchObject([
      { type: "GET_HEALTH", get_health: { healthy: true } },
      { type: "GET_VERSION", get_version: { version_info: { version: "1.2.3" } } },
      {
        type: "GET_AGENTS",
        get_agents: {
          agents: [{ agent_info: { id: agent_id }, active: true, version: "1.2.3", total_resources: [{}, {}, {}] }],
        },
      },
      {
        type: "GET_OPERATIONS",
        get_operations: {
          operations: [
            {
              agent_id,
              info: { id: { value: "op-1" }, type: "CREATE" },
              latest_status: { operation_id: { value: "op-1" }, state: "OPERATION_FINISHED" },
            },
          ],
        },
      },
    ]);
  });

  it("answers any call with something other than a failure of its own", async () => {
    const key = fc.constantFrom("type", "create_volumes", "agent_id", "value", "volumes", "disk", "scalar", "name");
    const value = fc.constantFrom<unknown>("CREATE_VOLUMES", "GET_AGENTS", AGENT_ID, VOLUME, null, [], {}, -1, "");
    const body = fc.oneof(
      fc.json(),
      fc.string(),
      fc.object({ key, values: [value], maxDepth: 4 }).map((object) => JSON.stringify(object)),
      fc
        .anything({ key, values: [value] })
        .map((it) => JSON.stringify({ ...CREATE, create_volumes: it ?? null }) ?? ""),
    );
    await fc.assert(
      fc.asyncProperty(body, async (text) => {
        expect((await call(text)).status).toBeOneOf([200, 400]);
      }),
      { numRuns: 150 },
    );
    expect(door.errors).toEqual([]);
  });
});

describe("/v1 on this door", () => {
  it.each([undefined, "text/plain", "application/x-www-form-urlencoded"])(
    "wants JSON declared, not %s",
    async (type) => {
      const answer = await ask(door.where, "/v1/operations", {
        method: "POST",
        headers: type === undefined ? {} : { "content-type": type },
        body: '{"operations":[{"type":"CREATE","create":{"volumes":[]}}]}',
      });
      expect([answer.status, codeIn(answer)]).toEqual([415, "unsupported_media_type"]);
    },
  );

  it.each([
    ["PUT", "/v1/containers/web-1"],
    ["DELETE", "/v1/containers/web-1"],
  ])("has no %s of a container", async (method, path) => {
    expect((await ask(door.where, path, { method })).status).toBe(404);
  });
});
