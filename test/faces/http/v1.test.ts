import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { HoldfastError } from "../../../src/domain/error.ts";
import type { Actor } from "../../../src/domain/operation.ts";
import { AGENT_ID, CREATED_AT, VOLUME_UUID } from "../../fakes/fake-engine.ts";
import { ask, codeIn, errorIn, messageIn } from "../ask.ts";
import { openAgentDoor, openOperatorDoor } from "../doors.ts";

const DISK = { name: "disk", type: "SCALAR", scalar: { value: 512 } };
const RESERVED = { ...DISK, reservations: [{ type: "DYNAMIC", role: "ads", principal: "ops" }] };
const VOLUME = { ...RESERVED, disk: { persistence: { id: "db" }, volume: { mode: "RW", container_path: "data" } } };
const FREE = { size: 512_000, source: { type: "ROOT" }, reservations: RESERVED.reservations };
const ON_DISK = { ...FREE, volume: { id: "db", containerPath: "data", mode: "RW", shared: false } };

const ANONYMOUS: Actor = { kind: "anonymous" };
const ADA: Actor = { kind: "peer", uid: 1000, name: "ada" };

describe.each([
  ["operator HTTP", openOperatorDoor, ANONYMOUS],
  ["agent socket", openAgentDoor, ADA],
] as const)("/v1 over %s", (_name, open, actor) => {
  let door: Awaited<ReturnType<typeof open>>;
  beforeAll(async () => {
    door = await open();
  });
  beforeEach(() => {
    door.engine.calls.length = 0;
    door.engine.failure = undefined;
    door.errors.length = 0;
  });
  afterAll(() => door.close());

  const post = (path: string, body: unknown) =>
    ask(door.where, path, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: typeof body === "string" ? body : JSON.stringify(body),
    });
  const perform = (operations: unknown) => post("/v1/operations", { operations });

  it.each([
    ["no list", {}, "operations is wrong, expected array, received undefined"],
    ["an empty list", { operations: [] }, /^Cannot parse the body: operations is wrong/],
    ["an unknown field", { operations: [{}], retry: 1 }, 'Cannot parse the body: it has the unknown field "retry"'],
    ["another type of id", { id: 5, operations: [{}] }, "id is wrong, expected string, received number"],
    ["an empty id", { id: "", operations: [{}] }, /id is wrong/],
    ["an id of 256 characters", { id: "x".repeat(256), operations: [{}] }, /id is wrong/],
    ["a dry run that is no boolean", { operations: [{}], dryRun: "true" }, /dryRun is wrong/],
    ["a list instead of an object", [], /^Cannot parse the body: it is wrong, expected object/],
    ["null", null, /^Cannot parse the body: it is wrong/],
    ["a lone surrogate as id", '{"id":"\\ud800","operations":[{}]}', /expected well-formed Unicode/],
  ])("refuses operations with %s", async (_what, body, message) => {
    const answer = await post("/v1/operations", body);
    expect(answer.status).toBe(400);
    expect(messageIn(answer)).toEqual(
      typeof message === "string" ? expect.stringContaining(message) : expect.stringMatching(message),
    );
    expect(door.engine.calls).toEqual([]);
  });

  it.each([
    ["no type", {}],
    ["an unknown type", { type: "LAUNCH" }],
    ["another operation's message", { type: "CREATE", destroy: { volumes: [VOLUME] } }],
    ["an unknown field", { type: "CREATE", create: { volumes: [VOLUME] }, note: 1 }],
    ["an unknown field in its message", { type: "CREATE", create: { volumes: [VOLUME], note: 1 } }],
    ["no message", { type: "UNRESERVE" }],
    ["no resources", { type: "RESERVE", reserve: {} }],
    ["resources that are no list", { type: "RESERVE", reserve: { resources: RESERVED } }],
    ["no volume", { type: "GROW_VOLUME", grow_volume: { addition: RESERVED } }],
    ["a subtract without value", { type: "SHRINK_VOLUME", shrink_volume: { volume: VOLUME, subtract: {} } }],
    ["a subtract that is a number", { type: "SHRINK_VOLUME", shrink_volume: { volume: VOLUME, subtract: 5 } }],
  ])("refuses an operation with %s, by its index", async (_what, operation) => {
    const good = { type: "CREATE", create: { volumes: [VOLUME] } };
    const answer = await perform([good, operation, {}]);
    expect(answer.status).toBe(400);
    expect(errorIn(answer)).toMatchObject({ code: "invalid", index: 1 });
    expect(door.engine.calls).toEqual([]);
  });

  it.each(["-1", "0", "0.0001", "1e300", "1e999", '"NaN"', '"1e400"', "null", "{}", "[]"])(
    "refuses the size %s",
    async (size) => {
      const resource = `{"name":"disk","type":"SCALAR","role":"ads","scalar":{"value":${size}}}`;
      const reserve = `{"operations":[{"type":"RESERVE","reserve":{"resources":[${resource}]}}]}`;
      expect((await post("/v1/operations", reserve)).status).toBe(400);
      const shrink = { volume: VOLUME, subtract: { value: JSON.parse(size) } };
      expect((await perform([{ type: "SHRINK_VOLUME", shrink_volume: shrink }])).status).toBe(400);
      expect(door.engine.calls).toEqual([]);
    },
  );

  it("hands every operation over as one frozen list", async () => {
    const answer = await perform([
      { type: "RESERVE", reserve: { resources: [RESERVED], source: [DISK] } },
      { type: "RESERVE", reserve: { resources: [RESERVED], source: [] } },
      { type: "UNRESERVE", unreserve: { resources: [RESERVED] } },
      { type: "CREATE", create: { volumes: [VOLUME] } },
      { type: "DESTROY", destroy: { volumes: [VOLUME] } },
      { type: "GROW_VOLUME", grow_volume: { volume: VOLUME, addition: RESERVED } },
      { type: "SHRINK_VOLUME", shrink_volume: { volume: VOLUME, subtract: { value: 12.5 } } },
    ]);
    expect(answer.status).toBe(200);
    const [call] = door.engine.calls;
    expect(call?.args).toEqual([
      actor,
      [
        { type: "RESERVE", resources: [FREE], source: [{ ...FREE, reservations: [] }] },
        { type: "RESERVE", resources: [FREE] },
        { type: "UNRESERVE", resources: [FREE] },
        { type: "CREATE", volumes: [ON_DISK] },
        { type: "DESTROY", volumes: [ON_DISK] },
        { type: "GROW_VOLUME", volume: ON_DISK, addition: FREE },
        { type: "SHRINK_VOLUME", volume: ON_DISK, subtract: 12_500 },
      ],
      {},
    ]);
    expect(Object.isFrozen(call?.args[1])).toBe(true);
  });

  it("answers operations with their id and outcome", async () => {
    const create = { type: "CREATE", create: { volumes: [VOLUME] } };
    const answer = await post("/v1/operations", { id: "mine", operations: [create] });
    expect(answer.json).toEqual({
      id: "mine",
      state: "FINISHED",
      by: "ops",
      at: CREATED_AT,
      operations: [{ type: "CREATE", summary: "ads/db, 512 MB" }],
    });
    const rehearsed = await post("/v1/operations", { operations: [create], dryRun: true });
    expect(rehearsed.json).toMatchObject({ state: "DRY_RUN" });
    expect(door.engine.calls.map(({ args }) => args[2])).toEqual([{ id: "mine" }, { dryRun: true }]);
  });

  it("passes the index of the refused operation on", async () => {
    door.engine.failure = new HoldfastError("insufficient", "Cannot create", { details: { index: 0 } });
    const answer = await perform([{ type: "CREATE", create: { volumes: [VOLUME] } }]);
    expect(answer.status).toBe(409);
    expect(answer.json).toEqual({ error: { code: "insufficient", message: "Cannot create", index: 0 } });
  });

  it.each([
    ["role=", "the role"],
    ["role=*", "the role"],
    ["role=..", "the role"],
    ["state=gone", "state is wrong"],
    ["limit=0", "limit is wrong"],
    ["limit=-1", "limit is wrong"],
    ["limit=1e3", "limit is wrong"],
    ["limit=9999999999", "limit is wrong"],
    ["after=1", "after"],
    ["colour=red", 'the unknown field "colour"'],
  ])("refuses a list of volumes with %s", async (query, reason) => {
    const answer = await ask(door.where, `/v1/volumes?${query}`);
    expect([answer.status, codeIn(answer)]).toEqual([400, "invalid"]);
    expect(messageIn(answer)).toContain(reason);
    expect(door.engine.calls).toEqual([]);
  });

  it("names the first of many unknown fields", async () => {
    const answer = await ask(door.where, "/v1/volumes?a&b&c&d&e");
    expect(messageIn(answer)).toMatch(/has the unknown field "a", "b", "c"$/);
  });

  it("lists volumes by filter", async () => {
    const query = `role=eng%2Fweb&state=retained&limit=20&after=${VOLUME_UUID}`;
    const answer = await ask(door.where, `/v1/volumes?${query}`);
    expect(door.engine.calls).toEqual([
      { method: "volumes", args: [actor, { role: "eng/web", state: "retained", limit: 20, after: VOLUME_UUID }] },
    ]);
    expect(answer.json).toEqual({
      volumes: [
        {
          uuid: VOLUME_UUID,
          role: "ads",
          id: "db",
          sizeMb: 512,
          usedBytes: 300 * 1024 ** 2,
          inodes: 12,
          enforced: true,
          containerPath: "data",
          principal: "ops",
          shared: false,
          state: "attached",
          path: `/data/volumes/${VOLUME_UUID}/content`,
          containers: ["web-1"],
          createdAt: CREATED_AT,
          createdBy: "ops",
          source: { type: "PATH", root: "/data" },
          resource: {
            ...RESERVED,
            disk: {
              persistence: { id: "db", principal: "ops" },
              volume: { mode: "RW", container_path: "data" },
              source: { type: "PATH", path: { root: "/data" } },
            },
          },
        },
      ],
    });
  });

  it("decodes an address once, and parses what it decoded", async () => {
    await ask(door.where, "/v1/volumes/eng%2Fweb/a%20b%23%3F%252F");
    expect(door.engine.calls).toEqual([{ method: "volume", args: [actor, "eng/web", "a b#?%2F"] }]);
  });

  it.each([
    "ads/%2Fetc",
    "ads/..%2f..",
    "..%2Fx/db",
    "%2E%2E/db",
    "ads/a%00b",
    "ads/a%0Ab",
    "ads/%E2%80",
    "*/db",
    "a%20b/db",
  ])("refuses the volume %s", async (name) => {
    const answer = await ask(door.where, `/v1/volumes/${name}`);
    expect([answer.status, codeIn(answer)]).toEqual([400, "invalid"]);
    expect(door.engine.calls).toEqual([]);
  });

  it("finds names of 255 bytes, and refuses longer ones", async () => {
    const long = "%C3%A9".repeat(127);
    expect((await ask(door.where, `/v1/volumes/${long}/${long}`)).status).toBe(200);
    expect((await ask(door.where, `/v1/volumes/${long}%C3%A9/db`)).status).toBe(400);
    expect((await ask(door.where, `/v1/volumes/${"x".repeat(3000)}/db`)).status).toBeOneOf([400, 404]);
  });

  it.each([
    [
      { role: "ads", id: "db" },
      { role: "ads", id: "db" },
    ],
    [
      { role: "ads", id: "db", as: "db-2" },
      { role: "ads", id: "db", as: "db-2" },
    ],
    [{ uuid: VOLUME_UUID }, { uuid: VOLUME_UUID }],
  ])("restores %o", async (body, wanted) => {
    const answer = await post("/v1/volumes/restore", body);
    expect(answer.json).toMatchObject({ uuid: VOLUME_UUID });
    expect(door.engine.calls).toEqual([{ method: "restore", args: [actor, wanted] }]);
  });

  const unclear = [
    {},
    { role: "ads" },
    { id: "db" },
    { role: "ads", id: "../db" },
    { uuid: "x" },
    { uuid: VOLUME_UUID, id: "db" },
    { role: "ads", id: "db", to: "x" },
    [],
  ];

  it.each([...unclear, { role: "ads", id: "db", as: "" }])("refuses to restore %o", async (body) => {
    expect((await post("/v1/volumes/restore", body)).status).toBe(400);
    expect(door.engine.calls).toEqual([]);
  });

  const from = { role: "ads", id: "db" };

  it.each([
    {},
    { id: "copy" },
    { source: from },
    { source: { role: "ads" }, id: "copy" },
    { source: from, id: ".." },
    { source: from, id: "copy", sizeMb: -1 },
    { source: from, id: "copy", snapshot: "yes" },
    { source: from, id: "copy", disk: { type: "PATH" } },
    { source: from, id: "copy", disk: { type: "PATH", root: "relative" } },
    { source: from, id: "copy", waitSeconds: -1 },
    { source: from, id: "copy", group: 1 },
    null,
  ])("refuses to copy %o", async (body) => {
    expect((await post("/v1/volumes/copy", body)).status).toBe(400);
    expect(door.engine.calls).toEqual([]);
  });

  it.each([
    [
      { source: from, id: "copy" },
      { source: from, role: "ads", id: "copy", snapshot: false },
    ],
    [
      {
        source: from,
        role: "test",
        id: "s",
        snapshot: true,
        sizeMb: 1.5,
        containerPath: "x",
        shared: true,
        waitSeconds: 2,
      },
      {
        source: from,
        role: "test",
        id: "s",
        snapshot: true,
        size: 1_500,
        containerPath: "x",
        shared: true,
        waitMs: 2_000,
      },
    ],
    [
      { source: from, id: "copy", disk: { type: "PATH", root: "/fast" } },
      { source: from, role: "ads", id: "copy", snapshot: false, disk: { type: "PATH", root: "/fast" } },
    ],
  ])("copies %o", async (body, wanted) => {
    const answer = await post("/v1/volumes/copy", body);
    expect(answer.json).toMatchObject({ uuid: VOLUME_UUID });
    expect(door.engine.calls).toEqual([{ method: "copy", args: [actor, wanted] }]);
  });

  describe.each(["protect", "unprotect", "pin", "unpin"] as const)("%s", (mark) => {
    it.each([...unclear, { role: "ads", id: "db", as: "x" }, { role: "ads", id: "db", mark }, null])(
      "is refused of %o",
      async (body) => {
        const answer = await post(`/v1/volumes/${mark}`, body);
        expect([answer.status, codeIn(answer)]).toEqual([400, "invalid"]);
        expect(door.engine.calls).toEqual([]);
      },
    );

    it("says that a uuid and a name do not go together", async () => {
      const answer = await post(`/v1/volumes/${mark}`, { uuid: VOLUME_UUID, role: "ads" });
      expect(messageIn(answer)).toBe(`Cannot ${mark}: the body names a uuid and a role or id, expected one of them`);
    });

    it("passes the engine's refusal on", async () => {
      door.engine.failure = new HoldfastError("insufficient", "Cannot pin", { details: { wantedMb: 512, freeMb: 1 } });
      const answer = await post(`/v1/volumes/${mark}`, { role: "ads", id: "db" });
      expect(answer.status).toBe(409);
      expect(errorIn(answer)).toEqual({ code: "insufficient", message: "Cannot pin", wantedMb: 512, freeMb: 1 });
    });

    it.each([{ role: "ads", id: "db" }, { uuid: VOLUME_UUID }])("marks %o and shows the volume", async (body) => {
      const answer = await post(`/v1/volumes/${mark}`, body);
      expect(answer.status).toBe(200);
      expect(door.engine.calls).toEqual([{ method: "mark", args: [actor, { ...body, mark }] }]);
      const { protected: isProtected, pinned } = answer.json as Record<string, unknown>;
      expect([isProtected, pinned]).toEqual([mark === "protect" || undefined, mark === "pin" || undefined]);
    });
  });

  it("answers what refuses for a mark with 409", async () => {
    door.engine.failure = new HoldfastError("protected", "Cannot destroy volume ads/db: it is protected");
    const answer = await perform([{ type: "DESTROY", destroy: { volumes: [VOLUME] } }]);
    expect([answer.status, codeIn(answer)]).toEqual([409, "protected"]);
  });

  it.each([
    [{}, { dryRun: false }],
    [{ dryRun: true }, { dryRun: true }],
    [
      { dryRun: false, uuids: [VOLUME_UUID] },
      { dryRun: false, uuids: [VOLUME_UUID] },
    ],
    [
      { lost: true, uuids: [VOLUME_UUID] },
      { dryRun: false, lost: true, uuids: [VOLUME_UUID] },
    ],
  ])("collects %o", async (body, wanted) => {
    const answer = await post("/v1/gc", body);
    expect(door.engine.calls).toEqual([{ method: "collect", args: [actor, wanted] }]);
    const item = {
      uuid: VOLUME_UUID,
      role: "ads",
      id: "db",
      sizeMb: 512,
      retiredAt: CREATED_AT,
      dueAt: "2026-01-09T03:04:05.678Z",
    };
    const kept = [{ ...item, reason: "its time has not come" }];
    expect(answer.json).toEqual(wanted.dryRun ? { would: [item], kept } : { collected: [item], kept });
  });

  it.each([{ uuids: [] }, { uuids: ["x"] }, { uuids: VOLUME_UUID }, { dryRun: 1 }, { lost: 1 }, { all: true }, []])(
    "refuses to collect %o",
    async (body) => {
      expect((await post("/v1/gc", body)).status).toBe(400);
      expect(door.engine.calls).toEqual([]);
    },
  );

  it("shows status, resources, containers and operations", async () => {
    const paths = ["status", "resources", "containers", "operations", "operations/my%2Fid"];
    const answers = await Promise.all(paths.map((path) => ask(door.where, `/v1/${path}`)));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
    const [status, resources, containers, operations, operation] = answers.map(({ json }) => json);
    expect(status).toMatchObject({ version: "1.2.3", agentId: AGENT_ID, startedAt: CREATED_AT, containers: 1 });
    expect(status).toHaveProperty("disks", [
      {
        source: { type: "PATH", root: "/data" },
        root: "/data",
        fileSystem: "xfs",
        totalBytes: 10_240 * 1024 ** 2,
        freeBytes: 4_096 * 1024 ** 2,
        declaredMb: 8_192,
        reservedMb: 2_048,
        volumesMb: 512,
        retainedMb: 64,
        pinnedMb: 0,
        usedByVolumesBytes: 300 * 1024 ** 2,
        usedByRetainedBytes: 20 * 1024 ** 2,
        promisedBytes: 212 * 1024 ** 2,
        unmeasured: 0,
        enforcement: { by: "project-quota" },
      },
    ]);
    expect(resources).toMatchObject({ agentId: AGENT_ID, resources: [{ scalar: { value: 7680 } }, {}, {}] });
    expect(containers).toEqual({
      containers: [
        {
          id: "web-1",
          sandbox: "/sandbox",
          since: CREATED_AT,
          by: "uid:0(root)",
          volumes: [
            {
              role: "ads",
              id: "db",
              uuid: VOLUME_UUID,
              containerPath: "data",
              mode: "RW",
              state: "attached",
              propagation: "private",
            },
          ],
        },
      ],
    });
    expect(operations).toMatchObject({ operations: [{ id: "op-1", state: "FINISHED" }] });
    expect(operation).toMatchObject({ id: "op-1", state: "FINISHED" });
    expect(door.engine.calls.at(-1)).toEqual({ method: "operation", args: [actor, "my/id"] });
  });

  it("is unavailable until the engine is ready, except for /healthz", async () => {
    door.engine.ready = false;
    try {
      for (const path of ["/v1/status", "/v1/volumes", "/readyz", "/nowhere"]) {
        const answer = await ask(door.where, path);
        expect([path, answer.status, codeIn(answer)]).toEqual([path, 503, "unavailable"]);
      }
      expect((await ask(door.where, "/healthz")).json).toEqual({ status: "ok" });
    } finally {
      door.engine.ready = true;
    }
    expect((await ask(door.where, "/readyz")).json).toEqual({ status: "ok" });
  });

  it("answers any body with something other than a failure of its own", async () => {
    const field = fc.constantFrom(
      "operations",
      "type",
      "reserve",
      "resources",
      "scalar",
      "value",
      "name",
      "disk",
      "id",
    );
    const anything = fc.oneof(
      fc.json(),
      fc.string(),
      fc.object({ key: field, maxDepth: 6 }).map((value) => JSON.stringify(value)),
    );
    const paths = fc.constantFrom("/v1/operations", "/v1/volumes/restore", "/v1/volumes/pin");
    await fc.assert(
      fc.asyncProperty(paths, anything, async (path, body) => {
        expect((await post(path, body)).status).toBeLessThan(500);
      }),
      { numRuns: 150 },
    );
    expect(door.errors).toEqual([]);
  });
});
