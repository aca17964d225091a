import { afterEach, beforeEach, expect, test } from "vitest";
import { answered, type FakeDaemon, refused, run, startFakeDaemon } from "./fake-daemon.ts";
import { VOLUME } from "./samples.ts";

const OLD = {
  uuid: VOLUME.uuid,
  role: "ads",
  id: "old",
  sizeMb: 512,
  retiredAt: "2026-01-02T03:04:05.000Z",
  dueAt: "2026-01-09T03:04:05.000Z",
};
const HELD = { ...OLD, id: "held", reason: "it is used by process 4712, sleep, /" };

let daemon: FakeDaemon;
beforeEach(async () => {
  daemon = await startFakeDaemon();
});
afterEach(() => daemon.stop());

const holdfast = (...args: readonly string[]) => run(daemon.socket, ...args);

test("gc fails when a named one stays, and says why", async () => {
  daemon.replies["POST /v1/gc"] = answered({ collected: [OLD], kept: [HELD] });
  const { status, stderr } = await holdfast("gc", OLD.uuid, HELD.uuid);
  expect([status, stderr]).toEqual([
    1,
    "holdfast: Cannot collect all of them, ads/held stays: it is used by process 4712, sleep, /",
  ]);
  expect(daemon.seen[0]?.body).toEqual({ uuids: [OLD.uuid, HELD.uuid] });
});

test("gc tells the daemon's refusal", async () => {
  daemon.replies["POST /v1/gc"] = refused(404, "no_such_volume", "Cannot collect volume x: there is none");
  expect(await holdfast("gc", OLD.uuid)).toEqual({
    status: 1,
    stdout: "",
    stderr: "holdfast: Cannot collect volume x: there is none",
  });
});

test("gc --lost gives up what it names", async () => {
  daemon.replies["POST /v1/gc"] = answered({ collected: [OLD], kept: [] });
  const { status, stdout } = await holdfast("gc", "--lost", OLD.uuid);
  expect([status, stdout]).toEqual([0, expect.stringMatching(/given up$/)]);
  expect(daemon.seen[0]?.body).toEqual({ lost: true, uuids: [OLD.uuid] });
});

test("gc refuses what is no UUID as wrong usage", async () => {
  expect((await holdfast("gc", "ads/db")).status).toBe(2);
  expect(daemon.seen).toEqual([]);
});

test("gc without names shows what was collected and why the rest stays", async () => {
  daemon.replies["POST /v1/gc"] = answered({ collected: [OLD], kept: [HELD] });
  const { status, stdout } = await holdfast("gc");
  expect(status).toBe(0);
  expect(stdout.split("\n").map((line) => line.replaceAll(/ {2,}/g, " | "))).toEqual([
    "VOLUME | SIZE (MB) | DESTROYED | DUE | UUID | OUTCOME",
    `ads/old | 512 | ${OLD.retiredAt} | ${OLD.dueAt} | ${OLD.uuid} | collected`,
    `ads/held | 512 | ${OLD.retiredAt} | ${OLD.dueAt} | ${OLD.uuid} | stays: ${HELD.reason}`,
  ]);
  expect(daemon.seen[0]?.body).toEqual({});
});

test("gc --dry-run shows pinned ones as staying, without a time", async () => {
  const { dueAt: _dueAt, ...undated } = OLD;
  const pinned = { ...undated, id: "pinned", reason: "it is pinned, unpin it first" };
  daemon.replies["POST /v1/gc"] = answered({ would: [], kept: [pinned] });
  const { status, stdout } = await holdfast("gc", "--dry-run");
  expect(status).toBe(0);
  expect(stdout.split("\n")[1]?.replaceAll(/ {2,}/g, " | ")).toBe(
    `ads/pinned | 512 | ${OLD.retiredAt} | - | ${OLD.uuid} | stays: it is pinned, unpin it first`,
  );
});

test("gc --dry-run shows what would be collected", async () => {
  daemon.replies["POST /v1/gc"] = answered({ would: [OLD], kept: [] });
  const { stdout } = await holdfast("gc", "--dry-run");
  expect(stdout).toContain("would be collected");
  expect(daemon.seen[0]?.body).toEqual({ dryRun: true });
});

test("gc of nothing says so", async () => {
  daemon.replies["POST /v1/gc"] = answered({ collected: [], kept: [] });
  expect((await holdfast("gc")).stdout).toBe("No destroyed volumes are retained");
});

test("gc --json prints the daemon's answer", async () => {
  daemon.replies["POST /v1/gc"] = answered({ collected: [OLD], kept: [] });
  expect(JSON.parse((await holdfast("gc", "--json")).stdout)).toEqual({ collected: [OLD], kept: [] });
});

test("show tells when a retained volume is collected", async () => {
  daemon.replies["GET /v1/volumes/ads/db"] = answered({ ...VOLUME, state: "retained", dueAt: OLD.dueAt });
  expect((await holdfast("show", "ads/db")).stdout).toContain(`Collected       at ${OLD.dueAt}, earlier when`);
});
