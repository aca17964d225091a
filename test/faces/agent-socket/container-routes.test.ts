import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { HoldfastError } from "../../../src/domain/error.ts";
import { VOLUME_UUID } from "../../fakes/fake-engine.ts";
import { ask, codeIn, errorIn, messageIn } from "../ask.ts";
import { openAgentDoor } from "../doors.ts";

let door: Awaited<ReturnType<typeof openAgentDoor>>;
beforeAll(async () => {
  door = await openAgentDoor();
});
beforeEach(() => {
  door.engine.calls.length = 0;
  door.engine.failure = undefined;
  door.errors.length = 0;
});
afterAll(() => door.close());

const ADA = { kind: "peer", uid: 1000, name: "ada" };
const DB = { role: "ads", id: "db" };

const put = (body: unknown, path = "/v1/containers/web-1", headers: Record<string, string> = {}) =>
  ask(door.where, path, { method: "PUT", headers, body: typeof body === "string" ? body : JSON.stringify(body) });
const remove = (path: string) => ask(door.where, path, { method: "DELETE" });

describe("PUT /v1/containers/CONTAINER", () => {
  it.each([
    ["an empty body", "", "empty"],
    ["what is not JSON", "{", "not JSON"],
    ["a list", [], "expected object"],
    ["no sandbox", { volumes: [] }, "sandbox is wrong"],
    ["no volumes", { sandbox: "/s" }, "volumes is wrong"],
    ["an app that is none", { sandbox: "/s", app: "/Sesame" }, 'app: it is "/Sesame"'],
    ["an app that is no text", { sandbox: "/s", app: 1 }, "app: it is 1"],
    ["an unknown field", { sandbox: "/s", volumes: [], mounts: [] }, 'the unknown field "mounts"'],
    [
      "an unknown field of a volume",
      { sandbox: "/s", volumes: [{ ...DB, path: "x" }] },
      'volumes[0] has the unknown field "path"',
    ],
    ["a relative sandbox", { sandbox: "s", volumes: [] }, "an absolute path"],
    ["an empty sandbox", { sandbox: "", volumes: [] }, "an absolute path"],
    ["a sandbox with ..", { sandbox: "/s/../etc", volumes: [] }, "without .."],
    ["a sandbox with NUL", { sandbox: "/s\0", volumes: [] }, "no NUL"],
    ["a sandbox of 5000 bytes", { sandbox: `/${"s".repeat(5000)}`, volumes: [] }, "at most 4095 bytes"],
    ["a sandbox with a lone surrogate", '{"sandbox":"/\\ud800","volumes":[]}', "well-formed Unicode"],
    ["no role", { sandbox: "/s", volumes: [DB, { id: "db" }] }, "volumes: item 2: role"],
    ["a role that leaves", { sandbox: "/s", volumes: [{ ...DB, role: "../x" }] }, "volumes: item 1: role"],
    ["an id that leaves", { sandbox: "/s", volumes: [{ ...DB, id: "a/b" }] }, "volumes: item 1: id"],
    ["a containerPath that leaves", { sandbox: "/s", volumes: [{ ...DB, containerPath: ".." }] }, "containerPath"],
    ["an unknown mode", { sandbox: "/s", volumes: [{ ...DB, mode: "rw" }] }, "volumes[0].mode is wrong"],
    ["a uid without gid", { sandbox: "/s", volumes: [], uid: 5 }, "one of uid and gid is missing"],
    ["a negative uid", { sandbox: "/s", volumes: [], uid: -1, gid: 0 }, "uid is wrong"],
    ["a uid that means none", { sandbox: "/s", volumes: [], uid: 4294967295, gid: 0 }, "uid is wrong"],
    ["a negative group", { sandbox: "/s", volumes: [], group: -1 }, "group is wrong"],
    ["a gid that is no integer", { sandbox: "/s", volumes: [], uid: 0, gid: 0.5 }, "gid is wrong"],
    ["a pid of 0", { sandbox: "/s", volumes: [], pid: 0 }, "pid is wrong"],
    ["a pid that the kernel never gives", { sandbox: "/s", volumes: [], pid: 2 ** 22 + 1 }, "pid is wrong"],
    ["how a runtime is called", { sandbox: "/s", volumes: [], runtime: "runc" }, 'unknown field "runtime"'],
    [
      "a path with several components",
      { sandbox: "/s", volumes: [{ ...DB, containerPath: "a/b" }] },
      "one path component",
    ],
  ])("refuses %s", async (_what, body, reason) => {
    const answer = await put(body);
    expect([answer.status, codeIn(answer)]).toEqual([400, "invalid"]);
    expect(messageIn(answer)).toContain(reason);
    expect(door.engine.calls).toEqual([]);
  });

  it("hands an app over, with no volumes or beside some", async () => {
    await put({ sandbox: "/s", app: "sesame/samson" });
    await put({ sandbox: "/s", app: "/sesame/samson", volumes: [DB] });
    const asked = door.engine.calls.map(({ args }) => args[1]);
    expect(asked).toEqual([
      { container: "web-1", sandbox: "/s", app: "/sesame/samson", volumes: [] },
      { container: "web-1", sandbox: "/s", app: "/sesame/samson", volumes: [{ ...DB, mode: "RW" }] },
    ]);
  });

  it.each(["a%2Fb", "%2F", "%00", "a%0Ab", "x".repeat(256)])("refuses the container id %s", async (id) => {
    expect((await put({ sandbox: "/s", volumes: [] }, `/v1/containers/${id}`)).status).toBeOneOf([400, 404]);
    expect(door.engine.calls).toEqual([]);
  });

  it("hands a running process over, with a path inside its root", async () => {
    expect((await put({ sandbox: "/", volumes: [DB], pid: 42 })).status).toBe(200);
    expect(door.engine.calls).toMatchObject([{ args: [ADA, { sandbox: "/", process: { pid: 42 } }] }]);
  });

  it("says that there is no such process", async () => {
    door.engine.failure = new HoldfastError("no_such_process", "Cannot attach to process 42: it has ended");
    const answer = await put({ sandbox: "/", volumes: [DB], pid: 42 });
    expect([answer.status, codeIn(answer)]).toEqual([404, "no_such_process"]);
  });

  it("refuses a body that is declared as something else", async () => {
    const answer = await put({ sandbox: "/s", volumes: [] }, undefined, { "content-type": "text/plain" });
    expect([answer.status, codeIn(answer)]).toEqual([415, "unsupported_media_type"]);
  });

  it.each([{}, { "content-type": "application/x-www-form-urlencoded" }, { "content-type": "application/json" }])(
    "takes a body declared as %o",
    async (headers: Record<string, string>) => {
      expect((await put({ sandbox: "/s", volumes: [] }, undefined, headers)).status).toBe(200);
    },
  );

  it("hands the whole wish over, frozen, and answers with the container", async () => {
    const volumes = [DB, { role: "eng/web", id: "logs", containerPath: "log", mode: "RO" }];
    const body = { sandbox: "//var/./s/", volumes, uid: 0, gid: 7, group: 9 };
    const answer = await put(body, "/v1/containers/web%201");
    expect(answer.status).toBe(200);
    expect(answer.json).toMatchObject({ id: "web-1", volumes: [{ uuid: VOLUME_UUID, state: "attached" }] });
    const [call] = door.engine.calls;
    expect(call).toEqual({
      method: "attach",
      args: [
        ADA,
        {
          container: "web 1",
          sandbox: "/var/s",
          volumes: [{ ...DB, mode: "RW" }, volumes[1]],
          owner: { uid: 0, gid: 7 },
          group: 9,
        },
      ],
    });
    expect(Object.isFrozen(call?.args[1])).toBe(true);
  });

  it("names the first container of a volume that a second one wants", async () => {
    door.engine.failure = new HoldfastError("in_use", "Cannot attach volume ads/db: attached to container web-2");
    const answer = await put({ sandbox: "/s", volumes: [DB] });
    expect([answer.status, codeIn(answer)]).toEqual([409, "in_use"]);
  });

  it("answers any body with something other than a failure of its own", async () => {
    const key = fc.constantFrom("sandbox", "volumes", "role", "id", "containerPath", "mode", "uid", "gid", "pid");
    const value = fc.constantFrom<unknown>("/s", "ads", "db", "RO", [DB], [], {}, null, 0, -1, 1e300, "\ud800");
    const body = fc.oneof(
      fc.json(),
      fc.object({ key, values: [value], maxDepth: 3 }).map((object) => JSON.stringify(object)),
    );
    await fc.assert(
      fc.asyncProperty(body, async (text) => {
        expect((await put(text)).status).toBeOneOf([200, 400, 409]);
      }),
      { numRuns: 200 },
    );
    expect(door.errors).toEqual([]);
  });
});

describe("DELETE /v1/containers/CONTAINER", () => {
  it.each(["force", "force=1", "force=yes", "now=true"])("refuses ?%s", async (query) => {
    expect((await remove(`/v1/containers/web-1?${query}`)).status).toBe(400);
    expect(door.engine.calls).toEqual([]);
  });

  it.each([
    ["", false],
    ["?force=false", false],
    ["?force=true", true],
  ])("detaches with %j", async (query, force) => {
    const answer = await remove(`/v1/containers/web-1${query}`);
    expect([answer.status, answer.json]).toEqual([200, {}]);
    expect(door.engine.calls).toEqual([{ method: "detach", args: [ADA, "web-1", { force }] }]);
  });

  it("says who sits in a mount", async () => {
    door.engine.failure = new HoldfastError("busy", "Cannot detach: a process sits in it", { details: { pids: [7] } });
    const answer = await remove("/v1/containers/web-1");
    expect(answer.status).toBe(409);
    expect(errorIn(answer)).toMatchObject({ code: "busy", pids: [7] });
  });
});
