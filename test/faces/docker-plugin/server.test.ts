/** The protocol itself: what may be sent, and how everything is answered. */
import { statSync } from "node:fs";
import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { HoldfastError } from "../../../src/domain/error.ts";
import { makeFakeEngine } from "../../fakes/fake-engine.ts";
import { ask, sendRaw } from "../ask.ts";
import { openPlugin, type Plugin } from "./plugin.ts";

const MEDIA_TYPE = "application/vnd.docker.plugins.v1.1+json";
const MEGABYTE = 1024 * 1024;

const engine = makeFakeEngine();
let plugin: Plugin;
beforeAll(async () => {
  plugin = await openPlugin(engine);
});
beforeEach(() => {
  engine.calls.length = 0;
  engine.failure = undefined;
  engine.ready = true;
  plugin.log.lines.length = 0;
});
afterAll(() => plugin.close());

describe("a request is refused", () => {
  it.each([
    ["what is not JSON", "{", "not JSON"],
    ["a list", "[]", "expected object"],
    ["no Name", "{}", "Name is wrong"],
    ["a Name that is no text", '{"Name":7}', "Name is wrong"],
    ["an empty Name", '{"Name":"","ID":"1"}', "Name: it is empty"],
    ["a Name that leaves", '{"Name":"..","ID":"1"}', "neither . nor .."],
    ["a Name with a role that leaves", '{"Name":"../db","ID":"1"}', "Name: the role"],
    ["a Name without an id", '{"Name":"ads/","ID":"1"}', "Name: the id"],
    ["a Name without a role", '{"Name":"/db","ID":"1"}', "Name: the role"],
    ["a Name with a control character", '{"Name":"a\\nb","ID":"1"}', "no control characters"],
    ["a Name with a lone surrogate", '{"Name":"\\ud800"}', "well-formed Unicode"],
    ["a poisonous key", '{"Name":"db","__proto__":{}}', "__proto__"],
    ["deep JSON", `{"Name":${"[".repeat(20)}${"]".repeat(20)}}`, "nested"],
  ])("with %s", async (_what, body, reason) => {
    for (const call of ["Create", "Remove", "Mount", "Unmount", "Path", "Get"]) {
      const { status, json, headers } = await plugin.call(call, body);
      expect([status, headers["content-type"]]).toEqual([400, MEDIA_TYPE]);
      expect(json.Err).toContain(reason);
    }
    expect(engine.calls).toEqual([]);
  });

  it.each([
    [{ Name: "db" }, "ID is wrong"],
    [{ Name: "db", ID: "" }, "ID: it is empty"],
    [{ Name: "db", ID: "a/b" }, "no slash"],
  ])("with the mount %j", async (body, reason) => {
    for (const call of ["Mount", "Unmount"]) {
      const { status, json } = await plugin.call(call, body);
      expect(status).toBe(400);
      expect(json.Err).toContain(reason);
    }
  });

  it.each([
    [{ sise: "512M" }, '"sise", expected size, role, shared or path'],
    [{ constructor: "x" }, "constructor"],
    [{ toString: "x" }, '"toString", expected size, role, shared or path'],
    [{ size: "large" }, "option size"],
    [{ size: "0" }, "option size"],
    [{ size: 512 }, "Opts.size"],
    [{ shared: "yes" }, "option shared"],
    [{ role: "*" }, "option role"],
    [{ path: "a/b" }, "option path"],
    [["size"], "Opts is wrong"],
  ])("with the options %j", async (Opts, reason) => {
    const { status, json } = await plugin.call("Create", { Name: "new", Opts });
    expect(status).toBe(400);
    expect(json.Err).toContain(reason);
    expect(engine.calls).toEqual([]);
  });

  it("with more than 1 MiB, and the connection lives on", async () => {
    const { status, json } = await plugin.call("Get", `{"Name":"${"x".repeat(MEGABYTE)}"}`);
    expect([status, json.Err]).toEqual([413, "Cannot read the body: larger than 1048576 bytes"]);
    expect((await plugin.call("List")).status).toBe(200);
  });

  it("with bytes that are not UTF-8", async () => {
    const { status, json } = await plugin.post("/VolumeDriver.Get", Buffer.from([0x22, 0xff, 0x22]));
    expect([status, json.Err]).toEqual([400, "Cannot read the body: it is not UTF-8"]);
  });

  it("that is not HTTP", async () => {
    const received = await sendRaw(plugin.where, "hello\r\n\r\n");
    expect(received).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/);
    expect(received).toContain(`Content-Type: ${MEDIA_TYPE}\r\n`);
    expect(JSON.parse(received.split("\r\n\r\n")[1] ?? "")).toEqual({
      Err: "Cannot read the request: it is not HTTP/1.1",
    });
  });

  it("to an address that is not there", async () => {
    const { status, json } = await plugin.call("Format", { Name: "db" });
    expect([status, json.Err]).toEqual([404, "Cannot find this address"]);
  });

  it("that is not POST", async () => {
    const answer = await ask(plugin.where, "/VolumeDriver.List");
    expect([answer.status, answer.headers["allow"]]).toEqual([405, "POST"]);
    expect(JSON.parse(answer.text)).toEqual({ Err: "Cannot GET this address: it takes POST" });
  });

  it("while the engine is not ready", async () => {
    engine.ready = false;
    const { status, json } = await plugin.call("List");
    expect([status, json.Err]).toEqual([500, "Cannot answer yet: the daemon is starting or stopping"]);
  });

  it("with what the engine says, in status 500", async () => {
    engine.failure = new HoldfastError("in_use", "Cannot attach volume docker/db: it is in use");
    for (const call of ["Create", "Remove", "Mount", "Unmount", "Path", "Get", "List"]) {
      const { status, json } = await plugin.call(call, { Name: "ads/db", ID: "1", Opts: { size: "1G" } });
      expect([status, json]).toEqual([500, { Err: "Cannot attach volume docker/db: it is in use" }]);
    }
  });

  it("without a word about a failure of our own, which is logged", async () => {
    engine.failure = new TypeError("x is undefined");
    const { status, json } = await plugin.call("List");
    expect([status, json]).toEqual([500, { Err: "Cannot answer: see the log" }]);
    expect(plugin.log.lines.map(({ level }) => level)).toEqual(["error"]);
  });

  it("in JSON with a reason, whatever it is", async () => {
    const anything = fc.record({ Name: fc.anything(), ID: fc.anything(), Opts: fc.anything() }, { requiredKeys: [] });
    await fc.assert(
      fc.asyncProperty(fc.constantFrom("Create", "Mount", "Get"), fc.oneof(fc.json(), anything), async (call, body) => {
        const text = typeof body === "string" ? body : safeJson(body);
        const { status, json } = await plugin.call(call, text);
        if (status !== 200) expect(json.Err).toMatch(/^Cannot /);
      }),
      { numRuns: 300 },
    );
    expect(plugin.log.lines).toEqual([]);
  });
});

