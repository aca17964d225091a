import { existsSync, readdirSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { sampleUuid } from "../contract/samples.ts";
import { type Outcome, runCommitter } from "./committer.ts";
import { type CheckpointPlace, makeCheckpointPlace } from "./place.ts";

const STRACE = "/usr/bin/strace";
const COMMITS = 10;

/**
 * A run whose syncs fail as told: `5` the fifth, `5+` every one from the fifth on, by the kernel's EIO. A commit syncs
 * the log with fdatasync; SQLite and directories use fsync.
 */
function runWithFailingSync(place: CheckpointPlace, call: "fsync" | "fdatasync", when: string): Promise<Outcome> {
  const inject = `inject=${call}:error=EIO:when=${when}`;
  const under = [STRACE, "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync,fdatasync", "-e", inject];
  return runCommitter({ directory: place.directory, count: COMMITS, under });
}

async function volumesIn(place: CheckpointPlace): Promise<ReadonlySet<string>> {
  const store = place.store();
  const { records, damaged } = await store.open();
  await store.close();
  expect(damaged).toEqual([]);
  return new Set(records.volumes.keys());
}

describe.skipIf(!existsSync(STRACE))("a failed sync", () => {
  let place: CheckpointPlace;

  beforeEach(async () => {
    place = makeCheckpointPlace();
    await runCommitter({ directory: place.directory, count: 0 });
  });

  afterEach(() => place.remove());

  it("of the directory refuses the opening", async () => {
    expect((await runWithFailingSync(place, "fsync", "1")).lines).toEqual(["refused unavailable"]);
  });

  it.each([1, 2, 5, 9])("of commit %i rejects that commit, and a new file takes the ones behind it", async (victim) => {
    const { acknowledged, rejected, lines } = await runWithFailingSync(place, "fdatasync", String(victim));
    expect(rejected).toEqual([victim]);
    expect(lines).toContain(`rejected ${victim} unavailable`);
    // It was not acknowledged, so it may be there or not; what a reload shows is what a restart shows.
    expect(lines).toContain(`reloaded ${victim}`);
    expect(acknowledged).toHaveLength(COMMITS - 1);
    expect((await volumesIn(place)).size).toBe(COMMITS);
    expect(readdirSync(place.directory)).toEqual(["checkpoint.db"]);
  });

  it.each([2, 3, 4, 5, 6, 7, 8])("of anything else, number %i, loses nothing that was acknowledged", async (at) => {
    const { acknowledged } = await runWithFailingSync(place, "fsync", String(at));
    const volumes = await volumesIn(place);
    for (const number of acknowledged) expect(volumes).toContain(sampleUuid(number));
  });

  it.each([
    [1, 0],
    [4, 3],
  ])("of the log that stays failed from number %i on rejects every commit behind %i", async (from, count) => {
    const { acknowledged } = await runWithFailingSync(place, "fdatasync", `${from}+`);
    expect(acknowledged).toHaveLength(count);
    const volumes = await volumesIn(place);
    for (const number of acknowledged) expect(volumes).toContain(sampleUuid(number));
  });

  it("of everything ends the process with its own status", async () => {
    const { acknowledged, lines, status } = await runWithFailingSync(place, "fsync", "3+");
    expect(lines.at(-1)).toBe("fatal unavailable");
    expect(status).toBe(70);
    const volumes = await volumesIn(place);
    for (const number of acknowledged) expect(volumes).toContain(sampleUuid(number));
  });
});
