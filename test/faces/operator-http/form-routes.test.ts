import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type ErrorCode, HoldfastError } from "../../../src/domain/error.ts";
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

const RESERVED = '{"name":"disk","type":"SCALAR","scalar":{"value":512},"role":"ads","reservation":{}}';
const VOLUME = RESERVED.replace(
  '"reservation"',
  '"disk":{"persistence":{"id":"db"},"volume":{"mode":"RW","container_path":"data"}},"reservation"',
);
const ENDPOINTS = [
  ["/reserve", "resources", RESERVED, "RESERVE"],
  ["/unreserve", "resources", RESERVED, "UNRESERVE"],
  ["/create-volumes", "volumes", VOLUME, "CREATE"],
  ["/destroy-volumes", "volumes", VOLUME, "DESTROY"],
] as const;

const post = (path: string, body: string | Buffer, headers: Record<string, string> = {}) =>
  ask(door.where, path, { method: "POST", body, headers });
const create = (volumes: string, agent = AGENT_ID) =>
  post("/create-volumes", `slaveId=${agent}&volumes=${encodeURIComponent(volumes)}`);

describe.each(ENDPOINTS)("%s", (path, field, resource, type) => {
  const form = `slaveId=${AGENT_ID}&${field}=${encodeURIComponent(`[${resource}]`)}`;

  it.each(["GET", "PUT", "DELETE", "PATCH", "HEAD"])("refuses %s", async (method) => {
    const answer = await ask(door.where, path, { method });
    expect([answer.status, answer.headers["allow"]]).toEqual([405, "POST"]);
  });

  it.each([
    ["an empty body", "", "slaveId is missing"],
    ["no slaveId", `${field}=[]`, "slaveId is missing"],
    ["no resources", `slaveId=${AGENT_ID}`, `${field} is missing`],
    ["resources in the address only", `slaveId=${AGENT_ID}&other=[${resource}]`, `${field} is missing`],
    ["a malformed %XX", `slaveId=${AGENT_ID}&${field}=%zz`, "malformed"],
    ["what is not JSON", `slaveId=${AGENT_ID}&${field}=[`, "not JSON"],
    ["an empty field", `slaveId=${AGENT_ID}&${field}=`, "empty"],
    ["a JSON object", `slaveId=${AGENT_ID}&${field}=${resource}`, "expected a list"],
    ["an empty list", `slaveId=${AGENT_ID}&${field}=[]`, "empty"],
    ["a list of numbers", `slaveId=${AGENT_ID}&${field}=[1]`, "expected an object"],
    ["a poisoned key", `slaveId=${AGENT_ID}&${field}=[{"__proto__":{}}]`, "__proto__"],
    ["17 levels", `slaveId=${AGENT_ID}&${field}=${"[".repeat(17)}${"]".repeat(17)}`, "16 deep"],
    ["another resource", form.replace("disk", "cpus"), "cpus"],
  ])("refuses %s with 400 and the reason", async (_what, body, reason) => {
    const answer = await post(path, body);
    expect([answer.status, codeIn(answer)]).toEqual([400, "invalid"]);
    expect(messageIn(answer)).toContain(reason);
    expect(door.engine.calls).toEqual([]);
  });

  it("refuses another agent's id with 400", async () => {
    const answer = await post(path, form.replace(AGENT_ID, "S0"));
    expect([answer.status, codeIn(answer)]).toEqual([400, "unknown_agent"]);
    expect(door.engine.calls).toEqual([]);
  });

  it.each([
    ["its own path", path, {}],
    ["the path below /master", `/master${path}`, {}],
    ["the type of forms", path, { "content-type": "application/x-www-form-urlencoded" }],
    ["the type of JSON", path, { "content-type": "application/json" }],
    ["a type that is none", path, { "content-type": "???;=" }],
    ["an empty type", path, { "content-type": "" }],
  ])("answers %s with an empty 200", async (_what, address, headers: Record<string, string>) => {
    const answer = await post(address, form, headers);
    expect([answer.status, answer.text]).toEqual([200, ""]);
    expect(door.engine.calls).toMatchObject([{ method: "perform", args: [{ kind: "anonymous" }, [{ type }]] }]);
  });

  it("takes JSON that is not encoded, divided by a semicolon", async () => {
    expect((await post(path, `slaveId=${AGENT_ID};${field}=[${resource}]`)).status).toBe(200);
  });

  it("does not look at the address for fields", async () => {
    expect((await post(`${path}?${form}`, "")).status).toBe(400);
  });

  it.each<[ErrorCode, number]>([
    ["invalid", 400],
    ["no_such_volume", 400],
    ["duplicate_volume", 400],
    ["forbidden", 403],
    ["insufficient", 409],
    ["in_use", 409],
    ["busy", 409],
    ["conflict", 409],
    ["unsupported", 409],
    ["damaged", 409],
    ["unavailable", 503],
    ["disk_full", 507],
  ])("answers %s with %i", async (code, status) => {
    door.engine.failure = new HoldfastError(code, "Cannot do it");
    const answer = await post(path, form);
    expect([answer.status, answer.json]).toEqual([status, { error: { code, message: "Cannot do it" } }]);
  });
});

