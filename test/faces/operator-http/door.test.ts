import { get } from "node:https";
import { hostname } from "node:os";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { AGENT_ID } from "../../fakes/fake-engine.ts";
import { ask, codeIn } from "../ask.ts";
import { OPS, openOperatorDoor, opsOnly } from "../doors.ts";
import { CERT, KEY } from "./self-signed.ts";

let door: Awaited<ReturnType<typeof openOperatorDoor>>;
beforeAll(async () => {
  door = await openOperatorDoor({ authenticator: () => opsOnly });
});
afterEach(() => {
  door.engine.calls.length = 0;
  door.engine.failure = undefined;
  door.engine.ready = true;
});
afterAll(() => door.close());

const authorized = { authorization: OPS };

describe("startOperatorHttp", () => {
  it("refuses to listen where somebody listens already", async () => {
    const second = openOperatorDoor({ listen: { host: "127.0.0.1", port: door.where.port } });
    await expect(second).rejects.toMatchObject({
      code: "unavailable",
      message: expect.stringMatching(/^Cannot listen on 127\.0\.0\.1:\d+: address already in use$/),
    });
  });

  it("refuses a certificate that is none", async () => {
    await expect(openOperatorDoor({ tls: { cert: "x", key: "y" } })).rejects.toThrow(/PEM/);
  });

  it("speaks TLS, and nothing else then", async () => {
    const secure = await openOperatorDoor({ tls: { cert: CERT, key: KEY } });
    const status = await new Promise((resolve, reject) => {
      const options = { ...secure.where, host: "127.0.0.1", servername: "localhost", path: "/v1/status", ca: CERT };
      get(options, (response) => response.on("end", () => resolve(response.statusCode)).resume()).on("error", reject);
    });
    expect(status).toBe(200);
    await expect(ask(secure.where, "/healthz")).rejects.toThrow();
    await secure.close();
  });

  it("says where it listens, and stops", async () => {
    const other = await openOperatorDoor();
    expect((await ask(other.where, "/healthz")).status).toBe(200);
    await other.close();
    await expect(ask(other.where, "/healthz")).rejects.toThrow();
  });
});

it("lets no browser keep an answer, whatever it is", async () => {
  for (const path of ["/v1/status", "/state", "/nowhere"]) {
    const { headers } = await ask(door.where, path, { headers: authorized });
    expect([headers["cache-control"], headers["x-content-type-options"]]).toEqual(["no-store", "nosniff"]);
  }
});

describe("authentication", () => {
  it.each([
    ["no header", {}],
    ["an empty header", { authorization: "" }],
    ["a wrong secret", { authorization: `Basic ${Buffer.from("ops:wrong").toString("base64")}` }],
    ["another scheme", { authorization: "Bearer ops:secret" }],
  ])("refuses %s with a challenge", async (_what, headers: Record<string, string>) => {
    const answer = await ask(door.where, "/state", { headers });
    expect([answer.status, codeIn(answer)]).toEqual([401, "unauthenticated"]);
    expect(answer.headers["www-authenticate"]).toBe('Basic realm="holdfast"');
    expect(door.engine.calls).toEqual([]);
  });

  it.each([
    ["GET", "/state"],
    ["GET", "/slaves"],
    ["GET", "/metrics"],
    ["GET", "/v1/status"],
    ["GET", "/nowhere"],
    ["GET", "/reserve"],
    ["POST", "/reserve"],
    ["POST", "/api/v1"],
    ["POST", "/v1/operations"],
  ])("comes before everything else: %s %s", async (method, path) => {
    expect((await ask(door.where, path, { method, body: method === "GET" ? "" : "{" })).status).toBe(401);
  });

  it("does not read the body of a stranger", async () => {
    const answer = await ask(door.where, "/reserve", { method: "POST", body: "x".repeat(2 * 1024 * 1024) });
    expect(answer.status).toBe(401);
  });

  it("is not asked for health", async () => {
    expect((await ask(door.where, "/healthz")).status).toBe(200);
    expect((await ask(door.where, "/readyz")).status).toBe(200);
  });

  it("names the principal to the engine", async () => {
    await ask(door.where, "/v1/status", { headers: authorized });
    expect(door.engine.calls[0]?.args).toEqual([{ kind: "principal", principal: "ops" }]);
  });

  it("ignores credentials where none are configured", async () => {
    const open = await openOperatorDoor();
    await ask(open.where, "/v1/status", { headers: { authorization: "Basic x" } });
    expect(open.engine.calls[0]?.args).toEqual([{ kind: "anonymous" }]);
    await open.close();
  });

  it("takes exchanged credentials at the next request", async () => {
    let required = true;
    const open = await openOperatorDoor({ authenticator: () => ({ ...opsOnly, required }) });
    expect((await ask(open.where, "/state")).status).toBe(401);
    required = false;
    expect((await ask(open.where, "/state")).status).toBe(200);
    await open.close();
  });
});

