import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type FileWatcher, watchFiles } from "../../src/auth/watch.ts";
import { createMemoryLog } from "./memory-log.ts";

let directory: string;
let file: string;
let watcher: FileWatcher | undefined;
let changes: string[][];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "holdfast-watch-"));
  file = join(directory, "credentials.json");
  changes = [];
  writeFileSync(file, "old");
});

afterEach(async () => {
  await watcher?.close();
  rmSync(directory, { recursive: true, force: true });
});

/** Watches with events alone, unless a poll is asked for, and waits until the events come. */
async function start(files: string[], { pollMs = 3_600_000 } = {}): Promise<void> {
  watcher = watchFiles(files, (changed) => changes.push([...changed]), {
    log: createMemoryLog(),
    debounceMs: 20,
    pollMs,
  });
  await sleep(150);
}

const saw = (...expected: string[][]) => vi.waitFor(() => expect(changes).toEqual(expected), { timeout: 5000 });

describe("watchFiles", () => {
  test("says nothing about other files, and nothing after close", async () => {
    await start([file]);
    writeFileSync(join(directory, "other"), "new");
    await sleep(150);
    await watcher?.close();
    writeFileSync(file, "new");
    await sleep(150);
    expect(changes).toEqual([]);
  });

  test("says nothing about a file that was there before", async () => {
    await start([file]);
    await sleep(100);
    expect(changes).toEqual([]);
  });

  test("sees a file written in place, once for several writes", async () => {
    await start([file]);
    for (const content of ["n", "ne", "new"]) writeFileSync(file, content);
    await saw([file]);
  });

  test("sees a file replaced by a rename, again and again", async () => {
    await start([file]);
    for (const round of [1, 2, 3]) {
      writeFileSync(`${file}.tmp`, "old");
      renameSync(`${file}.tmp`, file);
      await saw(...Array.from({ length: round }, () => [file]));
    }
  });

  test("sees a file removed and made again", async () => {
    await start([file]);
    rmSync(file);
    await saw([file]);
    writeFileSync(file, "new");
    await saw([file], [file]);
  });

  test("sees Kubernetes swap a directory behind two symlinks", async () => {
    rmSync(file);
    for (const version of ["..v1", "..v2"]) {
      mkdirSync(join(directory, version));
      writeFileSync(join(directory, version, "credentials.json"), version);
    }
    symlinkSync("..v1", join(directory, "..data"));
    symlinkSync("..data/credentials.json", file);
    await start([file]);
    symlinkSync("..v2", join(directory, "..data_tmp"));
    renameSync(join(directory, "..data_tmp"), join(directory, "..data"));
    await saw([file]);
  });

  test("sees by polling what has no event: a file behind a symlink elsewhere", async () => {
    const elsewhere = mkdtempSync(join(tmpdir(), "holdfast-elsewhere-"));
    const link = join(directory, "link.json");
    writeFileSync(join(elsewhere, "real.json"), "old");
    symlinkSync(join(elsewhere, "real.json"), link);
    await start([link], { pollMs: 50 });
    writeFileSync(join(elsewhere, "real.json"), "new");
    await saw([link]);
    rmSync(elsewhere, { recursive: true });
  });

  test("sees a file whose directory was not there yet", async () => {
    const late = join(directory, "late", "acls.json");
    await start([late], { pollMs: 50 });
    mkdirSync(join(directory, "late"));
    writeFileSync(late, "new");
    await saw([late]);
  });

  test("names several files of several directories together", async () => {
    mkdirSync(join(directory, "more"));
    const other = join(directory, "more", "acls.json");
    await start([file, other, file]);
    writeFileSync(file, "new");
    writeFileSync(other, "new");
    await saw([file, other]);
  });
});
