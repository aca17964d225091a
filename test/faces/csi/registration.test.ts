/** Kubelet's side of registration, by a client of its own against the face on a real socket. */
import { existsSync, linkSync, mkdtempSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Client, credentials, type ServiceError } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { loadDefinitions } from "../../../src/faces/csi/grpc.ts";
import descriptors from "../../../src/faces/csi/registration.json" with { type: "json" };
import { type Registration, startRegistration } from "../../../src/faces/csi/registration.ts";
import { peerOf } from "../../../src/host/peer.ts";

const NAME = "csi.holdfast.dev";
const ENDPOINT = "/var/lib/kubelet/plugins/csi.holdfast.dev/csi.sock";

let directory: string;
let socket: string;
let registration: Registration | undefined;
let logged: string[];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "holdfast-registry-"));
  socket = join(directory, `${NAME}-reg.sock`);
  logged = [];
});

afterEach(async () => {
  await registration?.close();
  registration = undefined;
  rmSync(directory, { recursive: true });
});

async function start(patience?: { readonly ms: number; readonly msMax: number }): Promise<Registration> {
  const say = (level: string) => (_fields: object, message: string) => void logged.push(`${level}: ${message}`);
  const log = { debug: () => {}, info: say("info"), warn: say("warn"), error: say("error") };
  const more = patience === undefined ? {} : { patience };
  registration = await startRegistration({ directory, endpoint: ENDPOINT, log, peer: peerOf, ...more });
  return registration;
}

/** One call as kubelet makes it. */
function call(name: "GetInfo" | "NotifyRegistrationStatus", request: object, path = socket): Promise<unknown> {
  const calls = loadDefinitions(descriptors)["pluginregistration.Registration"] as unknown as Record<
    string,
    { path: string; requestSerialize: (value: object) => Buffer; responseDeserialize: (bytes: Buffer) => object }
  >;
  const { path: rpc, requestSerialize, responseDeserialize } = calls[name] ?? expect.fail(name);
  const client = new Client(`unix:${path}`, credentials.createInsecure(), { "grpc.use_local_subchannel_pool": 1 });
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  const done = (error: ServiceError | null, value?: object) => (error === null ? resolve(value) : reject(error));
  client.makeUnaryRequest(rpc, requestSerialize, responseDeserialize, request, { deadline: Date.now() + 10_000 }, done);
  return promise.finally(() => client.close());
}

describe("refused", () => {
  test("a place where somebody answers: another driver of this name, or its registrar", async () => {
    const other = createServer().listen(socket);
    await expect(start()).rejects.toMatchObject({ code: "conflict" });
    await new Promise((resolve) => other.close(resolve));
  });

  test("a place where something else lies, which stays", async () => {
    writeFileSync(socket, "mine");
    await expect(start()).rejects.toMatchObject({ code: "conflict" });
    expect(statSync(socket).isFile()).toBe(true);
  });
});

test("tells kubelet type, name, endpoint and versions", async () => {
  await start();
  expect(await call("GetInfo", {})).toEqual({
    type: "CSIPlugin",
    name: NAME,
    endpoint: ENDPOINT,
    supported_versions: ["1.0.0"],
  });
});

test("knows who asks, however the bytes come apart on their way", async () => {
  await start();
  const cutter = createServer((client) => {
    const server = connect(socket);
    server.pipe(client);
    client.on("error", () => server.destroy());
    server.on("error", () => client.destroy());
    let sent = Promise.resolve();
    client.on("data", (bytes: Buffer) => {
      sent = sent.then(async () => {
        for (const [index, byte] of bytes.entries()) {
          server.write(Buffer.from([byte]));
          if (index % 7 === 0) await sleep(1);
        }
      });
    });
  });
  const path = join(directory, "cut");
  await new Promise<void>((resolve) => cutter.listen(path, resolve));
  const calls = Array.from({ length: 10 }, () => call("GetInfo", {}, path));
  expect((await Promise.all(calls)).length).toBe(10);
  await new Promise((resolve) => cutter.close(resolve));
});

test("a refusal is logged and among the problems until kubelet takes the driver", async () => {
  const { remarks } = await start();
  expect(remarks()).toEqual({ problems: [], notices: [expect.stringContaining("not registered")] });
  await call("NotifyRegistrationStatus", { plugin_registered: false, error: "no node\ninfo" });
  expect(remarks()).toEqual({ problems: [expect.stringContaining("no node info")], notices: [] });
  expect(logged).toEqual([expect.stringMatching(/^error: Kubelet refused/)]);
  await call("NotifyRegistrationStatus", { plugin_registered: true, error: "" });
  expect(remarks()).toEqual({ problems: [], notices: [] });
});

test("a refused driver comes back with a new socket, which is what kubelet looks at again", async () => {
  await start({ ms: 20, msMax: 50 });
  const madeAt = () => statSync(socket, { throwIfNoEntry: false })?.ctimeMs;
  const first = madeAt();
  await call("NotifyRegistrationStatus", { plugin_registered: false, error: "not now" });
  while (madeAt() === undefined || madeAt() === first) await sleep(5);
  await call("NotifyRegistrationStatus", { plugin_registered: true, error: "" });
  expect(registration?.remarks().problems).toEqual([]);
  const second = madeAt();
  await sleep(100);
  expect(madeAt()).toBe(second);
});

test("a refusal without a reason says so", async () => {
  const { remarks } = await start();
  await call("NotifyRegistrationStatus", { plugin_registered: false, error: "" });
  expect(remarks().problems[0]).toContain("no reason");
});

test("only root's kubelet can open the socket, a stale one is replaced, and it goes at the end", async () => {
  const killed = createServer().listen(socket);
  await new Promise((resolve) => killed.once("listening", resolve));
  const { ino } = statSync(socket);
  // As kill -9 leaves it: the file without a listener.
  const kept = join(directory, "kept");
  linkSync(socket, kept);
  await new Promise((resolve) => killed.close(resolve));
  renameSync(kept, socket);
  const { close } = await start();
  expect(statSync(socket).ino).not.toBe(ino);
  expect(statSync(socket).mode & 0o777).toBe(0o600);
  await close();
  registration = undefined;
  expect(existsSync(socket)).toBe(false);
});