describe("Host and Origin", () => {
  it.each([
    ["another host", { host: "evil.example" }],
    ["another origin", { origin: "http://evil.example" }],
    ["a page of another site", { "sec-fetch-site": "cross-site" }],
  ])("%s is refused before credentials, also for health", async (_what, headers: Record<string, string>) => {
    for (const path of ["/healthz", "/state"]) {
      const answer = await ask(door.where, path, { headers: { ...authorized, ...headers } });
      expect([answer.status, codeIn(answer)]).toEqual([421, "misdirected"]);
    }
  });

  it.each(["localhost:1", "10.1.2.3", hostname(), "node.example.com"])("%s is this node", async (host) => {
    expect((await ask(door.where, "/healthz", { headers: { host } })).status).toBe(200);
  });
});

describe("/metrics", () => {
  it("is what the metrics render", async () => {
    const answer = await ask(door.where, "/metrics", { headers: authorized });
    expect([answer.status, answer.text]).toEqual([200, "holdfast_up 1\n"]);
    expect(answer.headers["content-type"]).toMatch(/^text\/plain; version=0\.0\.4/);
  });
});

describe("listings", () => {
  const DISK = { name: "disk", type: "SCALAR" };
  const LEVEL = { principal: "ops" };
  const RESERVED = { role: "ads", reservation: LEVEL, reservations: [{ type: "DYNAMIC", role: "ads", ...LEVEL }] };
  const FREE = { ...DISK, scalar: { value: 7680 }, role: "*" };
  const POOL = { ...DISK, scalar: { value: 1536.5 }, ...RESERVED };
  const VOLUME = {
    ...DISK,
    scalar: { value: 512 },
    ...RESERVED,
    disk: { persistence: { id: "db", principal: "ops" }, volume: { mode: "RW", container_path: "data" } },
  };
  const sum = (disk: number) => ({ cpus: 0, gpus: 0, mem: 0, disk });
  const STATE = {
    id: AGENT_ID,
    hostname: hostname(),
    version: "1.2.3",
    capabilities: ["MULTI_ROLE", "HIERARCHICAL_ROLE", "RESERVATION_REFINEMENT", "RESIZE_VOLUME"],
    attributes: {},
    resources: sum(9728.5),
    reserved_resources: { ads: sum(2048.5) },
    unreserved_resources: sum(7680),
    reserved_resources_full: { ads: [POOL, VOLUME] },
    unreserved_resources_full: [FREE],
  };

  it.each(["/state", "/master/state", "/slave(1)/state"])(
    "%s shows the disk in Mesos's endpoint form",
    async (path) => {
      const answer = await ask(door.where, path, { headers: authorized });
      expect(answer.json).toEqual(STATE);
      expect(door.engine.calls).toEqual([{ method: "resources", args: [{ kind: "principal", principal: "ops" }] }]);
    },
  );

  it.each(["/slaves", "/master/slaves"])("%s lists this one agent", async (path) => {
    const answer = await ask(door.where, path, { headers: authorized });
    expect(answer.json).toEqual({
      slaves: [
        {
          ...STATE,
          active: true,
          used_resources: sum(0),
          offered_resources: sum(0),
          used_resources_full: [],
          offered_resources_full: [],
        },
      ],
      recovered_slaves: [],
    });
  });
});