describe("/reserve", () => {
  it("hands the source over, and takes an empty one for none", async () => {
    const form = `slaveId=${AGENT_ID}&resources=[${RESERVED}]&source=`;
    await post("/reserve", `${form}[{"name":"disk","type":"SCALAR","scalar":{"value":512}}]`);
    await post("/reserve", `${form}[]`);
    expect(door.engine.calls.map(({ args }) => args[1])).toMatchObject([
      [{ source: [{ size: 512_000, reservations: [] }] }],
      [expect.not.objectContaining({ source: expect.anything() })],
    ]);
  });

  it("refuses a source that is not JSON", async () => {
    const answer = await post("/reserve", `slaveId=${AGENT_ID}&resources=[${RESERVED}]&source=x`);
    expect(answer.status).toBe(400);
  });
});

describe("/create-volumes", () => {
  it("hands over what Mesos's document sends", async () => {
    expect((await create(`[${VOLUME}]`)).status).toBe(200);
    expect(door.engine.calls[0]?.args[1]).toEqual([
      {
        type: "CREATE",
        volumes: [
          {
            size: 512_000,
            source: { type: "ROOT" },
            reservations: [{ type: "DYNAMIC", role: "ads" }],
            volume: { id: "db", containerPath: "data", mode: "RW", shared: false },
          },
        ],
      },
    ]);
  });

  it.each(["-1", "0", "0.0001", "1e300", "1e400", '"NaN"', "NaN", "null", "true", "[512]"])(
    "refuses the size %s",
    async (size) => {
      expect((await create(`[${VOLUME.replace("512", size)}]`)).status).toBe(400);
      expect(door.engine.calls).toEqual([]);
    },
  );

  it.each(['"."', '".."', '"a/b"', '""', '"a\\u0000b"', '"\\ud800"', "5", "null", `"${"x".repeat(256)}"`])(
    "refuses the id %s",
    async (id) => {
      expect((await create(`[${VOLUME.replace('"db"', id)}]`)).status).toBe(400);
    },
  );

  it.each(['"."', '".."', '"a/b"', '"/data"', '""', '"a\\nb"', '"\\udc00"', `"${"x".repeat(256)}"`])(
    "refuses the container path %s",
    async (path) => {
      expect((await create(`[${VOLUME.replace('"data"', path)}]`)).status).toBe(400);
    },
  );

  it("answers any form with something other than a failure of its own", async () => {
    const resource = fc.oneof(
      fc.json({ maxDepth: 4 }),
      fc
        .constantFrom(VOLUME, RESERVED)
        .chain((text) =>
          fc
            .tuple(fc.nat({ max: text.length }), fc.nat({ max: 8 }), fc.string({ maxLength: 8 }))
            .map(([at, length, instead]) => `[${text.slice(0, at)}${instead}${text.slice(at + length)}]`),
        ),
    );
    const body = fc.oneof(
      resource.map((text) => `slaveId=${AGENT_ID}&volumes=${encodeURIComponent(text.toWellFormed())}`),
      resource.map((text) => `slaveId=${AGENT_ID}&volumes=${text}`),
      fc.uint8Array({ maxLength: 64 }).map((bytes) => Buffer.from(bytes)),
    );
    await fc.assert(
      fc.asyncProperty(body, async (bytes) => {
        expect((await post("/create-volumes", bytes)).status).toBeOneOf([200, 400]);
      }),
      { numRuns: 200 },
    );
    expect(door.errors).toEqual([]);
  });
});
