import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { addScheduler } from "../../../src/faces/scheduler/routes.ts";
import { Scheduler } from "../../../src/faces/scheduler/scheduler.ts";
import { openSystemClock } from "../../../src/host/system-clock.ts";
import { disk } from "../../domain/world.ts";
import { Framework } from "../../e2e/framework.ts";
import { ask, codeIn, messageIn } from "../ask.ts";
import { OPS, openOperatorDoor, opsOnly } from "../doors.ts";
import { NodeDouble } from "./node.ts";
import { reserve } from "./scene.ts";

const clock = openSystemClock();
const ignore = () => {};
const log = { debug: ignore, info: ignore, warn: ignore, error: ignore };
const JSON_TYPE = { "content-type": "application/json" };

type Door = Awaited<ReturnType<typeof openOperatorDoor>>;

let door: Door;
let secured: Door;
const open: Framework[] = [];

beforeAll(async () => {
  const share = (node: NodeDouble) => {
    const scheduler = new Scheduler({ engine: node, clock, log, hostname: "node-1", idKey: Buffer.alloc(32) });
    return (app: Parameters<typeof addScheduler>[0]) => addScheduler(app, scheduler, clock);
  };
  door = await openOperatorDoor({ share: share(new NodeDouble(disk(1000))) });
  secured = await openOperatorDoor({ share: share(new NodeDouble(disk(1000))), authenticator: () => opsOnly });
});

afterEach(() => {
  for (const framework of open.splice(0)) framework.cut();
});

afterAll(async () => {
  await Promise.all([door.close(), secured.close()]);
});

async function subscribe(options: Partial<Parameters<typeof Framework.subscribe>[0]> = {}): Promise<Framework> {
  const framework = await Framework.subscribe({ door: { host: "127.0.0.1", port: door.where.port }, ...options });
  open.push(framework);
  return framework;
}

function post(body: unknown, headers: Record<string, string> = JSON_TYPE, where = door.where) {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return ask(where, "/api/v1/scheduler", { method: "POST", headers, body: text });
}

const FRAMEWORK_INFO = { user: "root", name: "test" };
const SUBSCRIBE = { type: "SUBSCRIBE", subscribe: { framework_info: FRAMEWORK_INFO } };
const framework_id = { value: "x" };

describe("POST /api/v1/scheduler refuses", () => {
  it("another method with 405", async () => {
    const answer = await ask(door.where, "/api/v1/scheduler");
    expect([answer.status, answer.headers["allow"]]).toEqual([405, "POST"]);
  });

  it("a call without Content-Type with 400", async () => {
    expect((await post(SUBSCRIBE, {})).status).toBe(400);
  });

  it.each(["application/x-protobuf", "text/plain"])("the type %s with 415", async (type) => {
    expect((await post(SUBSCRIBE, { "content-type": type })).status).toBe(415);
  });

  it.each<[string, unknown]>([
    ["what is not JSON", "{"],
    ["no type", {}],
    ["an unknown type", { type: "LAUNCH_NUKES", framework_id }],
    ["SUBSCRIBE without its message", { type: "SUBSCRIBE" }],
    ["SUBSCRIBE without a name", { type: "SUBSCRIBE", subscribe: { framework_info: { user: "root" } } }],
    ["SUBSCRIBE without a user", { type: "SUBSCRIBE", subscribe: { framework_info: { name: "test" } } }],
    ["two different ids", { ...SUBSCRIBE, framework_id }],
    ["an id with a slash", { ...SUBSCRIBE, framework_id: { value: "a/b" } }],
    ["another call without a framework's id", { type: "REVIVE" }],
    ["ACCEPT without its message", { type: "ACCEPT", framework_id }],
    ["an operation without a type", { type: "ACCEPT", framework_id, accept: { offer_ids: [], operations: [{}] } }],
    ["offer ids that are none", { type: "DECLINE", framework_id, decline: { offer_ids: ["x"] } }],
    ["an acknowledgement of nothing", { type: "ACKNOWLEDGE_OPERATION_STATUS", framework_id }],
  ])("%s with 400", async (_what, body) => {
    const answer = await post(body);
    expect([answer.status, codeIn(answer)]).toEqual([400, "invalid"]);
  });

  it("SUBSCRIBE that accepts no JSON with 406", async () => {
    expect((await post(SUBSCRIBE, { ...JSON_TYPE, accept: "application/x-protobuf" })).status).toBe(406);
  });

  it("SUBSCRIBE with a Mesos-Stream-Id with 400", async () => {
    const answer = await post(SUBSCRIBE, { ...JSON_TYPE, "mesos-stream-id": "x" });
    expect([answer.status, messageIn(answer)]).toEqual([400, expect.stringContaining("must not have")]);
  });

  it("a call of a framework that is not there with 400", async () => {
    const answer = await post({ type: "REVIVE", framework_id });
    expect(messageIn(answer)).toBe(`Cannot take the scheduler's call: there is no framework "x"`);
  });

  it("a call without the stream's id, or with another one, with 400", async () => {
    const framework = await subscribe();
    const id = { value: framework.id };
    expect((await post({ type: "REVIVE", framework_id: id })).status).toBe(400);
    expect((await post({ type: "REVIVE", framework_id: id }, { ...JSON_TYPE, "mesos-stream-id": "x" })).status).toBe(
      400,
    );
  });

  it("a call of a framework that is not connected with 403", async () => {
    const framework = await subscribe();
    framework.cut();
    await framework.ended;
    await expect.poll(async () => (await framework.call("REVIVE")).status).toBe(403);
  });

  it("a call on the stream that another one took the place of with 400", async () => {
    const old = await subscribe();
    await subscribe({ id: old.id });
    expect((await old.call("REVIVE")).status).toBe(400);
    await old.ended;
    expect(old.of("ERROR")).toEqual([{ message: "Framework failed over" }]);
  });

  it("who has no credentials with 401", async () => {
    expect((await post(SUBSCRIBE, JSON_TYPE, secured.where)).status).toBe(401);
  });

  it("another's principal with 400", async () => {
    const body = { type: "SUBSCRIBE", subscribe: { framework_info: { ...FRAMEWORK_INFO, principal: "bob" } } };
    const answer = await post(body, { ...JSON_TYPE, authorization: OPS }, secured.where);
    expect([answer.status, messageIn(answer)]).toEqual([
      400,
      expect.stringContaining("expected the authenticated ops"),
    ]);
  });
});

