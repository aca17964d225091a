/** Frameworks on the real daemon: what Mesos's document asks of them, and what goes wrong between them and the node. */
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { create, destroy, reserve, unreserve } from "../faces/scheduler/scene.ts";
import { Daemon } from "./daemon.ts";
import { Framework, type Json, sizesIn } from "./framework.ts";
import { makePlace, type Place } from "./place.ts";
import { request, requestJson } from "./request.ts";

const POLL = { timeout: 10_000, interval: 20 };
const NOT_LONG = { refuse_seconds: 0 };

let place: Place;
let daemon: Daemon;

async function put(name: string, content: object): Promise<string> {
  const file = path.join(place.dir, name);
  await writeFile(file, JSON.stringify(content), { mode: 0o600 });
  return file;
}

beforeAll(async () => {
  place = await makePlace("scheduler");
  const secrets = { fw: "x", ops: "y" };
  const credentials = Object.entries(secrets).map(([principal, secret]) => ({ principal, secret }));
  const principals = { values: ["fw"] };
  const args = [
    ...["--credentials", await put("credentials.json", { credentials })],
    ...["--acls", await put("acls.json", { register_frameworks: [{ principals, roles: { type: "ANY" } }, NOBODY] })],
    ...["--resources", "disk(*):4096"],
  ];
  daemon = await Daemon.start({ dir: place.dir, args });
});

afterAll(async () => {
  await daemon?.kill9();
  await place?.remove();
});

const NOBODY = { principals: { type: "ANY" }, roles: { type: "NONE" } };

function subscribe(options: Partial<Parameters<typeof Framework.subscribe>[0]> = {}): Promise<Framework> {
  return Framework.subscribe({ door: daemon.http, login: "fw:x", ...options });
}

/** What the role has: its reservation in MB, and its volumes. */
async function holdings(role = "ads"): Promise<{ reservedMb: number; volumes: readonly string[] }> {
  const headers = { authorization: `Basic ${Buffer.from("ops:y").toString("base64")}` };
  const state = await requestJson<Json>(daemon.http, { path: "/state", headers });
  const resources: readonly Json[] = state.reserved_resources_full[role] ?? [];
  return {
    reservedMb: resources.reduce((sum, { scalar }) => sum + scalar.value, 0),
    volumes: resources.flatMap(({ disk }) => disk?.persistence?.id ?? []),
  };
}

/** The operator does something over the socket. */
function operate(...operations: readonly object[]): Promise<unknown> {
  return requestJson(daemon.socket, { method: "POST", path: "/v1/operations", body: { operations } });
}

/** Accepts an offer; the rest of it is not refused. */
function accept(framework: Framework, offer: Json, ...operations: readonly object[]) {
  return framework.call("ACCEPT", { offer_ids: [offer.id], operations, filters: NOT_LONG });
}

test("a framework reserves and creates in one call, retries, finds more than it expected, and gives all back", async () => {
  const framework = await subscribe();
  const first = await framework.offer();
  expect(sizesIn(first)).toEqual({ "": 4096 });

  expect((await accept(framework, first, reserve(100, "r1"), create("v1", 60, "c1"))).status).toBe(202);
  for (const id of ["r1", "c1"]) await framework.acknowledge(await framework.status(id));
  const second = await framework.offer((offer) => offer !== first, 1);
  expect(sizesIn(second)).toEqual({ "": 3996, ads: 40, "ads/v1": 60 });

  // Its answer was late, it thinks; and it does not know that somebody reserved for its role beside it.
  await accept(framework, second, reserve(100, "r1"), create("v1", 60, "c1"));
  await framework.until(() => framework.of("UPDATE_OPERATION_STATUS").length >= 4);
  await operate({ type: "RESERVE", reserve: { resources: reserveResources(50) } });
  expect(await holdings()).toEqual({ reservedMb: 150, volumes: ["v1"] });

  const offers = await standingOffers(framework, [first, second], { "": 3946, ads: 90, "ads/v1": 60 });
  const operations = [destroy("v1", 60, "d1"), unreserve(150, "u1")];
  await framework.call("ACCEPT", { offer_ids: offers.map(({ id }) => id), operations, filters: NOT_LONG });
  await framework.status("u1");
  expect(await holdings()).toEqual({ reservedMb: 0, volumes: [] });
  await framework.offer((offer) => sizesIn(offer)[""] === 4096, 2);
  await framework.call("TEARDOWN");
  await framework.ended;
});

