import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { EventDraft, NodeEvent } from "../../src/domain/event.ts";
import type { BootId, WallMs } from "../../src/domain/units.ts";
import { openEventTrail } from "../../src/host/event-trail.ts";
import type { EventTrail } from "../../src/ports/event-trail.ts";
import { createMemoryLog, type MemoryLog } from "../auth/memory-log.ts";

const MB = 1024 * 1024;
const EVENT: EventDraft = { at: 1_700_000_000_000 as WallMs, type: "created", by: "ops", message: "x".repeat(200) };

describe.skipIf(process.getuid?.() !== 0)("the audit trail on a full disk (root: mounts a tmpfs)", () => {
  let directory: string;
  let log: MemoryLog;
  let trail: EventTrail;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "holdfast-trail-"));
    execFileSync("/usr/bin/mount", ["-t", "tmpfs", "-o", "size=1m", "holdfast-test", directory]);
    log = createMemoryLog();
    trail = openTrail();
  });

  afterEach(async () => {
    await trail.close();
    // Whoever died has files open there.
    execFileSync("/usr/bin/umount", ["--lazy", directory]);
    rmSync(directory, { recursive: true });
  });

  function openTrail(): EventTrail {
    const options = { directory: join(directory, "events"), bytesMax: 64 * MB, now: () => 5 as WallMs, log };
    return openEventTrail({ ...options, bootId: "boot" as BootId });
  }

  /** Leaves less than a page. */
  function fillDisk(): void {
    for (const bytes of [64 * 1024, 4096]) {
      for (let number = 0; ; number += 1) {
        try {
          writeFileSync(join(directory, `filler-${bytes}-${number}`), Buffer.alloc(bytes));
        } catch {
          break;
        }
      }
    }
  }

  function makeRoom(): void {
    for (const name of readdirSync(directory)) if (name.startsWith("filler")) rmSync(join(directory, name));
  }

  const all = () => trail.read({ filter: {}, admits: () => true, limit: 100_000 });
  const types = (events: readonly NodeEvent[]) => events.map(({ type }) => type);

  it("refuses nothing, says so once and in the status, and counts what was lost when there is room again", async () => {
    trail.append([EVENT]);
    fillDisk();
    let appended = 1;
    while (trail.problem === undefined) appended += trail.append([EVENT]).length;
    for (let more = 0; more < 10; more += 1) appended += trail.append([EVENT]).length;
    expect(trail.problem).toMatch(/is not kept \(.*\), 11 events are lost: see to its disk$/);
    expect(log.lines.filter(({ level }) => level === "error")).toHaveLength(1);
    makeRoom();
    const [gap, event] = trail.append([EVENT]);
    expect(gap).toMatchObject({ type: "events-lost", seq: appended + 1 });
    expect(gap?.message).toMatch(/^11 events before this one could not be kept: /);
    expect(event).toMatchObject({ seq: appended + 2 });
    expect(trail.problem).toBeUndefined();
    const found = await all();
    expect(types(found.slice(-2))).toEqual(["events-lost", "created"]);
    expect(found).toHaveLength(appended - 11 + 2);
  });

  it("never uses the numbers of lost events again, also when the daemon dies before there is room", async () => {
    fillDisk();
    while (trail.problem === undefined) trail.append([EVENT]);
    const lost = trail.append([EVENT])[0]?.seq ?? 0;
    makeRoom();
    trail = openTrail();
    expect(trail.append([EVENT])[0]?.seq).toBeGreaterThan(lost);
    expect(types((await all()).slice(-2))).toEqual(["events-lost", "created"]);
    expect(trail.problem).toBeUndefined();
  });
});
