import { closeSync, fstatSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openJournal } from "../../src/host/journal.ts";
import { bindReceiver, type Receiver } from "../support/datagrams.ts";

let directory: string;
let stderr: number;
let stream: string;
let socket: string;
let journal: Receiver;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "holdfast-journal-"));
  stderr = openSync(join(directory, "stderr"), "w");
  const { dev, ino } = fstatSync(stderr);
  stream = `${dev}:${ino}`;
  socket = join(directory, "socket");
  journal = bindReceiver(socket);
});

afterEach(() => {
  closeSync(stderr);
  journal.close();
  rmSync(directory, { recursive: true });
});

test.each([undefined, "", "8:1", "x"])("stderr is not the journal's when it says %j", (value) => {
  expect(openJournal({ JOURNAL_STREAM: value }, { stderr, socket })).toBeUndefined();
});

test("a stderr that is closed is not the journal's", () => {
  expect(openJournal({ JOURNAL_STREAM: stream }, { stderr: 9_999, socket })).toBeUndefined();
});

test("what the journal does not take is thrown back: nobody there, too long, too busy; nothing waits", () => {
  const send = openJournal({ JOURNAL_STREAM: stream }, { stderr, socket });
  expect(() => send?.(Buffer.alloc(16 * 1024 * 1024))).toThrow("EMSGSIZE");
  expect(() => {
    for (let count = 0; count < 100_000; count += 1) send?.(Buffer.from("MESSAGE=x\n"));
  }).toThrow("EAGAIN");
  const nowhere = openJournal({ JOURNAL_STREAM: stream }, { stderr, socket: join(directory, "nowhere") });
  expect(() => nowhere?.(Buffer.from("MESSAGE=x\n"))).toThrow("ENOENT");
});

test("an entry is handed over when the call returns", () => {
  openJournal({ JOURNAL_STREAM: stream }, { stderr, socket })?.(Buffer.from("MESSAGE=x\n"));
  expect(journal.next()).toBe("MESSAGE=x\n");
});
