import { afterEach, beforeEach, expect, test } from "vitest";
import { answered, type FakeDaemon, refused, run, startFakeDaemon } from "./fake-daemon.ts";
import { VOLUME } from "./samples.ts";

let daemon: FakeDaemon;
beforeEach(async () => {
  daemon = await startFakeDaemon();
});
afterEach(() => daemon.stop());

const holdfast = (...args: readonly string[]) => run(daemon.socket, ...args);

const AT = "2026-01-02T03:04:05.678Z";
const DESCRIBE = "PUT /v1/volumes/ads/db/note";

test.each([
  [["events", "--volume", "db"], "Expected ROLE/ID"],
  [["events", "--type", "exploded"], "Allowed choices are reserved"],
  [["events", "--limit", "1001"], "Expected a number up to 1000"],
  [["describe", "ads/db", "--label", "team"], "Expected KEY=VALUE, or KEY- to take a label away"],
  [["describe", "ads/db", "--label", "=x"], "Expected KEY=VALUE"],
])("%j is wrong usage", async (args, reason) => {
  const outcome = await holdfast(...args);
  expect(outcome).toMatchObject({ status: 2, stdout: "" });
  expect(outcome.stderr).toContain(reason);
  expect(daemon.seen).toEqual([]);
});

test("events --follow tells the daemon's refusal", async () => {
  daemon.replies["GET /v1/events?limit=10"] = answered({ events: [], last: 3 });
  daemon.replies["GET /v1/events/stream"] = refused(400, "invalid", "Cannot follow: no");
  expect(await holdfast("events", "--follow")).toEqual({
    status: 1,
    stdout: "",
    stderr: "holdfast: Cannot follow: no",
  });
});

test("events --follow says why the daemon ended the stream, and does not come back", async () => {
  const event = { seq: 4, at: AT, type: "reserved", by: "ops", role: "ads", sizeMb: 20 };
  const refusal = { error: { code: "unauthenticated", message: "Cannot go on: the credentials were taken away" } };
  const stream = `data: ${JSON.stringify(event)}\n\nevent: refused\ndata: ${JSON.stringify(refusal)}\n\n`;
  daemon.replies["GET /v1/events?limit=10"] = answered({ events: [], last: 3 });
  daemon.replies["GET /v1/events/stream"] = answered(stream);
  const { status, stdout, stderr } = await holdfast("events", "--follow");
  expect([status, stderr]).toEqual([1, "holdfast: Cannot go on: the credentials were taken away"]);
  expect(stdout).toMatch(/reserved .*ads .*20 MB/);
});

test("events asks for what is wanted, and says it in a line that cannot hurt a terminal", async () => {
  const events = [
    { seq: 1, at: AT, type: "reserved", by: "ops", role: "ads", sizeMb: 20 },
    { seq: 2, at: AT, type: "disk-lost", by: "holdfast", message: "Disk /srv/a is \u001b[2Jgone" },
    { seq: 3, at: AT, type: "app-scaled", by: "ops", role: "ads", app: "/web", message: "from 1 to 3 instances" },
  ];
  daemon.replies["GET /v1/events?volume=ads%2Fdb&principal=ops&type=created&limit=100"] = answered({ events, last: 3 });
  const { stdout } = await holdfast("events", "--volume", "ads/db", "--principal", "ops", "--type", "created");
  expect(stdout.split("\n")).toEqual([
    `${AT}  reserved  role ads  20 MB  by ops`,
    `${AT}  disk-lost  by holdfast: Disk /srv/a is \\u{1b}[2Jgone`,
    `${AT}  app-scaled  /web  by ops: from 1 to 3 instances`,
  ]);
});

test("describe changes the labels that are named, and leaves the others", async () => {
  daemon.replies["GET /v1/volumes/ads/db"] = answered({ ...VOLUME, labels: { old: "1", kept: "2" } });
  daemon.replies[DESCRIBE] = answered({ ...VOLUME, description: "clicks", labels: { kept: "2", team: "a=b" } });
  const args = ["--description", "clicks", "--label", "team=a=b", "--label", "old-"];
  const { stdout } = await holdfast("describe", "ads/db", ...args);
  expect(stdout).toBe("Described ads/db: clicks, kept=2, team=a=b");
  expect(daemon.seen.at(-1)).toEqual({
    line: DESCRIBE,
    body: { description: "clicks", labels: { kept: "2", team: "a=b" } },
  });
});

test("describe takes a description away that is empty, and without anything to change only shows", async () => {
  daemon.replies["GET /v1/volumes/ads/db"] = answered(VOLUME);
  daemon.replies[DESCRIBE] = answered(VOLUME);
  expect((await holdfast("describe", "ads/db")).stdout).toBe("Described ads/db: nothing");
  expect(daemon.seen.map(({ line }) => line)).toEqual(["GET /v1/volumes/ads/db"]);
  await holdfast("describe", "ads/db", "--description", "");
  expect(daemon.seen.at(-1)).toEqual({ line: DESCRIBE, body: { description: null } });
});
