import { once } from "node:events";
import { statSync } from "node:fs";
import { connect, constants } from "node:http2";
import { createConnection } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ERROR_CODES, type ErrorCode, HoldfastError } from "../../../src/domain/error.ts";
import { type FakeEngine, makeFakeEngine } from "../../fakes/fake-engine.ts";
import { openClient } from "./client.ts";
import { openPlugin, type Plugin } from "./plugin.ts";

const SECRET = "s3cr3t-that-nobody-may-read";
const CAPABILITY = { mount: {}, access_mode: { mode: 1 } };

let engine: FakeEngine;
let plugin: Plugin;
beforeEach(async () => {
  engine = makeFakeEngine();
  plugin = await openPlugin(engine);
});
afterEach(() => plugin.close());

/** The fake engine's one volume is `ads/db`. */
function publishing(rest: object = {}): object {
  return { volume_id: "ads/db", target_path: `${plugin.directory}/target`, volume_capability: CAPABILITY, ...rest };
}

describe("who asks", () => {
  it("is refused when the kernel does not say", async () => {
    const other = await openPlugin(engine, { peer: () => undefined });
    expect(await other.client.call("NodeUnpublishVolume", publishing())).toMatchObject({ status: "PERMISSION_DENIED" });
    expect(engine.calls).toEqual([]);
    await other.close();
  });

  it("is the superuser, by the name of the process at the other end", async () => {
    await plugin.client.call("DeleteVolume", { volume_id: "ads/db" });
    for (const { args } of engine.calls) expect(args[0]).toEqual({ kind: "peer", uid: 0, name: "root" });
    expect(engine.calls.map(({ method }) => method)).toEqual(["findVolume", "findContainer", "perform"]);
  });

  it("is told apart on every connection, also when calls of several come at once", async () => {
    let connections = 0;
    const other = await openPlugin(engine, { peer: () => ({ uid: ++connections }) });
    const clients = Array.from({ length: 4 }, () => openClient(other.socketPath));
    // One after the other, so that each has the number of its connection.
    for (const client of clients) await client.call("Probe");
    engine.calls.length = 0;
    const asking = clients.flatMap((client, index) =>
      Array.from({ length: 20 }, () => client.call("DeleteSnapshot", { snapshot_id: `ads/uid-${index + 1}` })),
    );
    await Promise.all(asking);
    expect(engine.calls.length).toBeGreaterThanOrEqual(4);
    for (const { args } of engine.calls) {
      expect(args[0]).toEqual({ kind: "peer", uid: Number(/\d+$/.exec(String(args[2]))?.[0]) });
    }
    for (const client of clients) client.close();
    await other.close();
  });

  it("must be able to open the socket, which is root's alone", () => {
    expect(statSync(plugin.socketPath).mode & 0o777).toBe(0o600);
  });
});