function reserveResources(sizeMb: number): readonly object[] {
  const reservations = [{ type: "DYNAMIC", role: "ads", principal: "fw" }];
  return [{ name: "disk", type: "SCALAR", scalar: { value: sizeMb }, reservations }];
}

/** The offers that are out, when they have this much together. */
async function standingOffers(
  framework: Framework,
  answered: readonly Json[],
  wanted: Record<string, number>,
): Promise<readonly Json[]> {
  const standing = () => {
    const rescinded = framework.of("RESCIND").map(({ offer_id }) => offer_id.value);
    return framework.offers().filter((offer) => !answered.includes(offer) && !rescinded.includes(offer.id.value));
  };
  const missing = () => {
    const sizes = new Map(Object.entries(wanted));
    for (const [key, size] of standing().flatMap((offer) => Object.entries(sizesIn(offer)))) {
      sizes.set(key, (sizes.get(key) ?? 0) - size);
    }
    return [...sizes.values()].filter((size) => size !== 0);
  };
  await framework.until(() => missing().length === 0);
  return standing();
}

describe("access", () => {
  test("who may not register as a framework is told so on the stream, which ends", async () => {
    const framework = await subscribe({ login: "ops:y" });
    expect(framework.of("ERROR")[0].message).toMatch(/^Cannot subscribe in role ads: .*register_frameworks to ops$/);
    await framework.ended;
  });

  test("reservations in another's name are refused", async () => {
    const framework = await subscribe();
    const resources = [
      { ...(reserveResources(1)[0] as object), reservations: [{ type: "DYNAMIC", role: "ads", principal: "ops" }] },
    ];
    await accept(framework, await framework.offer(), {
      type: "RESERVE",
      id: { value: "other" },
      reserve: { resources },
    });
    expect((await framework.status("other", "OPERATION_ERROR")).message).toMatch(/expected the authenticated fw/);
    await framework.call("TEARDOWN");
  });
});

test("an offer is rescinded when the operator takes the disk, and accepting it comes to nothing", async () => {
  const framework = await subscribe();
  const offer = await framework.offer();
  const web = [{ type: "DYNAMIC", role: "web" }];
  const resources = [{ name: "disk", type: "SCALAR", scalar: { value: 96 }, reservations: web }];
  await operate({ type: "RESERVE", reserve: { resources } });
  await framework.until(() => framework.of("RESCIND").some(({ offer_id }) => offer_id.value === offer.id.value));
  await accept(framework, offer, reserve(1, "late"));
  expect((await framework.status("late", "OPERATION_ERROR")).message).toMatch(/is no longer valid$/);
  expect(sizesIn(await framework.offer((one) => one !== offer))).toEqual({ "": 4000 });
  await operate({ type: "UNRESERVE", unreserve: { resources } });
  await framework.call("TEARDOWN");
});

test("two frameworks in one role are a notice in the status, and compete for the disk", async () => {
  const one = await subscribe({ info: { name: "marathon-a" } });
  const other = await subscribe({ info: { name: "marathon-b", failover_timeout: 0 } });
  const notices = async () => (await requestJson<Json>(daemon.socket, { path: "/v1/status" })).notices.join();
  expect(await notices()).toMatch(/2 frameworks share role ads \("marathon-a" .*, "marathon-b" .*\)/);
  await accept(one, await one.offer(), reserve(4096, "all"));
  await one.status("all");
  for (const framework of [one, other]) await framework.offer((offer) => sizesIn(offer)["ads"] === 4096);
  await accept(other, other.offers().at(-1), unreserve(4096, "none"));
  await other.status("none");
  await one.until(() => one.of("RESCIND").length > 0);
  other.cut();
  await expect.poll(notices, POLL).not.toMatch(/share role/);
  await one.call("TEARDOWN");
});

