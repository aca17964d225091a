/** A client library of Mesos's scheduler API that knows nothing of us: `mesos-framework`, which was written for Mesos itself. */
import { Mesos, Scheduler } from "mesos-framework";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Daemon } from "./daemon.ts";
import type { Json } from "./framework.ts";
import { makePlace, type Place } from "./place.ts";
import { requestJson } from "./request.ts";

const POLL = { timeout: 10_000, interval: 20 };

let place: Place;
let daemon: Daemon;

beforeAll(async () => {
  place = await makePlace("scheduler-client");
  daemon = await Daemon.start({ dir: place.dir, args: ["--resources", "disk(*):1024"] });
});

afterAll(async () => {
  await daemon?.kill9();
  await place?.remove();
});

test("mesos-framework subscribes, is offered the disk, declines, accepts, asks after tasks, and tears itself down", async () => {
  const mesos = Mesos.getMesos();
  inRole(mesos, "ads");
  const scheduler = new Scheduler({
    masterUrl: daemon.http.host,
    port: daemon.http.port,
    frameworkName: "client",
    // It takes that many seconds without a heartbeat for a lost connection.
    masterConnectionTimeout: 60,
    logging: { path: place.dir, fileName: "client.log", level: "error" },
    handlers: { OFFERS: (_offers: Json) => {}, UPDATE: (_update: Json) => {} },
  });
  const seen: Record<string, Json[]> = {};
  const events = ["subscribed", "offers", "rescind", "update", "heartbeat", "error"];
  for (const type of [...events, "sent_accept", "sent_decline", "sent_revive", "sent_reconcile", "sent_teardown"]) {
    seen[type] = [];
    scheduler.on(type, (event: Json) => void seen[type]?.push(event));
  }
  const count = (type: string) => seen[type]?.length;

  await new Promise((resolve) => scheduler.once("ready", resolve));
  scheduler.subscribe();
  await expect.poll(() => count("offers"), POLL).toBe(1);
  expect(seen["subscribed"]?.[0].frameworkId).toBe(scheduler.frameworkId);
  const [offer] = seen["offers"]?.[0].offers ?? [];
  expect(offer).toMatchObject({ framework_id: { value: scheduler.frameworkId }, hostname: expect.any(String) });
  expect(offer.resources).toEqual([{ name: "disk", type: "SCALAR", scalar: { value: 1024 }, role: "*" }]);

  scheduler.decline([offer.id], new mesos.Filters(3600));
  await expect.poll(() => count("sent_decline"), POLL).toBe(1);
  scheduler.revive();
  await expect.poll(() => count("offers"), POLL).toBe(2);

  const resource = (fields: object) =>
    new mesos.Resource({ name: "disk", type: "SCALAR", role: "ads", reservation: {}, ...fields });
  const volume = { mode: "RW", container_path: "data" };
  const operations = [
    { type: "RESERVE", reserve: { resources: [resource({ scalar: { value: 64 } })] } },
    {
      type: "CREATE",
      create: { volumes: [resource({ scalar: { value: 32 }, disk: { persistence: { id: "v" }, volume } })] },
    },
    { type: "LAUNCH", launch: { task_infos: [{ name: "t", task_id: { value: "t-1" }, agent_id: offer.agent_id }] } },
  ].map((operation) => new mesos.Offer.Operation(operation));
  scheduler.accept([seen["offers"]?.[1].offers[0].id], operations, new mesos.Filters(0));
  await expect.poll(() => count("sent_accept"), POLL).toBe(1);
  await expect.poll(() => seen["update"]?.[0]?.status.message, POLL).toMatch(/^Holdfast runs no tasks/);
  await expect.poll(() => count("offers"), POLL).toBe(3);
  expect(seen["offers"]?.[2].offers[0].resources).toEqual([
    { name: "disk", type: "SCALAR", scalar: { value: 960 }, role: "*" },
    { name: "disk", type: "SCALAR", scalar: { value: 32 }, role: "ads", reservation: {} },
    expect.objectContaining({ scalar: { value: 32 }, disk: { persistence: { id: "v" }, volume } }),
  ]);

  scheduler.reconcile("t-1", offer.agent_id.value);
  await expect.poll(() => seen["update"]?.map(({ status }) => status.state), POLL).toEqual(["TASK_ERROR", "TASK_LOST"]);

  const reservations = [{ type: "DYNAMIC", role: "web" }];
  const reserve = { resources: [{ name: "disk", type: "SCALAR", scalar: { value: 60 }, reservations }] };
  const body = { operations: [{ type: "RESERVE", reserve }] };
  await requestJson(daemon.socket, { method: "POST", path: "/v1/operations", body });
  await expect.poll(() => count("rescind"), POLL).toBe(1);
  await expect.poll(() => seen["offers"]?.at(-1).offers[0].resources[0].scalar.value, POLL).toBe(900);

  expect(seen["error"]).toEqual([]);
  scheduler.httpRequest.removeAllListeners();
  scheduler.teardown();
  await expect.poll(() => count("sent_teardown"), POLL).toBe(1);
  // It would subscribe again whenever its connection ends.
  scheduler.subscribe = () => {};
});

/** It leaves its framework's role out, and so could reserve nothing. */
// biome-ignore lint/suspicious/noExplicitAny: as the library has it
function inRole(mesos: any, role: string): void {
  const { FrameworkInfo } = mesos;
  mesos.FrameworkInfo = function inThisRole(...args: readonly unknown[]) {
    return Object.assign(new FrameworkInfo(...args), { role });
  };
}
