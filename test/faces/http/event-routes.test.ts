import { connect, type Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { HoldfastError } from "../../../src/domain/error.ts";
import type { NodeEvent } from "../../../src/domain/event.ts";
import { CREATED_AT, EVENT, VOLUME_UUID } from "../../fakes/fake-engine.ts";
import { ask, codeIn, messageIn } from "../ask.ts";
import { openAgentDoor, openOperatorDoor } from "../doors.ts";

type Door = Awaited<ReturnType<typeof openOperatorDoor>>;

let door: Door;
const sockets: Socket[] = [];

beforeEach(async () => {
  door = await openOperatorDoor();
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await door.close();
});

const JSON_EVENT = {
  seq: 17,
  at: CREATED_AT,
  type: "attached",
  by: "ops",
  role: "ads",
  id: "db",
  uuid: VOLUME_UUID,
  sizeMb: 512,
  container: "web-1",
  app: "/web",
  message: "at data",
};

/** A stream as it comes, bytes and all. */
async function openStream(path = "/v1/events/stream", headers = ""): Promise<{ socket: Socket; said(): string }> {
  const socket = connect(door.where.port, "127.0.0.1");
  sockets.push(socket);
  let said = "";
  socket.on("data", (chunk: Buffer) => {
    said += chunk.toString();
  });
  socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n${headers}\r\n`);
  await vi.waitFor(() => expect(said).toContain("\r\n\r\n"));
  return { socket, said: () => said };
}

/** The first call, without listeners. */
function asked(): readonly unknown[] {
  const [call] = door.engine.calls;
  return [call?.method, ...(call?.args.slice(0, 2) ?? [])];
}

/** Lets the kernel take what it takes. */
async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

async function tell(event: NodeEvent): Promise<void> {
  for (const follower of door.engine.followers) await follower(event);
}

describe("GET /v1/events", () => {
  it.each([
    ["?volume=db", 'Cannot parse the volume: it is "db", expected ROLE/ID, for example ads/db'],
    ["?type=exploded", "Cannot parse the query: type is wrong"],
    ["?limit=-1", "Cannot parse the query: limit is wrong, expected a number"],
    ["?after=x", "Cannot parse the query: after is wrong, expected a number"],
    ["?uuid=x", "Cannot parse uuid"],
    ["?since=1", 'Cannot parse the query: it has the unknown field "since"'],
  ])("refuses %s", async (query, message) => {
    const answer = await ask(door.where, `/v1/events${query}`);
    expect(answer.status).toBe(400);
    expect(messageIn(answer)).toContain(message);
  });

  it("hands the whole filter over, and answers with the number of the newest", async () => {
    const query = `volume=eng%2Fweb%2Fdb&uuid=${VOLUME_UUID}&principal=ops&app=/web&type=created&after=3&before=9&limit=5`;
    const answer = await ask(door.where, `/v1/events?${query}`);
    expect(answer.json).toEqual({ events: [JSON_EVENT], last: 17 });
    expect(door.engine.calls).toMatchObject([
      {
        method: "events",
        args: [
          { kind: "anonymous" },
          {
            role: "eng/web",
            id: "db",
            uuid: VOLUME_UUID,
            by: "ops",
            app: "/web",
            type: "created",
            after: 3,
            before: 9,
            limit: 5,
          },
        ],
      },
    ]);
  });

  it("is served by the agent socket too", async () => {
    const agent = await openAgentDoor();
    try {
      expect((await ask(agent.where, "/v1/events")).json).toEqual({ events: [JSON_EVENT], last: 17 });
    } finally {
      await agent.close();
    }
  });
});

describe("the event stream", () => {
  it("refuses a wrong number of the last event", async () => {
    const answer = await ask(door.where, "/v1/events/stream", { headers: { "last-event-id": "x" } });
    expect([answer.status, codeIn(answer)]).toEqual([400, "invalid"]);
  });

  it("refuses more than a door can bear", async () => {
    for (let count = 0; count < 128; count += 1) await openStream();
    const answer = await ask(door.where, "/v1/events/stream");
    expect([answer.status, codeIn(answer)]).toEqual([503, "unavailable"]);
    sockets.shift()?.destroy();
    await vi.waitFor(() => expect(door.engine.followers).toHaveLength(127));
    await openStream();
  });

  it("tells events in the form of server-sent events, and lets go when the client leaves", async () => {
    const { socket, said } = await openStream("/v1/events?after=3", "Accept: text/event-stream\r\n");
    expect(said()).toMatch(/^HTTP\/1.1 200 /);
    expect(said()).toContain("content-type: text/event-stream; charset=utf-8\r\n");
    await tell(EVENT);
    const block = `id: 17\nevent: attached\ndata: ${JSON.stringify(JSON_EVENT)}\n\n`;
    await vi.waitFor(() => expect(said()).toContain(block));
    expect(asked()).toEqual(["follow", { kind: "anonymous" }, { after: 3 }]);
    socket.destroy();
    await vi.waitFor(() => expect(door.engine.followers).toEqual([]));
  });

  it("goes on behind what a browser saw last, whatever its address says", async () => {
    await openStream("/v1/events/stream?after=3", "Last-Event-ID: 12\r\n");
    expect(asked()).toEqual(["follow", { kind: "anonymous" }, { after: 12 }]);
  });

  it("cannot be broken by line ends in an event", async () => {
    const { said } = await openStream();
    await tell({ ...EVENT, message: "one\n\nid: 99\ndata: two\r" });
    await vi.waitFor(() => expect(said()).toContain("id: 17"));
    expect(said()).not.toMatch(/^id: 99/m);
  });

  it("makes who tells wait for a client that does not read, and cuts that client off in the end", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    try {
      const socket = connect(door.where.port, "127.0.0.1");
      sockets.push(socket);
      socket.pause();
      socket.write("GET /v1/events/stream HTTP/1.1\r\nHost: localhost\r\n\r\n");
      while (door.engine.followers.length === 0) await turns(1);
      const long = { ...EVENT, message: "x".repeat(100_000) };
      let waiting = 0;
      const tellOne = async (): Promise<void> => {
        waiting += 1;
        await door.engine.followers[0]?.(long);
        waiting -= 1;
      };
      for (let count = 0; count < 1_000 && waiting === 0; count += 1) {
        void tellOne();
        await turns(200);
      }
      expect(waiting).toBe(1);
      vi.advanceTimersByTime(29_000);
      await turns(10);
      expect(door.engine.followers).toHaveLength(1);
      vi.advanceTimersByTime(1_000);
      while (door.engine.followers.length > 0) await turns(1);
    } finally {
      vi.useRealTimers();
    }
  });

  it.each(["/v1/events/stream", "/v1/events"])("is not begun by a HEAD of %s", async (path) => {
    const headers = { accept: "text/event-stream" };
    const asking = ask(door.where, path, { method: "HEAD", headers });
    const late = new Promise((resolve) => setTimeout(resolve, 1_000));
    const answer = await Promise.race([asking, late]);
    expect(answer).toMatchObject({ status: 200, headers: { "content-type": "text/event-stream; charset=utf-8" } });
    expect(door.engine.followers).toEqual([]);
  });

  it("does not hold its door up for a client that does not read", async () => {
    const socket = connect(door.where.port, "127.0.0.1");
    sockets.push(socket);
    socket.pause();
    socket.write("GET /v1/events/stream HTTP/1.1\r\nHost: localhost\r\n\r\n");
    await vi.waitFor(() => expect(door.engine.followers).toHaveLength(1));
    const long = { ...EVENT, message: "x".repeat(100_000) };
    const telling = (async () => {
      for (let count = 0; count < 200; count += 1) await door.engine.followers[0]?.(long);
    })();
    const startedAt = performance.now();
    await door.close();
    await telling;
    expect(performance.now() - startedAt).toBeLessThan(3_000);
  });

  it("is refused and ended where it may not be had, with the reason, and no other one is", async () => {
    const listeners = new Set<() => void>();
    const accessChanges = (listener: () => void) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    };
    await door.close();
    door = await openOperatorDoor({ accessChanges });
    const [denied, other] = [await openStream("/v1/events/stream?role=ads"), await openStream()];
    door.engine.requireEvents = (_actor, { role }) => {
      if (role !== undefined) throw new HoldfastError("forbidden", "Cannot follow events of role ads");
    };
    for (const listener of listeners) listener();
    await vi.waitFor(() => expect(denied.socket.closed).toBe(true));
    const reason = '{"error":{"code":"forbidden","message":"Cannot follow events of role ads"}}';
    expect(denied.said()).toContain(`event: refused\ndata: ${reason}\n\n`);
    await vi.waitFor(() => expect([door.engine.followers.length, listeners.size]).toEqual([1, 1]));
    await tell(EVENT);
    await vi.waitFor(() => expect(other.said()).toContain("event: attached"));
    expect((await ask(door.where, "/v1/events/stream?role=ads")).status).toBe(403);
  });

  it("ends when its door closes, and does not hold that up", async () => {
    const { socket } = await openStream();
    const ended = new Promise((resolve) => socket.on("end", resolve));
    const startedAt = performance.now();
    await door.close();
    await ended;
    expect(performance.now() - startedAt).toBeLessThan(2_000);
  });
});

describe("PUT /v1/volumes/ROLE/ID/note", () => {
  const put = (body: object) =>
    ask(door.where, "/v1/volumes/ads/db/note", {
      method: "PUT",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });

  it.each([
    [{ description: "" }, "expected some text, or null for none"],
    [{ description: "x".repeat(1_001) }, "1001 characters long"],
    [{ description: "a\u001b[2J" }, "no control characters"],
    [{ labels: [] }, "expected an object"],
    [{ labels: { "a=b": "x" } }, "expected a key"],
    [{ labels: { a: 1 } }, "expected text"],
    [{ labels: { a: "x\ny" } }, "no control characters"],
    [{ labels: Object.fromEntries(Array.from({ length: 65 }, (_, index) => [`k${index}`, ""])) }, "65 labels"],
    [{ note: "x" }, "unknown field"],
  ])("refuses %j", async (body, message) => {
    const answer = await put(body);
    expect(answer.status).toBe(400);
    expect(messageIn(answer)).toContain(message);
    expect(door.engine.calls).toEqual([]);
  });

  it("hands over what changes, labels in order, and answers with the volume", async () => {
    const answer = await put({ description: "one\ntwo", labels: { team: "ads", app: "web" } });
    expect(answer.status).toBe(200);
    await put({ description: null, labels: null });
    const volume = { role: "ads", id: "db" };
    const labels = [
      { key: "app", value: "web" },
      { key: "team", value: "ads" },
    ];
    expect(door.engine.calls.map(({ args }) => args[1])).toEqual([
      { ...volume, description: "one\ntwo", labels },
      { ...volume, description: null, labels: null },
    ]);
  });
});