describe("failover", () => {
  test("a second scheduler of the same id takes over, with the statuses that were not acknowledged", async () => {
    const old = await subscribe();
    await accept(old, await old.offer(), reserve(10, "kept"));
    const status = await old.status("kept");
    const next = await subscribe({ id: old.id });
    await old.ended;
    expect(old.of("ERROR")).toEqual([{ message: "Framework failed over" }]);
    expect(next.id).toBe(old.id);
    expect(await next.status("kept")).toEqual(status);
    expect((await old.call("REVIVE")).status).toBe(400);
    await accept(next, await next.offer((offer) => sizesIn(offer)["ads"] === 10), unreserve(10, "given back"));
    await next.status("given back");
    await next.call("TEARDOWN");
  });

  test("one that does not come back within its failover timeout is gone, and its reservations stay", async () => {
    const framework = await subscribe({ info: { failover_timeout: 0.3 } });
    await accept(framework, await framework.offer(), reserve(10, "stays"));
    await framework.status("stays");
    framework.cut();
    await expect.poll(async () => (await framework.call("REVIVE")).status, POLL).toBe(403);
    await expect.poll(async () => (await framework.call("REVIVE")).status, POLL).toBe(400);
    expect((await subscribe({ id: framework.id })).of("ERROR")).toEqual([{ message: "Framework has been removed" }]);
    expect(await holdings()).toEqual({ reservedMb: 10, volumes: [] });
    await operate({ type: "UNRESERVE", unreserve: { resources: reserveResources(10) } });
  });

  test("after a crash of the daemon it is known by its id, and so is what it did", async () => {
    const framework = await subscribe();
    await accept(framework, await framework.offer(), reserve(10, "before"));
    await framework.status("before");
    await daemon.kill9();
    await framework.ended;
    await daemon.start();
    const again = await subscribe({ id: framework.id });
    await again.call("RECONCILE_OPERATIONS", {
      operations: [{ operation_id: { value: "before" } }, { operation_id: { value: "never" } }],
    });
    expect(await again.status("before")).not.toHaveProperty("uuid");
    await again.status("never", "OPERATION_UNKNOWN");
    await accept(again, await again.offer(), reserve(10, "before"), unreserve(10, "after"));
    await again.status("after");
    expect(await holdings()).toEqual({ reservedMb: 0, volumes: [] });
    await again.call("TEARDOWN");
  });
});

/** What becomes of one HTTP call, and of the stream behind it. */
const FAULTS = ["never sent", "half sent", "not answered", "answered, stream cut", "daemon killed"] as const;
type Fault = (typeof FAULTS)[number];

/**
 * A framework that wants one reservation of 100 MB with a volume on it, and then nothing, and does not give up: each of its
 * operations has one id, whatever happens. One of its calls goes wrong.
 */
class Persistent {
  readonly #prefix: string;
  readonly #fault: Fault;
  #callsBeforeFault: number;
  #framework: Framework | undefined;
  #id: string | undefined;
  /** How many offers of this connection were answered. */
  #seen = 0;
  hitFault = false;

  constructor(prefix: string, callsBeforeFault: number, fault: Fault) {
    this.#prefix = prefix;
    this.#callsBeforeFault = callsBeforeFault;
    this.#fault = fault;
  }

