import { afterEach, beforeEach, expect, test } from "vitest";
import { answered, type FakeDaemon, refused, run, startFakeDaemon } from "./fake-daemon.ts";

const BOX = { path: "/srv/boxes/web", discardedAt: "2026-01-02T03:04:05.000Z", dueAt: "2026-01-09T03:04:05.000Z" };
const UUID = "0b7f2c1e-5d3a-4c55-9a54-1f6f0c7d2e11";
const KEPT = { ...BOX, reason: "process 7, sleep, / is in it" };

let daemon: FakeDaemon;
beforeEach(async () => {
  daemon = await startFakeDaemon();
});
afterEach(() => daemon.stop());

const holdfast = (...args: readonly string[]) => run(daemon.socket, ...args);

test("gc add and gc keep without a directory are wrong usage", async () => {
  expect((await holdfast("gc", "add")).status).toBe(2);
  expect((await holdfast("gc", "keep")).status).toBe(2);
  expect(daemon.seen).toEqual([]);
});

test("gc add tells the daemon's refusal", async () => {
  daemon.replies["POST /v1/sandboxes"] = refused(400, "invalid", "Cannot hand /srv over: it belongs to the machine");
  expect(await holdfast("gc", "add", "/srv")).toEqual({
    status: 1,
    stdout: "",
    stderr: "holdfast: Cannot hand /srv over: it belongs to the machine",
  });
});

test("gc add hands each directory over and says when it goes", async () => {
  daemon.replies["POST /v1/sandboxes"] = answered({ ...BOX, by: "uid:0(root)" });
  const { status, stdout } = await holdfast("gc", "add", BOX.path, "/srv/boxes/api");
  expect([status, stdout.split("\n")[0]]).toEqual([
    0,
    `Handed over ${BOX.path}: it is deleted at ${BOX.dueAt}, or earlier`,
  ]);
  expect(daemon.seen.map(({ body }) => body)).toEqual([{ path: BOX.path }, { path: "/srv/boxes/api" }]);
});

test("gc add takes its options before and behind its name", async () => {
  daemon.replies["POST /v1/sandboxes"] = answered({ ...BOX, by: "uid:0(root)" });
  for (const args of [
    ["gc", "add", BOX.path, "--json", "--socket", daemon.socket],
    ["gc", "--json", "--socket", daemon.socket, "add", BOX.path],
  ]) {
    const { status, stdout } = await run("/nowhere.sock", ...args);
    expect([status, JSON.parse(stdout)]).toEqual([0, { ...BOX, by: "uid:0(root)" }]);
  }
});

test("gc --dry-run add is wrong usage", async () => {
  expect((await holdfast("gc", "--dry-run", "add", BOX.path)).status).toBe(2);
  expect(daemon.seen).toEqual([]);
});

test("gc keep takes it back", async () => {
  daemon.replies["POST /v1/sandboxes/keep"] = answered({});
  expect((await holdfast("gc", "keep", BOX.path)).stdout).toBe(`Kept ${BOX.path}: it is not deleted`);
});

test("gc of a directory collects it alone, and fails when it stays", async () => {
  daemon.replies["POST /v1/sandboxes/gc"] = answered({
    collected: [],
    kept: [],
    sandboxes: { collected: [], kept: [KEPT] },
  });
  const { status, stdout, stderr } = await holdfast("gc", BOX.path);
  expect([status, stderr]).toEqual([1, `holdfast: Cannot collect all of them, ${BOX.path} stays: ${KEPT.reason}`]);
  expect(stdout.split("\n").map((line) => line.replaceAll(/ {2,}/g, " | "))).toEqual([
    "SANDBOX | HANDED OVER | DUE | OUTCOME",
    `${BOX.path} | ${BOX.discardedAt} | ${BOX.dueAt} | stays: ${KEPT.reason}`,
  ]);
  expect(daemon.seen.map(({ line, body }) => [line, body])).toEqual([["POST /v1/sandboxes/gc", { paths: [BOX.path] }]]);
});

test("gc of volumes and directories asks for both", async () => {
  daemon.replies["POST /v1/gc"] = answered({ would: [], kept: [] });
  daemon.replies["POST /v1/sandboxes/gc"] = answered({ would: [], kept: [], sandboxes: { would: [BOX], kept: [] } });
  const { status, stdout } = await holdfast("gc", "--dry-run", UUID, BOX.path);
  expect([status, stdout]).toEqual([0, expect.stringContaining("would be collected")]);
  expect(daemon.seen.map(({ body }) => body)).toEqual([
    { dryRun: true, uuids: [UUID] },
    { paths: [BOX.path], dryRun: true },
  ]);
});

test("gc --lost of a directory is refused", async () => {
  expect((await holdfast("gc", "--lost", BOX.path)).status).toBe(1);
  expect(daemon.seen).toEqual([]);
});

test("gc without names shows sandboxes below volumes", async () => {
  daemon.replies["POST /v1/gc"] = answered({ collected: [], kept: [], sandboxes: { collected: [BOX], kept: [KEPT] } });
  const { stdout } = await holdfast("gc");
  expect(stdout).toContain(`${BOX.path}`);
  expect(stdout).not.toContain("No destroyed volumes");
});
