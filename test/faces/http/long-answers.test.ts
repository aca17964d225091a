import { connect, type Socket } from "node:net";
import type { FastifyInstance } from "fastify";
import { afterEach, expect, test, vi } from "vitest";
import type { Principal } from "../../../src/domain/units.ts";
import { addScheduler } from "../../../src/faces/scheduler/routes.ts";
import { Scheduler } from "../../../src/faces/scheduler/scheduler.ts";
import { openSystemClock } from "../../../src/host/system-clock.ts";
import type { Authenticator } from "../../../src/ports/authenticator.ts";
import { disk } from "../../domain/world.ts";
import { ask, codeIn } from "../ask.ts";
import { openOperatorDoor, opsOnly } from "../doors.ts";
import { NodeDouble } from "../scheduler/node.ts";

const ignore = () => {};
const clock = openSystemClock();
const log = { debug: ignore, info: ignore, warn: ignore, error: ignore };
const sockets: Socket[] = [];

afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
});

/** Whoever says who they are is let in. */
const trusting: Authenticator = {
  ...opsOnly,
  authenticate: async (name) => (name === undefined ? undefined : { kind: "principal", principal: name as Principal }),
  secretMark: () => "secret",
};

/** Begins a request, and reads what comes. */
function begin(port: number, text: string): { readonly socket: Socket; said(): string } {
  const socket = connect(port, "127.0.0.1", () => socket.write(text));
  sockets.push(socket);
  let said = "";
  socket.on("error", ignore);
  socket.on("data", (chunk: Buffer) => {
    said += chunk.toString();
  });
  return { socket, said: () => said };
}

function listening(who: string): string {
  return `GET /v1/events/stream HTTP/1.1\r\nHost: localhost\r\nAuthorization: ${who}\r\n\r\n`;
}

function subscribing(who: string): string {
  const body = JSON.stringify({ type: "SUBSCRIBE", subscribe: { framework_info: { user: "root", name: who } } });
  const head = `Host: localhost\r\nAuthorization: ${who}\r\nContent-Type: application/json`;
  return `POST /api/v1/scheduler HTTP/1.1\r\n${head}\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
}

function shareScheduler(app: FastifyInstance): void {
  const engine = new NodeDouble(disk(1000));
  addScheduler(app, new Scheduler({ engine, clock, log, hostname: "node-1", idKey: Buffer.alloc(32) }), clock);
}

test("As many frameworks and event streams as there may be leave room for everybody else", async () => {
  const door = await openOperatorDoor({ share: shareScheduler, authenticator: () => trusting });
  try {
    const frameworks = Array.from({ length: 200 }, (_, index) => subscribing(`framework-${index % 20}`));
    const streams = Array.from({ length: 128 }, () => listening("ops"));
    const begun = [...frameworks, ...streams].map((text) => begin(door.where.port, text));
    await vi.waitFor(() => expect(begun.filter(({ said }) => said().startsWith("HTTP/1.1 200 "))).toHaveLength(328));
    const answers = await Promise.all(Array.from({ length: 32 }, () => ask(door.where, "/healthz")));
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
  } finally {
    for (const socket of sockets.splice(0)) socket.destroy();
    await door.close();
  }
});

test("Streams of all kinds together never have all connections, and one that ends makes room", async () => {
  const door = await openOperatorDoor({
    share: shareScheduler,
    authenticator: () => trusting,
    connectionsMax: 36,
  });
  try {
    const begun = [subscribing("one"), subscribing("two"), listening("one"), listening("two")].map((text) =>
      begin(door.where.port, text),
    );
    await vi.waitFor(() => expect(begun.filter(({ said }) => said().startsWith("HTTP/1.1 200 "))).toHaveLength(4));
    const headers = { authorization: "three" };
    const refused = await ask(door.where, "/v1/events/stream", { headers });
    expect([refused.status, codeIn(refused)]).toEqual([503, "unavailable"]);
    const framework = begin(door.where.port, subscribing("three"));
    await vi.waitFor(() => expect(framework.said()).toMatch(/^HTTP\/1\.1 503 /));
    expect((await ask(door.where, "/v1/volumes", { headers })).status).toBe(200);
    begun[0]?.socket.destroy();
    await vi.waitFor(async () => {
      const next = begin(door.where.port, listening("three"));
      await vi.waitFor(() => expect(next.said()).toMatch(/^HTTP\/1\.1 200 /));
    });
  } finally {
    for (const socket of sockets.splice(0)) socket.destroy();
    await door.close();
  }
});

test.each([
  ["an event stream", listening("ops")],
  ["a framework", subscribing("ops")],
])("Who is gone before %s begins has none", async (_what, text) => {
  const { promise: known, resolve: know } = Promise.withResolvers<void>();
  const slow = {
    ...trusting,
    authenticate: (name: string | undefined) => known.then(() => trusting.authenticate(name)),
  };
  const node = new NodeDouble(disk(1000));
  const scheduler = new Scheduler({ engine: node, clock, log, hostname: "node-1", idKey: Buffer.alloc(32) });
  const subscribed = vi.spyOn(scheduler, "subscribe");
  const authenticate = vi.spyOn(slow, "authenticate");
  const door = await openOperatorDoor({
    share: (app) => addScheduler(app, scheduler, clock),
    authenticator: () => slow,
  });
  try {
    const { socket } = begin(door.where.port, text);
    await vi.waitFor(() => expect(authenticate).toHaveBeenCalledOnce());
    socket.destroy();
    // The door sees that it has gone.
    await ask(door.where, "/healthz");
    know();
    await ask(door.where, "/v1/status", { headers: { authorization: "ops" } });
    expect(door.engine.followers).toEqual([]);
    expect(subscribed).not.toHaveBeenCalled();
  } finally {
    await door.close();
  }
});