describe("POST /api/v1/scheduler", () => {
  it("answers SUBSCRIBE with a stream, and other calls with 202", async () => {
    const framework = await subscribe();
    expect(framework.events[0]).toEqual({
      type: "SUBSCRIBED",
      subscribed: { framework_id: { value: framework.id }, heartbeat_interval_seconds: 15 },
    });
    const offer = await framework.offer();
    const answer = await framework.call("ACCEPT", { offer_ids: [offer.id], operations: [reserve(1, "r")] });
    expect([answer.status, answer.text]).toEqual([202, ""]);
    expect((await framework.call("DECLINE", { offer_ids: [] })).status).toBe(202);
  });

  it("takes a framework without a principal for the authenticated one's", async () => {
    const framework = await subscribe({ door: { host: "127.0.0.1", port: secured.where.port }, login: "ops:secret" });
    const offer = await framework.offer();
    const resources = [
      { name: "disk", type: "SCALAR", scalar: { value: 1 }, reservations: [{ type: "DYNAMIC", role: "ads" }] },
    ];
    const operations = [{ type: "RESERVE", id: { value: "r" }, reserve: { resources } }];
    await framework.call("ACCEPT", { offer_ids: [offer.id], operations });
    const { converted_resources } = await framework.status("r");
    expect(converted_resources[0].reservations).toEqual([{ type: "DYNAMIC", role: "ads", principal: "ops" }]);
  });

  it("closes the stream after TEARDOWN", async () => {
    const framework = await subscribe();
    expect((await framework.call("TEARDOWN")).status).toBe(202);
    await framework.ended;
    expect((await framework.call("REVIVE")).status).toBe(400);
  });

  it("closes all streams at once with the door, also those that nobody reads", async () => {
    const idKey = Buffer.alloc(32);
    const scheduler = new Scheduler({ engine: new NodeDouble(disk(1)), clock, log, hostname: "node-1", idKey });
    const other = await openOperatorDoor({ share: (app) => addScheduler(app, scheduler, clock) });
    const place = { host: "127.0.0.1", port: other.where.port };
    const [reading, stalled] = [await Framework.subscribe({ door: place }), await Framework.subscribe({ door: place })];
    stalled.stall();
    const startedAt = performance.now();
    await Promise.all([other.close(), reading.ended]);
    expect(performance.now() - startedAt).toBeLessThan(2_000);
    stalled.cut();
  });
});
