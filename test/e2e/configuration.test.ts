/** The configuration file of a running daemon: what changes at once, what waits, and what a broken file does. */
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { StatusJson } from "../../src/faces/http/wire.ts";
import { Daemon } from "./daemon.ts";
import { makePlace, type Place } from "./place.ts";
import { requestJson } from "./request.ts";
import { Volume } from "./volume.ts";

const POLL = { timeout: 10_000, interval: 50 };
const CREDENTIALS = '{"credentials":[{"principal":"ops","secret":"x"}]}';
const WEEK_MS = 7 * 24 * 3_600_000;

let place: Place;
let daemon: Daemon;
let file: string;
let credentials: string;
let acls: string;

beforeEach(async () => {
  place = await makePlace("configuration");
  file = path.join(place.dir, "holdfast.yaml");
  credentials = path.join(place.dir, "credentials.json");
  acls = path.join(place.dir, "acls.json");
  await writeFile(file, "gcDelay: 1w\nreconcileInterval: 30s\n");
  await start();
});

afterEach(async () => {
  await daemon?.kill9();
  await place?.remove();
});

async function start(...access: string[]): Promise<void> {
  daemon = await Daemon.start({ dir: place.dir, args: ["--config", file, "--resources", "disk(*):4096", ...access] });
}

/** The same with credentials and ACLs. */
async function restartGuarded(): Promise<void> {
  await daemon.stop();
  await writeFile(credentials, CREDENTIALS, { mode: 0o600 });
  await writeFile(acls, "{}");
  await start("--credentials", credentials, "--acls", acls);
}

function log(): Promise<string> {
  return readFile(path.join(place.dir, "daemon.log"), "utf8");
}

/** When the only volume, which is retained, goes by itself: milliseconds after it was destroyed. */
async function delayMs(): Promise<number> {
  const call = { path: "/v1/volumes/ads/db" };
  const { dueAt, retiredAt } = await requestJson<{ dueAt: string; retiredAt: string }>(daemon.socket, call);
  return Date.parse(dueAt) - Date.parse(retiredAt);
}

test("a broken configuration keeps the old one in force, and the log says why", async () => {
  await writeFile(file, "gcDelay: soon\n");
  await expect.poll(log, POLL).toContain("Cannot load the changed configuration, the old ones stay in force");
  expect(await log()).toContain('gcDelay is \\"soon\\"');
});

/** `systemctl reload`. */
function hangUp(): void {
  process.kill(daemon.pid, "SIGHUP");
}

const status = () => requestJson<StatusJson>(daemon.socket, { path: "/v1/status" });

test("a reload of broken files is among the problems until they are whole again", async () => {
  await restartGuarded();
  await writeFile(credentials, "{");
  await writeFile(acls, "[]");
  hangUp();
  await expect
    .poll(async () => (await status()).problems, POLL)
    .toEqual([
      expect.stringContaining(
        "Cannot load the changed credentials, the old ones stay in force: Cannot read credentials",
      ),
      expect.stringContaining("Cannot load the changed ACLs, the old ones stay in force"),
    ]);
  await writeFile(credentials, CREDENTIALS);
  await writeFile(acls, "{}");
  hangUp();
  await expect.poll(async () => (await status()).problems, POLL).toEqual([]);
});

test("a reload reads configuration, credentials and ACLs again, whether they changed or not", async () => {
  await restartGuarded();
  hangUp();
  for (const what of ["configuration", "credentials", "ACLs"]) {
    await expect.poll(log, POLL).toContain(`Loaded the changed ${what}`);
  }
});

test("a changed configuration takes effect, and what cannot change while running is named", async () => {
  const volume = await Volume.create(daemon);
  await volume.destroy();
  const before = await delayMs();
  expect(before).toBeLessThanOrEqual(WEEK_MS);
  await writeFile(file, "gcDelay: 4w\nreconcileInterval: 10s\n");
  await expect.poll(delayMs, POLL).toBeGreaterThan(before * 3);
  expect((await status()).notices).toEqual(["Settings that changed need a restart: reconcileInterval"]);
  expect(await log()).toContain("Settings that changed need a restart: reconcileInterval");
});