describe("a refusal", () => {
  const STATUS: Readonly<Record<ErrorCode, string>> = {
    invalid: "INVALID_ARGUMENT",
    unknown_agent: "INTERNAL",
    no_such_volume: "NOT_FOUND",
    no_such_app: "NOT_FOUND",
    no_such_container: "NOT_FOUND",
    no_such_operation: "NOT_FOUND",
    no_such_process: "NOT_FOUND",
    duplicate_volume: "ALREADY_EXISTS",
    duplicate_app: "ALREADY_EXISTS",
    unauthenticated: "UNAUTHENTICATED",
    forbidden: "PERMISSION_DENIED",
    insufficient: "RESOURCE_EXHAUSTED",
    in_use: "FAILED_PRECONDITION",
    protected: "FAILED_PRECONDITION",
    busy: "FAILED_PRECONDITION",
    conflict: "FAILED_PRECONDITION",
    unsupported: "FAILED_PRECONDITION",
    damaged: "FAILED_PRECONDITION",
    operation_id_reused: "INTERNAL",
    not_found: "NOT_FOUND",
    method_not_allowed: "INTERNAL",
    too_large: "RESOURCE_EXHAUSTED",
    unsupported_media_type: "INTERNAL",
    misdirected: "INTERNAL",
    unavailable: "UNAVAILABLE",
    disk_full: "RESOURCE_EXHAUSTED",
    internal: "INTERNAL",
  };

  it.each(Object.keys(ERROR_CODES) as ErrorCode[])("with code %s has its status, and no details", async (code) => {
    engine.failure = new HoldfastError(code, "Cannot do it: so it is");
    const { status, message, details } = await plugin.client.call("GetCapacity");
    expect(status).toBe(STATUS[code]);
    expect(message).toBe(code === "internal" ? "Cannot answer: see the log" : "Cannot do it: so it is");
    expect(details).toBe(0);
  });

  it("that is a failure of our own reveals nothing, and is in the log", async () => {
    engine.failure = new TypeError("undefined is not a volume");
    expect(await plugin.client.call("ListVolumes")).toMatchObject({
      status: "INTERNAL",
      message: "Cannot answer: see the log",
    });
    expect(plugin.log.lines.filter(({ level }) => level === "error")).toHaveLength(1);
  });

  it("is one line that fits into a header, whatever was thrown", async () => {
    engine.failure = new HoldfastError("conflict", `Cannot do it:\n\u0000\u001b[31m${"é".repeat(20_000)}`);
    const { message } = await plugin.client.call("ListVolumes");
    expect(message).toMatch(/^Cannot do it: \[31mé+$/);
    expect(message).toHaveLength(2_000);
  });
});

describe("a node of which much is wrong", () => {
  it("says so in an answer that every client takes", async () => {
    const { status } = engine;
    const problems = Array.from({ length: 50_000 }, (_, index) => `Volume ads/${index}: ${"x".repeat(100)}`);
    engine.status = async (...args) => ({ ...(await status(...args)), problems });
    const { status: code, value } = await plugin.client.call("NodeGetStorageHealth");
    expect(code).toBe("OK");
    expect(value.backend_health[0].message).toMatch(/^Volume ads\/0: .*; and 49990 more$/);
  });
});

describe("secrets", () => {
  const secrets = { token: SECRET };
  it.each([
    ["CreateVolume", { name: "pvc-1", volume_capabilities: [CAPABILITY], secrets }],
    ["DeleteVolume", { volume_id: "ads/db", secrets }],
    ["ValidateVolumeCapabilities", { volume_id: "ads/db", volume_capabilities: [CAPABILITY], secrets }],
    ["CreateSnapshot", { source_volume_id: "ads/db", name: "one", secrets }],
    ["DeleteSnapshot", { snapshot_id: "ads/db", secrets }],
    ["ListSnapshots", { secrets }],
    ["GetSnapshot", { snapshot_id: "ads/db", secrets }],
    ["ControllerExpandVolume", { volume_id: "ads/db", capacity_range: { required_bytes: "1" }, secrets }],
    ["NodePublishVolume", { ...publishingAnywhere(), secrets }],
    ["NodeExpandVolume", { volume_id: "ads/db", volume_path: "/x", secrets }],
    ["NodeGetStorageHealth", { secrets }],
    ["ControllerPublishVolume", { volume_id: "ads/db", secrets }],
    ["NodeStageVolume", { volume_id: "ads/db", secrets }],
  ])("of %s are neither logged nor answered, at any level and when it fails", async (call, request) => {
    for (const failure of [
      undefined,
      new Error("a failure of our own"),
      new HoldfastError("invalid", "Cannot do it"),
    ]) {
      engine.failure = failure;
      const answer = await plugin.client.call(call, request);
      expect(JSON.stringify(answer)).not.toContain(SECRET);
    }
    expect(plugin.log.lines.map((line) => `${line.message} ${JSON.stringify(line.fields)}`).join()).not.toContain(
      SECRET,
    );
  });

  it("among the mount flags are neither", async () => {
    const capability = { mount: { mount_flags: ["ro", `password=${SECRET}`] }, access_mode: { mode: 1 } };
    const answer = await plugin.client.call("NodePublishVolume", publishing({ volume_capability: capability }));
    expect(answer).toMatchObject({ status: "INVALID_ARGUMENT" });
    expect(answer.message).toMatch(/mount flag 2 is none of/);
    expect(JSON.stringify([answer, plugin.log.lines])).not.toContain(SECRET);
  });
});

function publishingAnywhere(): object {
  return { volume_id: "ads/db", target_path: "/nowhere/target", volume_capability: CAPABILITY };
}

describe("a call for a volume while another one is under way", () => {
  /** Holds every look for a volume until `go`. */
  function holdEngine(): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    const { findVolume } = engine;
    engine.findVolume = async (...args) => {
      await promise;
      return findVolume(...args);
    };
    return resolve;
  }

  it("is ABORTED, whichever it is, and goes through afterwards", async () => {
    const go = holdEngine();
    const first = plugin.client.call("DeleteVolume", { volume_id: "ads/db" });
    await settled();
    const calls: readonly (readonly [string, object])[] = [
      ["DeleteVolume", { volume_id: "ads/db" }],
      ["CreateVolume", { name: "db", parameters: { role: "ads" }, volume_capabilities: [CAPABILITY] }],
      ["ControllerExpandVolume", { volume_id: "ads/db", capacity_range: { required_bytes: "1" } }],
      ["NodeExpandVolume", { volume_id: "ads/db", volume_path: "/x", capacity_range: { required_bytes: "1" } }],
      ["NodePublishVolume", publishing()],
      ["NodeUnpublishVolume", publishing()],
      ["CreateSnapshot", { source_volume_id: "ads/x", name: "db", parameters: { role: "ads" } }],
      ["DeleteSnapshot", { snapshot_id: "ads/db" }],
    ];
    for (const [call, request] of calls) {
      expect(await plugin.client.call(call, request), call).toMatchObject({ status: "ABORTED", details: 0 });
    }
    go();
    expect(await first).toMatchObject({ status: "OK" });
    expect(await plugin.client.call("DeleteVolume", { volume_id: "ads/db" })).toMatchObject({ status: "OK" });
  });

  it("waits a moment at the node, where not every caller comes again", async () => {
    const go = holdEngine();
    const first = plugin.client.call("DeleteVolume", { volume_id: "ads/db" });
    await settled();
    const unpublishing = plugin.client.call("NodeUnpublishVolume", publishing());
    await settled();
    go();
    expect(await first).toMatchObject({ status: "OK" });
    expect(await unpublishing).toMatchObject({ status: "OK" });
  });

  it("waits for nobody when it is another volume's", async () => {
    const go = holdEngine();
    const first = plugin.client.call("DeleteVolume", { volume_id: "ads/db" });
    expect(await plugin.client.call("DeleteVolume", { volume_id: "nothing" })).toMatchObject({ status: "OK" });
    go();
    await first;
  });

  it("is ABORTED also when the first caller has hung up: its work goes on", async () => {
    const go = holdEngine();
    expect(await plugin.client.hangUp("DeleteVolume", { volume_id: "ads/db" }, 50)).toMatchObject({
      status: "CANCELLED",
    });
    expect(await plugin.client.call("DeleteVolume", { volume_id: "ads/db" })).toMatchObject({ status: "ABORTED" });
    go();
    await expect.poll(() => engine.calls.map(({ method }) => method)).toContain("perform");
    await expect
      .poll(async () => (await plugin.client.call("DeleteVolume", { volume_id: "ads/db" })).status)
      .toBe("OK");
  });

  it("finds it free again after its deadline has passed and the work has failed", async () => {
    const go = holdEngine();
    const late = plugin.client.call("DeleteVolume", { volume_id: "ads/db" }, { deadline: Date.now() + 100 });
    expect(await late).toMatchObject({ status: "DEADLINE_EXCEEDED" });
    engine.failure = new HoldfastError("in_use", "Cannot destroy it: in use");
    go();
    await expect
      .poll(async () => (await plugin.client.call("DeleteVolume", { volume_id: "ads/db" })).status)
      .toBe("FAILED_PRECONDITION");
  });

  async function settled(): Promise<void> {
    // A call that waits for nothing has been answered behind it.
    await plugin.client.call("NodeGetInfo");
  }
});