  /** Accepts offers with these operations until one shows what it wants. */
  async reach(operations: readonly object[], isReached: (sizes: Record<string, number>) => boolean): Promise<void> {
    for (let attempt = 0; attempt < 20; attempt += 1) {
      try {
        const framework = await this.#connected();
        const offer = await framework.offer(() => true, this.#seen);
        if (isReached(sizesIn(offer))) return;
        this.#seen = framework.offers().indexOf(offer) + 1;
        await this.#call("ACCEPT", { offer_ids: [offer.id], operations, filters: NOT_LONG });
        for (const status of framework.of("UPDATE_OPERATION_STATUS").map((event) => event.status)) {
          const { operation_id, uuid } = status;
          if (uuid !== undefined) await this.#call("ACKNOWLEDGE_OPERATION_STATUS", { operation_id, uuid: uuid.value });
        }
      } catch (error) {
        if (!(error instanceof Broken)) throw error;
        this.#framework?.cut();
        this.#framework = undefined;
      }
    }
    throw new Error("It was never reached");
  }

  async leave(): Promise<void> {
    await (await this.#connected()).call("TEARDOWN");
  }

  name(operation: string): string {
    return `${this.#prefix}-${operation}`;
  }

  async #connected(): Promise<Framework> {
    if (this.#framework !== undefined) return this.#framework;
    this.#seen = 0;
    const options = this.#id === undefined ? {} : { id: this.#id };
    this.#framework = await subscribe(options);
    this.#id = this.#framework.id;
    return this.#framework;
  }

  async #call(type: string, message: object): Promise<void> {
    const framework = await this.#connected();
    const isNow = this.#callsBeforeFault === 0;
    this.#callsBeforeFault -= 1;
    if (!isNow) return void (await framework.call(type, message));
    this.hitFault = true;
    await goWrong(framework, type, message, this.#fault);
    throw new Broken();
  }
}

class Broken extends Error {}

async function goWrong(framework: Framework, type: string, message: object, fault: Fault): Promise<void> {
  switch (fault) {
    case "never sent":
      return;
    case "half sent":
      return framework.breakOff(type, message, 0.5);
    case "not answered":
      return framework.breakOff(type, message, 1);
    case "answered, stream cut":
      await framework.call(type, message);
      framework.cut();
      return;
    case "daemon killed": {
      const answer = framework.call(type, message).catch(() => undefined);
      await daemon.kill9();
      await answer;
      await daemon.start();
    }
  }
}

describe.each(FAULTS)("a call that is %s", (fault) => {
  test("neither loses nor doubles anything, whichever call it is", async () => {
    let wasHit = true;
    for (let call = 0; wasHit; call += 1) {
      const robot = new Persistent(`${fault}-${call}`.replaceAll(/\W/g, "-"), call, fault);
      await robot.reach([reserve(100, robot.name("r")), create("v", 60, robot.name("c"))], (sizes) => "ads/v" in sizes);
      expect(await holdings()).toEqual({ reservedMb: 100, volumes: ["v"] });
      const back = [destroy("v", 60, robot.name("d")), unreserve(100, robot.name("u"))];
      await robot.reach(back, (sizes) => sizes[""] === 4096);
      expect(await holdings()).toEqual({ reservedMb: 0, volumes: [] });
      await robot.leave();
      wasHit = robot.hitFault;
    }
  }, 120_000);
});

test("nobody waits for a framework that stops reading", async () => {
  const volumes = Array.from({ length: 1_500 }, (_, index) => `many-${index}`);
  const all = volumes.map((id) => (create(id, 1) as Json).create.volumes[0]);
  await operate({ type: "RESERVE", reserve: { resources: reserveResources(1_500) } });
  for (let start = 0; start < all.length; start += 500) {
    await operate({ type: "CREATE", create: { volumes: all.slice(start, start + 500) } });
  }
  const stalled = await subscribe();
  await stalled.offer();
  stalled.stall();
  const reading = await subscribe({ info: { name: "reads" } });
  const web = [{ type: "DYNAMIC", role: "web" }];
  const resources = [{ name: "disk", type: "SCALAR", scalar: { value: 1 }, reservations: web }];
  for (let change = 0; change < 20; change += 1) {
    const before = reading.offers().length;
    await operate({ type: "RESERVE", reserve: { resources } });
    await reading.offer(() => true, before);
  }
  expect((await request(daemon.http, { path: "/readyz" })).status).toBe(200);
  stalled.cut();
  await reading.call("TEARDOWN");
}, 60_000);

test("the daemon's stop ends the streams at once", async () => {
  const framework = await subscribe();
  const startedAt = performance.now();
  await Promise.all([daemon.stop(), framework.ended]);
  expect(performance.now() - startedAt).toBeLessThan(5_000);
});
