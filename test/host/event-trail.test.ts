import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { EventDraft, EventFilter, NodeEvent } from "../../src/domain/event.ts";
import type { BootId, Role, VolumeId, WallMs } from "../../src/domain/units.ts";
import { type EventTrailOptions, openEventTrail } from "../../src/host/event-trail.ts";
import type { EventRange, EventTrail } from "../../src/ports/event-trail.ts";
import { createMemoryLog, type MemoryLog } from "../auth/memory-log.ts";

const MB = 1024 * 1024;
/** What the numbers go on further where some may have been given that nobody knows. */
const SKIPPED = 100_000;

let directory: string;
let log: MemoryLog;
const open = new Set<EventTrail>();

beforeEach(() => {
  directory = join(mkdtempSync(join(tmpdir(), "holdfast-trail-")), "events");
  log = createMemoryLog();
});
afterEach(async () => {
  await Promise.all([...open].map((trail) => trail.close()));
  open.clear();
  rmSync(join(directory, ".."), { recursive: true });
});

function openTrail(options: Partial<EventTrailOptions> = {}): EventTrail {
  const bootId = "boot-1" as BootId;
  const trail = openEventTrail({ directory, bytesMax: 64 * MB, bootId, now: () => 5 as WallMs, log, ...options });
  open.add(trail);
  return trail;
}

/** Goes away as kill -9 does it: nothing is told, nothing is closed. */
function abandon(trail: EventTrail): void {
  open.delete(trail);
}

function draft(message: string, facts: Partial<EventDraft> = {}): EventDraft {
  return { at: 1_700_000_000_000 as WallMs, type: "created", by: "ops", message, ...facts };
}

function read(trail: EventTrail, filter: EventFilter = {}, range: Partial<EventRange> = {}) {
  return trail.read({ filter, admits: () => true, limit: 100_000, ...range });
}

const messages = (events: readonly NodeEvent[]) => events.map(({ message }) => message);
const numbers = (events: readonly NodeEvent[]) => events.map(({ seq }) => seq);
const files = () => readdirSync(directory).filter((name) => name.endsWith(".jsonl"));
const newest = () => join(directory, files().sort().at(-1) ?? "");