describe("the door", () => {
  it("refuses a request that is larger than any can be", async () => {
    const parameters = { huge: "x".repeat(300 * 1024) };
    const answer = await plugin.client.call("CreateVolume", {
      name: "a",
      volume_capabilities: [CAPABILITY],
      parameters,
    });
    expect(answer).toMatchObject({ status: "RESOURCE_EXHAUSTED" });
    expect(engine.calls).toEqual([]);
  });

  it("goes on after whoever speaks no HTTP/2, or no gRPC", async () => {
    for (const garbage of [
      "GET / HTTP/1.1\r\n\r\n",
      "\0\0\0\0".repeat(1000),
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff",
    ]) {
      await new Promise<void>((resolve) => {
        const socket = createConnection(plugin.socketPath, () => socket.write(garbage));
        socket.on("error", () => resolve());
        socket.on("close", () => resolve());
        socket.setTimeout(200, () => socket.destroy());
      });
    }
    const session = connect("http://csi", { createConnection: () => createConnection(plugin.socketPath) });
    const stream = session.request({
      ":method": "POST",
      ":path": "/csi.v1.Node/NodeGetInfo",
      "content-type": "application/grpc",
    });
    stream.end(Buffer.from([0, 0, 0, 0, 3, 255, 255, 255]));
    const headers = await new Promise<object>((resolve) => stream.once("response", (fields) => resolve(fields)));
    expect(headers).toBeDefined();
    stream.resume();
    session.close();
    expect(await plugin.client.call("Probe")).toMatchObject({ status: "OK" });
  });

  it.each([
    ["a call that it does not serve", { ":path": "/csi.v1.Node/Nothing", "content-type": "application/grpc" }],
    ["what is no gRPC", { ":path": "/csi.v1.Identity/Probe", "content-type": "text/plain" }],
    ["a call in order", { ":path": "/csi.v1.Identity/Probe", "content-type": "application/grpc" }],
  ])("goes on after whoever takes %s back before it is read", async (_what, headers) => {
    const session = connect("http://csi", { createConnection: () => createConnection(plugin.socketPath) });
    await once(session, "connect");
    const streams = Array.from({ length: 50 }, () => session.request({ ":method": "POST", ...headers }));
    for (const stream of streams) stream.on("error", () => {}).close(constants.NGHTTP2_CANCEL);
    await Promise.all(streams.map((stream) => once(stream, "close")));
    session.close();
    expect(await plugin.client.call("Probe")).toMatchObject({ status: "OK" });
  });

  it("answers UNIMPLEMENTED to what it does not serve", async () => {
    for (const call of [
      "ControllerPublishVolume",
      "ControllerUnpublishVolume",
      "ControllerModifyVolume",
      "NodeStageVolume",
      "NodeUnstageVolume",
    ]) {
      expect(await plugin.client.call(call, { volume_id: "ads/db" }), call).toMatchObject({ status: "UNIMPLEMENTED" });
    }
  });
});

describe("Probe", () => {
  it("says that it is not ready while the engine starts or stops", async () => {
    engine.ready = false;
    expect(await plugin.client.call("Probe")).toMatchObject({ status: "OK", value: { ready: { value: false } } });
  });

  it("fails when nothing can be stored", async () => {
    engine.failure = new HoldfastError("unavailable", "Cannot store: the disk is gone");
    expect(await plugin.client.call("Probe")).toMatchObject({
      status: "FAILED_PRECONDITION",
      message: "Cannot serve volumes: Cannot store: the disk is gone",
    });
  });
});
