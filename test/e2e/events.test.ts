import { spawn } from "node:child_process";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import net from "node:net";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { HOLDFAST, mustHoldfast } from "./command.ts";
import { Daemon } from "./daemon.ts";
import { EventClient, type SeenEvent } from "./event-stream.ts";
import { makePlace, type Place } from "./place.ts";
import { type Door, request, requestJson } from "./request.ts";

const ARGS = ["--resources", "disk(*):4096", "--mount-backend", "symlink", "--spares", "64"];
const basic = (principal: string) => ({
  authorization: `Basic ${Buffer.from(`${principal}:secret`).toString("base64")}`,
});

let place: Place;
let daemon: Daemon | undefined;

beforeEach(async () => {
  place = await makePlace("events");
});
afterEach(async () => {
  await daemon?.kill9();
  daemon = undefined;
  await place.remove();
});

async function start(...args: string[]): Promise<Daemon> {
  daemon = await Daemon.start({ dir: place.dir, args: [...ARGS, ...args] });
  return daemon;
}

function disk(sizeMb: number, role: string, id?: string): object {
  const reserved = {
    name: "disk",
    type: "SCALAR",
    scalar: { value: sizeMb },
    reservations: [{ type: "DYNAMIC", role }],
  };
  if (id === undefined) return reserved;
  return { ...reserved, disk: { persistence: { id }, volume: { mode: "RW", container_path: "data" } } };
}

const reserve = (sizeMb: number, role: string) => ({ type: "RESERVE", reserve: { resources: [disk(sizeMb, role)] } });
const create = (role: string, id: string) => ({ type: "CREATE", create: { volumes: [disk(1, role, id)] } });
const destroy = (role: string, id: string) => ({ type: "DESTROY", destroy: { volumes: [disk(1, role, id)] } });

async function perform(door: Door, operations: readonly object[], headers = {}): Promise<void> {
  await requestJson(door, { method: "POST", path: "/v1/operations", headers, body: { operations } });
}

async function trail(door: Door, query = ""): Promise<readonly SeenEvent[]> {
  const { events } = await requestJson<{ events: SeenEvent[] }>(door, { path: `/v1/events?limit=1000${query}` });
  return events;
}

async function until(done: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const end = performance.now() + 15_000;
  while (!(await done())) {
    if (performance.now() > end) throw new Error(`Not within 15 s: ${what}`);
    await sleep(20);
  }
}

test("the command line shows what was done to a volume and who asked, and labels it", async () => {
  const { socket } = await start();
  const at = ["--socket", socket.socketPath];
  const sandbox = path.join(place.dir, "sandbox");
  await mkdir(sandbox);
  await mustHoldfast("reserve", "ads", "--size", "20M", ...at);
  await mustHoldfast("create", "ads/db", "--size", "10M", "--path", "data", ...at);
  await mustHoldfast("attach", "ads/db", "--sandbox", sandbox, "--container", "web-1", ...at);
  await mustHoldfast("detach", "web-1", ...at);
  await mustHoldfast("grow", "ads/db", "--by", "5M", ...at);
  await mustHoldfast("shrink", "ads/db", "--by", "5M", ...at);
  await mustHoldfast("protect", "ads/db", ...at);
  await mustHoldfast("unprotect", "ads/db", ...at);
  const described = await mustHoldfast("describe", "ads/db", "--description", "clicks", "--label", "team=ads", ...at);
  expect(described).toBe("Described ads/db: clicks, team=ads");
  expect(await mustHoldfast("describe", "ads/db", "--label", "old=1", "--label", "team-", ...at)).toContain("old=1");
  expect(await mustHoldfast("list", "--label", "old=1", ...at)).toContain("ads/db");
  expect(await mustHoldfast("list", "--label", "team", ...at)).toBe("No volumes");
  expect(await mustHoldfast("show", "ads/db", ...at)).toMatch(/^Description +clicks\nLabels +old=1$/m);
  await mustHoldfast("destroy", "ads/db", ...at);
  await mustHoldfast("pin", "ads/db", ...at);
  await mustHoldfast("unpin", "ads/db", ...at);
  await mustHoldfast("restore", "ads/db", ...at);
  await mustHoldfast("destroy", "ads/db", ...at);
  await mustHoldfast("unreserve", "ads", "--size", "20M", ...at);
  const lines = (await mustHoldfast("events", ...at)).split("\n");
  const root = lines[0]?.split("  ").at(-1)?.replace("by ", "") ?? "";
  expect(root).toMatch(/^uid:\d+/);
  const shown = lines.map((line) => line.split("  ").slice(1).join("  ").replaceAll(root, "ROOT"));
  expect(shown).toEqual([
    "reserved  role ads  20 MB  by ROOT",
    "created  ads/db  10 MB  by ROOT",
    "attached  ads/db  container web-1  by ROOT: at data",
    "detached  ads/db  container web-1  by ROOT: at data",
    "grown  ads/db  15 MB  by ROOT: from 10 MB to 15 MB",
    "shrunk  ads/db  10 MB  by ROOT: from 15 MB to 10 MB",
    "protected  ads/db  10 MB  by ROOT",
    "unprotected  ads/db  10 MB  by ROOT",
    "described  ads/db  10 MB  by ROOT: clicks, team=ads",
    "described  ads/db  10 MB  by ROOT: clicks, old=1",
    "destroyed  ads/db  10 MB  by ROOT",
    "pinned  ads/db  10 MB  by ROOT",
    "unpinned  ads/db  10 MB  by ROOT",
    "restored  ads/db  10 MB  by ROOT",
    "destroyed  ads/db  10 MB  by ROOT",
    "unreserved  role ads  20 MB  by ROOT",
  ]);
  expect(await mustHoldfast("events", "--volume", "ads/db", "--type", "created", ...at)).toContain("created  ads/db");
  expect(await mustHoldfast("events", "--principal", "nobody", ...at)).toBe("No events");
  const json = JSON.parse(await mustHoldfast("events", "--json", "--limit", "1", ...at)) as { events: SeenEvent[] };
  expect(json.events).toMatchObject([{ seq: 16, type: "unreserved", role: "ads" }]);
}, 60_000);

