import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { lockWorkRoot } from "../../src/host/lock.ts";
import { createMemoryLog } from "../auth/memory-log.ts";

let root: string;
let log = createMemoryLog();
const children: ChildProcess[] = [];

beforeEach(() => {
  root = mkdtempSync(`${tmpdir()}/holdfast-lock-`);
  log = createMemoryLog();
});
afterEach(async () => {
  await Promise.all(children.splice(0).map(kill));
  rmSync(root, { recursive: true });
});

function contend(): ChildProcess {
  const child = spawn(process.execPath, [`${import.meta.dirname}/lock-worker.ts`, root], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  children.push(child);
  return child;
}

async function outcomeOf(child: ChildProcess): Promise<string> {
  const [chunk] = (await once(child.stdout as NodeJS.ReadableStream, "data")) as [Buffer];
  return chunk.toString().trim();
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, "exit");
  child.kill("SIGKILL");
  await exit;
}

describe("lockWorkRoot", () => {
  test("refuses a second owner and names the first", async () => {
    const lock = await lockWorkRoot(root, { log });
    const second = lockWorkRoot(root, { log });
    await expect(second).rejects.toMatchObject({
      code: "conflict",
      message: `Cannot take work root ${root}: process ${process.pid} has it, stop that one first`,
      details: { pid: process.pid },
    });
    lock.release();
  });

  test("does not name a process that is gone", async () => {
    const lock = await lockWorkRoot(root, { log });
    writeFileSync(`${root}/meta/pid`, "4194304\n");
    await expect(lockWorkRoot(root, { log })).rejects.toThrow("another process has it");
    lock.release();
  });

  test("can be taken again after release, which leaves nothing behind", async () => {
    (await lockWorkRoot(root, { log })).release();
    expect(existsSync(`${root}/meta/pid`)).toBe(false);
    expect(existsSync(`${root}/meta/pid.lock`)).toBe(false);
    (await lockWorkRoot(root, { log })).release();
    expect(log.lines).toEqual([]);
  });

  test("holds although its mark cannot be placed", async () => {
    mkdirSync(`${root}/meta/pid.lock/occupied`, { recursive: true });
    const lock = await lockWorkRoot(root, { log });
    expect(log.lines.map(({ level }) => level)).toEqual(["warn"]);
    await expect(lockWorkRoot(root, { log })).rejects.toMatchObject({ code: "conflict" });
    lock.release();
  });

  test("holds although somebody removes its mark", async () => {
    const lock = await lockWorkRoot(root, { log });
    rmSync(`${root}/meta`, { recursive: true });
    await expect(lockWorkRoot(root, { log })).rejects.toMatchObject({ code: "conflict" });
    lock.release();
  });

  test("of six processes at once exactly one becomes the owner", async () => {
    const outcomes = await Promise.all(Array.from({ length: 6 }, () => outcomeOf(contend())));
    expect(outcomes.toSorted()).toEqual([...Array(5).fill("conflict"), "owner"]);
  });

  test("kill -9 of the owner frees it, and its fresh mark does not hold the next one up", async () => {
    const first = contend();
    expect(await outcomeOf(first)).toBe("owner");
    expect(readFileSync(`${root}/meta/pid`, "utf8")).toBe(`${first.pid}\n`);
    await kill(first);
    expect(existsSync(`${root}/meta/pid.lock`)).toBe(true);
    const lock = await lockWorkRoot(root, { log });
    expect(log.lines).toEqual([]);
    lock.release();
  });
});