describe("a trail in files", () => {
  it("cannot be opened where a file is in its place: it says so, refuses nothing, and goes on when it can", async () => {
    writeFileSync(directory, "");
    const trail = openTrail();
    expect(numbers(trail.append([draft("one")]))).toEqual([1]);
    expect(trail.append([draft("two")])).toMatchObject([{ seq: 2 }]);
    expect(trail.problem).toMatch(
      /^The audit trail in .*events is not kept \(.*\), 2 events are lost: see to its disk$/,
    );
    expect(log.lines.filter(({ level }) => level === "error")).toHaveLength(1);
    rmSync(directory);
    await sleep(1_050);
    const events = trail.append([draft("three")]);
    expect(events.map(({ type, seq }) => `${type} ${seq}`)).toEqual(["events-lost 3", "created 4"]);
    expect(events[0]?.message).toMatch(/^2 events before this one could not be kept: /);
    expect(trail.problem).toBeUndefined();
    expect(numbers(await read(trail))).toEqual([3, 4]);
  });

  it("leaves a damaged line out, and counts it once", async () => {
    const trail = openTrail();
    trail.append([draft("one"), draft("two"), draft("three")]);
    const damaged = readFileSync(newest(), "utf8").replace('"message":"two"', '"message":"2wo"');
    writeFileSync(newest(), damaged);
    expect(messages(await read(trail))).toEqual(["one", "three"]);
    expect(messages(await read(trail))).toEqual(["one", "three"]);
    expect(trail.problem).toBe(`The audit trail in ${directory} has 1 damaged lines: see to its disk`);
  });

  it("cuts a torn line off, and goes on behind it", async () => {
    const first = openTrail();
    first.append([draft("one"), draft("two")]);
    abandon(first);
    appendFileSync(newest(), '{"seq":3,"at":17000');
    const trail = openTrail();
    trail.append([draft("three")]);
    expect(numbers(await read(trail))).toEqual([1, 2, 3]);
    expect(readFileSync(newest(), "utf8")).not.toContain("17000{");
  });

  it("goes on further where the last line is damaged: its number may have been seen", async () => {
    const first = openTrail();
    first.append([draft("one"), draft("two")]);
    abandon(first);
    truncateSync(newest(), statSync(newest()).size - 5);
    appendFileSync(newest(), "\0\0\0\n");
    const trail = openTrail();
    expect(numbers(trail.append([draft("three")]))).toEqual([1 + SKIPPED + 1]);
    expect(messages(await read(trail))).toEqual(["one", "three"]);
  });

  it("goes on further after a power cut, which may have taken events with it", () => {
    const first = openTrail();
    first.append([draft("one")]);
    abandon(first);
    expect(numbers(openTrail({ bootId: "boot-2" as BootId }).append([draft("two")]))).toEqual([1 + SKIPPED + 1]);
  });

  it("goes on where it ended when it was closed, in another boot too", async () => {
    const first = openTrail();
    first.append([draft("one")]);
    await first.close();
    const trail = openTrail({ bootId: "boot-2" as BootId });
    expect(trail.last).toBe(1);
    expect(numbers(trail.append([draft("two")]))).toEqual([2]);
    expect(messages(await read(trail))).toEqual(["one", "two"]);
  });

  it("keeps nothing after it was closed", async () => {
    const trail = openTrail();
    await trail.close();
    expect(trail.append([draft("late")])).toEqual([]);
  });

  it("survives kill -9 in the middle of writing: everything that was acknowledged is there, and in order", async () => {
    let last = 0;
    for (const killAfterMs of [50, 150, 300]) {
      const acknowledged = await writeUntilKilled(killAfterMs);
      expect(acknowledged[0]).toBeGreaterThan(last);
      last = acknowledged.at(-1) ?? 0;
      const trail = openTrail({ bootId: "boot" as BootId, bytesMax: 16 * MB });
      const found = numbers(await read(trail, {}, { limit: 1_000_000 }));
      await trail.close();
      open.delete(trail);
      expect(found).toEqual(Array.from({ length: found.length }, (_, index) => index + 1));
      expect(found.length).toBeGreaterThanOrEqual(last);
    }
    expect(last).toBeGreaterThan(100);
  });

  it("takes no more room than it may, keeps the newest, and goes on counting", async () => {
    const trail = openTrail({ bytesMax: MB });
    for (let count = 0; count < 60; count += 1) {
      trail.append(Array.from({ length: 200 }, () => draft("x".repeat(100))));
      const bytes = files().reduce((sum, name) => sum + statSync(join(directory, name)).size, 0);
      expect(bytes).toBeLessThanOrEqual(MB + 64 * 1024);
    }
    const found = numbers(await read(trail));
    expect(found.at(-1)).toBe(12_000);
    expect(found.length).toBeGreaterThan(4_000);
    expect(found).toEqual(Array.from({ length: found.length }, (_, index) => 12_000 - found.length + index + 1));
    abandon(trail);
    expect(openTrail({ bytesMax: MB }).last).toBe(12_000);
  });

  it("misses none at the files' ends when it is read backwards, page by page", async () => {
    const trail = openTrail({ bytesMax: MB });
    for (let count = 0; count < 50; count += 1) trail.append(Array.from({ length: 30 }, () => draft("x".repeat(100))));
    expect(files().length).toBeGreaterThan(3);
    const found: number[] = [];
    for (let before: number | undefined; before !== 1; before = found[0]) {
      found.unshift(...numbers(await read(trail, {}, { limit: 1, ...(before === undefined ? {} : { before }) })));
      if (found[0] === before) break;
    }
    expect(found).toEqual(Array.from({ length: 1_500 }, (_, index) => index + 1));
  });

  it("that cannot begin another file loses what comes, and leaves the files that it has as they are", async () => {
    const trail = openTrail({ bytesMax: MB });
    const kept = trail.append(Array.from({ length: 1_000 }, () => draft("x".repeat(100)))).length;
    const [before = ""] = files();
    const size = statSync(join(directory, before)).size;
    const blocked = [1, 2].map((more) => join(directory, `${String(kept + more).padStart(16, "0")}.jsonl`));
    for (const path of blocked) mkdirSync(path);
    trail.append([draft("lost")]);
    trail.append([draft("lost too")]);
    expect(trail.problem).toContain("2 events are lost");
    expect(statSync(join(directory, before)).size).toBe(size);
    for (const path of blocked) rmdirSync(path);
    const events = trail.append([draft("kept again")]);
    expect(events.map(({ type }) => type)).toEqual(["events-lost", "created"]);
    expect(messages(await read(trail, {}, { after: kept + 3 }))).toEqual(["kept again"]);
    expect(statSync(join(directory, before)).size).toBe(size);
  });

  it("finds by volume, who asked, role, app, type and number, from either end", async () => {
    const trail = openTrail({ bytesMax: MB });
    const ads = "ads" as Role;
    for (let count = 1; count <= 3_000; count += 1) {
      const id = `v${count % 100}` as VolumeId;
      const type = count % 2 === 0 ? "attached" : "detached";
      trail.append([draft(`nr ${count}`, { role: ads, id, type, by: count % 3 === 0 ? 'o"ps' : "ops" })]);
    }
    expect(files().length).toBeGreaterThan(5);
    expect(numbers(await read(trail, { role: ads, id: "v7" as VolumeId }, { limit: 3 }))).toEqual([2707, 2807, 2907]);
    expect(numbers(await read(trail, { id: "v7" as VolumeId }, { limit: 2, after: 107 }))).toEqual([207, 307]);
    expect(numbers(await read(trail, { id: "v7" as VolumeId }, { limit: 2, before: 2807 }))).toEqual([2607, 2707]);
    expect(numbers(await read(trail, { by: 'o"ps', type: "attached" }, { limit: 2 }))).toEqual([2994, 3000]);
    expect(await read(trail, { id: "v" as VolumeId })).toEqual([]);
    expect(await read(trail, { role: "eng" as Role })).toEqual([]);
    expect(await read(trail, {}, { admits: ({ seq }) => seq === 1_234 })).toHaveLength(1);
  });

  it("is nobody else's to read", () => {
    openTrail().append([draft("one")]);
    expect(statSync(directory).mode & 0o777).toBe(0o700);
    for (const name of readdirSync(directory)) expect(statSync(join(directory, name)).mode & 0o777).toBe(0o600);
  });
});

/** What a process was told before it was killed. */
async function writeUntilKilled(afterMs: number): Promise<number[]> {
  const child = spawn(process.execPath, [join(import.meta.dirname, "event-writer-worker.ts"), directory], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(child, "close");
  let said = "";
  child.stdout.on("data", (chunk: Buffer) => {
    said += chunk.toString();
  });
  await once(child.stdout, "data");
  await sleep(afterMs);
  child.kill("SIGKILL");
  await ended;
  // The last number may be half a one.
  return said.split("\n").slice(0, -1).map(Number);
}
