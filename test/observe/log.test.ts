import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, describe, expect, test } from "vitest";
import { createLog, type LogLevel } from "../../src/observe/log.ts";
import { parseEntry } from "../support/journal.ts";

function memory(level: LogLevel) {
  const lines: string[] = [];
  const log = createLog({ level, destination: { write: (line) => void lines.push(line) } });
  return { log, lines, last: (): unknown => JSON.parse(lines.at(-1) ?? "null") };
}

describe("createLog", () => {
  test("writes nothing below its level, and does not look at the fields", () => {
    const { log, lines } = memory("warn");
    const fields = {
      get costly(): never {
        throw new Error("looked at");
      },
    };
    log.debug(fields, "no");
    log.info(fields, "no");
    expect(lines).toEqual([]);
  });

  test("hides the authorization and cuts what users sent", () => {
    const { log, last } = memory("info");
    log.info({ headers: { authorization: "Basic x" }, id: "i".repeat(2000) }, "m".repeat(2000));
    expect(last()).toMatchObject({
      headers: { authorization: "(secret)" },
      id: expect.stringMatching(/^i{1000}… \(1000 more\)$/),
    });
    expect(last()).toMatchObject({ msg: expect.stringMatching(/^m{1000}…/) });
  });

  test("keeps one event on one line, whatever is in it", () => {
    const { log, lines, last } = memory("info");
    log.info({ id: "a\nb\u001b[31m\u2028\ud800" }, 'line\n{"level":"error"} %s %d');
    expect(lines).toHaveLength(1);
    expect(lines[0]?.indexOf("\n")).toBe((lines[0]?.length ?? 0) - 1);
    expect(lines[0]).not.toContain("\u001b");
    expect(last()).toMatchObject({ level: "info", msg: 'line\n{"level":"error"} %s %d' });
  });

  test.each(["debug", "info", "warn", "error"] as const)("writes %s with level, time, fields and message", (level) => {
    const { log, last } = memory("debug");
    log[level]({ volume: "ads/db", sizeMb: 5 }, "Created a volume");
    expect(last()).toEqual({
      level,
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      volume: "ads/db",
      sizeMb: 5,
      msg: "Created a volume",
    });
  });
});

describe("the log under the journal", () => {
  test("gives what the journal does not take to stderr, with the priority before it", () => {
    const lines: string[] = [];
    const journal = () => {
      throw new Error("busy");
    };
    const log = createLog({ level: "info", journal, destination: { write: (line) => void lines.push(line) } });
    log.warn({ volume: "ads/db" }, "Careful");
    log.info({}, "By the way");
    expect(lines[0]).toMatch(/^<4>\{"level":"warn",.*"volume":"ads\/db","msg":"Careful"\}\n$/);
    expect(lines[1]).toMatch(/^<6>\{"level":"info"/);
  });

  test("makes an entry of every event that its level lets through, and writes nothing else", () => {
    const lines: string[] = [];
    const entries: Record<string, string>[] = [];
    const log = createLog({
      level: "info",
      journal: (entry) => void entries.push(parseEntry(entry)),
      destination: { write: (line) => void lines.push(line) },
    });
    log.debug({}, "no");
    log.error({ authorization: "Basic x" }, "Broken");
    expect(entries).toMatchObject([{ MESSAGE: "Broken authorization=(secret)", PRIORITY: "3" }]);
    expect(lines).toEqual([]);
  });
});

/**
 * A process with the real log on a pipe, driven by its standard input: `spam` writes 4 MB, `tick` answers on standard
 * output, `exit` ends it.
 */
const PROGRAM = `
  import { createLog } from ${JSON.stringify(new URL("../../src/observe/log.ts", import.meta.url).href)};
  import { createInterface } from "node:readline";
  const log = createLog({ level: "info" });
  for await (const word of createInterface({ input: process.stdin })) {
    if (word === "spam") for (let i = 0; i < 8000; i += 1) log.info({ padding: "x".repeat(500) }, "Spam");
    if (word === "warn") log.warn({}, "Careful");
    if (word === "info") log.info({}, "By the way");
    if (word === "exit") process.exit(3);
    console.log(word, log.dropped);
  }
`;

describe("the log on stderr", () => {
  let child: ChildProcess | undefined;
  afterEach(() => void child?.kill("SIGKILL"));

  function start(stderr: "pipe" | number = "pipe") {
    const started = spawn(process.execPath, ["--input-type=module", "-e", PROGRAM], {
      stdio: ["pipe", "pipe", stderr],
    });
    const { stdin, stdout } = started;
    if (stdin === null || stdout === null) throw new Error("Cannot talk to the program");
    child = started;
    const answers = createInterface({ input: stdout })[Symbol.asyncIterator]();
    const say = async (word: string): Promise<string> => {
      stdin.write(`${word}\n`);
      return (await answers.next()).value ?? "";
    };
    const exit = async (): Promise<unknown[]> => {
      stdin.write("exit\n");
      return once(started, "close");
    };
    return { started, say, exit };
  }

  /** Something that takes writes until it is full: a pipe as a shell makes it, or a socket as systemd does. */
  function unread(kind: "pipe" | "socket"): { stderr: "pipe" | number; remove(): void } {
    // Node's own "pipe" to a child is a socket.
    if (kind === "socket") return { stderr: "pipe", remove() {} };
    const directory = mkdtempSync(join(tmpdir(), "holdfast-log-"));
    execFileSync("/usr/bin/mkfifo", [join(directory, "fifo")]);
    const stderr = openSync(join(directory, "fifo"), "r+");
    return {
      stderr,
      remove() {
        closeSync(stderr);
        rmSync(directory, { recursive: true });
      },
    };
  }

  test.each(["pipe", "socket"] as const)("never blocks nor hangs at exit when nobody reads a %s", async (kind) => {
    const { stderr, remove } = unread(kind);
    const { say, exit } = start(stderr);
    await say("spam");
    const [, dropped] = (await say("tick")).split(" ");
    expect(Number(dropped)).toBeGreaterThan(1000);
    await say("warn");
    expect(await exit()).toEqual([3, null]);
    remove();
  });

  test("survives a reader that goes away, and ends", async () => {
    const { started, say, exit } = start();
    await say("tick");
    started.stderr?.destroy();
    await say("warn");
    expect(await say("info")).toMatch(/^info \d+$/);
    expect(await exit()).toEqual([3, null]);
  });

  test("hands over a warning at once, and everything at exit", async () => {
    const { started, say, exit } = start();
    let text = "";
    started.stderr?.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
    });
    await say("warn");
    await say("info");
    await exit();
    expect(
      text
        .trim()
        .split("\n")
        .map((line): unknown => JSON.parse(line)),
    ).toMatchObject([
      { level: "warn", msg: "Careful" },
      { level: "info", msg: "By the way" },
    ]);
  });
});