test("holdfast events --follow goes on over a restart, and ends well when it is interrupted", async () => {
  const started = await start();
  const { socket } = started;
  await perform(socket, [reserve(10, "ads")]);
  const child = spawn(HOLDFAST, ["events", "--follow", "--socket", socket.socketPath], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  try {
    let [said, complained] = ["", ""];
    child.stdout.on("data", (chunk: Buffer) => (said += chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => (complained += chunk.toString()));
    const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
    await until(() => said.includes("reserved"), "the past is shown");
    await perform(socket, [create("ads", "one")]);
    await until(() => said.includes("created  ads/one"), "what happens is shown");
    await started.kill9();
    await until(() => complained.includes("the daemon is gone"), "it says that the daemon is gone");
    await started.start();
    await perform(socket, [create("ads", "two")]);
    await until(() => said.includes("created  ads/two"), "it goes on");
    await started.stop();
    await started.start();
    await perform(socket, [create("ads", "three")]);
    await until(() => said.includes("created  ads/three"), "it goes on again");
    child.kill("SIGINT");
    expect(await ended).toBe(0);
    expect(
      said
        .trimEnd()
        .split("\n")
        .map((line) => line.split("  ")[1]),
    ).toEqual(["reserved", "created", "created", "created"]);
  } finally {
    child.kill("SIGKILL");
  }
});

describe("a stream", () => {
  test("goes on behind the last event that was seen, on both doors, and ends with the daemon", async () => {
    const started = await start();
    await perform(started.socket, [reserve(10, "ads"), create("ads", "one")]);
    const clients = [
      await EventClient.open(started.socket, "/v1/events/stream?after=1"),
      await EventClient.open(started.http, "/v1/events", { accept: "text/event-stream", "last-event-id": "1" }),
    ];
    await perform(started.socket, [create("ads", "two")]);
    await until(() => clients.every(({ seen }) => seen.length === 2), "both events are told");
    for (const { seen } of clients) expect(seen.map(({ id }) => id)).toEqual(["one", "two"]);
    const stoppedAt = performance.now();
    await started.stop();
    await Promise.all(clients.map(({ ended }) => ended));
    expect(performance.now() - stoppedAt).toBeLessThan(5_000);
  });

  test("that nobody reads holds nobody up", async () => {
    const started = await start();
    await perform(started.socket, [reserve(1_000, "ads")]);
    const sockets = Array.from({ length: 8 }, () => net.connect(started.http.port, started.http.host));
    try {
      for (const socket of sockets) {
        socket.pause();
        socket.write("GET /v1/events/stream?after=0 HTTP/1.1\r\nHost: localhost\r\n\r\n");
      }
      const note = { method: "PUT", path: "/v1/volumes/ads/db/note" };
      await perform(started.socket, [create("ads", "db")]);
      for (let count = 0; count < 1_500; count += 1) {
        await requestJson(started.socket, { ...note, body: { description: `${count} ${"x".repeat(900)}` } });
      }
      const reader = await EventClient.open(started.http, "/v1/events/stream?after=0");
      await until(() => reader.seen.length >= 1_502, "somebody else is told everything");
      reader.close();
      expect((await request(started.http, { path: "/readyz" })).status).toBe(200);
    } finally {
      for (const socket of sockets) socket.destroy();
    }
  });
});

test("who may not view a role is told nothing of it, neither of the past nor of what happens", async () => {
  const [credentials, acls] = [path.join(place.dir, "credentials.json"), path.join(place.dir, "acls.json")];
  const people = ["ops", "guest"].map((principal) => ({ principal, secret: "secret" }));
  await writeFile(credentials, JSON.stringify({ credentials: people }), { mode: 0o600 });
  const viewing = [
    { principals: { values: ["guest"] }, roles: { values: ["guests"] } },
    { principals: { values: ["guest"] }, roles: { type: "NONE" } },
  ];
  await writeFile(acls, JSON.stringify({ permissive: true, view_roles: viewing }));
  const { http, socket } = await start("--credentials", credentials, "--acls", acls);
  expect((await request(http, { path: "/v1/events/stream" })).status).toBe(401);
  const guest = await EventClient.open(http, "/v1/events/stream?after=0", basic("guest"));
  await perform(http, [reserve(5, "ads"), create("ads", "secret")], basic("ops"));
  await perform(http, [reserve(5, "guests"), create("guests", "open")], basic("ops"));
  await until(() => guest.seen.length === 2, "what he may see is told");
  expect(guest.seen.map(({ role, by }) => `${role} ${by}`)).toEqual(["guests ops", "guests ops"]);
  guest.close();
  const past = await requestJson<{ events: SeenEvent[] }>(http, { path: "/v1/events", headers: basic("guest") });
  expect(past.events.map(({ role }) => role)).toEqual(["guests", "guests"]);
  expect((await trail(socket, "&principal=ops")).length).toBe(4);
  const note = { method: "PUT", path: "/v1/volumes/ads/secret/note", body: { labels: { team: "ads" } } };
  const answer = await requestJson<{ labels: object }>(http, { ...note, headers: basic("ops") });
  expect(answer.labels).toEqual({ team: "ads" });
});

test("every acknowledged operation has its event after kill -9 in the middle of many clients", async () => {
  const started = await start();
  const { socket } = started;
  await perform(socket, [reserve(3_000, "ads")]);
  const acknowledged = new Set<string>();
  for (let round = 0; round < 3; round += 1) {
    let over = false;
    const clients = Array.from({ length: 8 }, async (_, client) => {
      for (let count = 0; !over; count += 1) {
        const id = `v-${round}-${client}-${count}`;
        try {
          await perform(socket, [create("ads", id)]);
          acknowledged.add(`created ${id}`);
          if (count % 3 !== 0) continue;
          await perform(socket, [destroy("ads", id)]);
          acknowledged.add(`destroyed ${id}`);
        } catch {
          return;
        }
      }
    });
    await until(() => acknowledged.size >= 40 * (round + 1), "enough is acknowledged");
    await started.kill9();
    over = true;
    await Promise.all(clients);
    await started.start();
  }
  expect(acknowledged.size).toBeGreaterThanOrEqual(120);
  const told = await everything(socket);
  const names = new Set(told.map(({ type, id }) => `${type} ${id}`));
  expect([...acknowledged].filter((name) => !names.has(name))).toEqual([]);
  expect(told.map(({ seq }) => seq)).toEqual(told.map((_, index) => index + 1));
  const files = await readdir(path.join(started.workRoot, "meta/events"));
  const text = await readFile(path.join(started.workRoot, "meta/events", files.sort()[0] ?? ""), "utf8");
  for (const line of text.trimEnd().split("\n")) expect(() => JSON.parse(line) as unknown).not.toThrow();
}, 60_000);

async function everything(door: Door): Promise<readonly SeenEvent[]> {
  const all: SeenEvent[] = [];
  for (;;) {
    const { events } = await requestJson<{ events: SeenEvent[] }>(door, {
      path: `/v1/events?limit=1000&after=${all.at(-1)?.seq ?? 0}`,
    });
    if (events.length === 0) return all;
    all.push(...events);
  }
}
