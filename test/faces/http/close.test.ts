import { type AddressInfo, connect, type Socket } from "node:net";
import type { FastifyInstance } from "fastify";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { closeApp, createApp } from "../../../src/faces/http/server.ts";
import { makeFakeEngine } from "../../fakes/fake-engine.ts";
import { ask } from "../ask.ts";

const log = { debug() {}, info() {}, warn() {}, error() {} };

let app: FastifyInstance;
let port: number;
let started: Promise<void>;
let answer: () => void;
beforeEach(async () => {
  const start = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<string>();
  app = createApp({ engine: makeFakeEngine(), log, admit: () => ({ kind: "anonymous" }) });
  app.get("/slow", () => {
    start.resolve();
    return gate.promise;
  });
  await app.listen({ host: "127.0.0.1", port: 0 });
  port = (app.server.address() as AddressInfo).port;
  started = start.promise;
  answer = () => gate.resolve("done");
});
afterEach(() => app.close());

describe("closeApp", () => {
  it("lets an answer finish and does not wait for its connection to end by itself", async () => {
    const asked = ask({ port }, "/slow");
    await started;
    const closed = closeApp(app);
    answer();
    expect((await asked).text).toBe("done");
    await closed;
  });

  it("cuts off a client that never sends the rest", async () => {
    const socket = await dial();
    const cutOff = new Promise((resolve) => socket.on("close", resolve));
    await new Promise<void>((resolve) => socket.write("GET /slow HTTP/1.1\r\nHost: lo", () => resolve()));
    await ask({ port }, "/healthz");
    await closeApp(app, 50);
    await cutOff;
  });
});

function dial(): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => resolve(socket));
    socket.on("error", reject);
  });
}