describe("an unknown peer", () => {
  it("may do nothing", async () => {
    const closed = await openPlugin(engine, { peer: () => undefined });
    const { status, json } = await closed.call("List");
    expect([status, json.Err]).toEqual([500, "Cannot answer: the kernel does not say who asks"]);
    expect(engine.calls).toEqual([]);
    await closed.close();
  });
});

describe("the plugin", () => {
  it("has a socket that only its owner may open", () => {
    expect(statSync(plugin.where.socketPath).mode & 0o777).toBe(0o600);
  });

  it.each([
    ["/Plugin.Activate", { Implements: ["VolumeDriver"] }],
    ["/VolumeDriver.Capabilities", { Capabilities: { Scope: "local" } }],
  ])("answers %s, with and without a body", async (path, expected) => {
    for (const body of [undefined, "", "{}"]) {
      const { status, json, headers } = await plugin.post(path, body);
      expect([status, json, headers["content-type"]]).toEqual([200, expected, MEDIA_TYPE]);
    }
  });

  it.each([
    { "content-type": MEDIA_TYPE },
    { "content-type": "application/json", accept: "application/vnd.docker.plugins.v1+json" },
    { "content-type": "text/plain", accept: "image/png", host: "whoever" },
  ])("does not look at %j", async (headers) => {
    expect((await plugin.post("/VolumeDriver.List", "{}", headers)).status).toBe(200);
  });

  it("lets fields be that it does not know", async () => {
    expect((await plugin.call("Get", { Name: "ads/db", Later: { any: 1 } })).status).toBe(200);
  });

  it("tells the engine who asks, for whom, and by which container engine", async () => {
    const podman = "2f73349cfc4630255319c6c8dfc1b46a8996ace9d14d8e07563b165915918ec2";
    const mount = await plugin.call("Mount", { Name: "ads/db", ID: "abc" });
    await plugin.call("Unmount", { Name: "ads/db", ID: podman });
    expect(mount.json).toEqual({ Mountpoint: expect.stringMatching(/^\/data\/volumes\/.*\/content$/), Err: "" });
    const actor = { kind: "peer", uid: 0, name: "root" };
    expect(engine.calls.filter(({ method }) => method !== "resources")).toEqual([
      { method: "lend", args: [actor, { borrower: "abc", role: "ads", id: "db", runtime: "docker" }] },
      { method: "giveBack", args: [actor, { borrower: podman, role: "ads", id: "db", runtime: "podman" }] },
    ]);
  });
});

function safeJson(value: unknown): string {
  try {
    return JSON.stringify(value) ?? "";
  } catch {
    return "";
  }
}
