import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import path from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { run } from "../e2e/run.ts";
import { bootGuest, type Guest } from "./guest.ts";
import { makeScratch, type Scratch } from "./scratch.ts";
import { whyNoGuest } from "./wanted.ts";

const BOOT_MS_MAX = 180_000;

const inGuest = describe.runIf(whyNoGuest === undefined);
const hint = whyNoGuest === undefined ? "" : ` (${whyNoGuest})`;

inGuest(`a command in a guest${hint}`, () => {
  let guest: Guest;
  beforeAll(async () => {
    guest = await bootGuest();
  }, BOOT_MS_MAX);
  afterAll(() => guest?.kill());

  test("that does not end in its time is reported with what it has said", async () => {
    const hanging = guest.run("echo on my way; sleep 1000", { timeoutMs: 2000 });
    await expect(hanging).rejects.toThrow(/does not end in the guest: on my way/);
  });

  test("that must work and does not is reported with its status and what it has said", async () => {
    await expect(guest.must("echo no >&2; exit 7")).rejects.toThrow(/status 7 in the guest: no/);
  });

  test("comes back with its status and both its outputs, whatever they are", async () => {
    const { exitCode, output } = await guest.run("printf 'a\\n\\nb'; printf ' \\\\ é' >&2; exit 3");
    expect({ exitCode, output }).toEqual({ exitCode: 3, output: "a\n\nb \\ é" });
  });

  test("comes back with all of a large output", async () => {
    const { output } = await guest.run("seq 1 200000");
    expect(output.length).toBe(1_288_895);
    expect(output.endsWith("\n199999\n200000\n")).toBe(true);
  });

  test("gets its words, its environment and its directory as they are", async () => {
    const words = ["printf", "%s|", "it's", "", "$HOME", "a\nb"];
    expect(await guest.must(words)).toBe("it's||$HOME|a\nb|");
    expect(await guest.must('echo "$WORD in $PWD"', { env: { WORD: "it's" }, cwd: "/tmp" })).toBe("it's in /tmp\n");
  });

  test("tells its lines as they come", async () => {
    const lines: string[] = [];
    await guest.run("echo one; echo two", { onLine: (line) => lines.push(line) });
    expect(lines.filter(Boolean)).toEqual(["one", "two"]);
  });

  test("runs besides others, and waits where there are too many", async () => {
    const outputs = await Promise.all(["1", "2", "3", "4", "5"].map((word) => guest.must(["echo", word])));
    expect(outputs.join("")).toBe("1\n2\n3\n4\n5\n");
  });

  test("sees the guest's own end, with what its kernel said", async () => {
    await expect(guest.run("echo c >/proc/sysrq-trigger; sleep 60")).rejects.toThrow(/The guest has ended.*sysrq/s);
    await expect(guest.run("true")).rejects.toThrow(/The guest has ended/);
  });
});

inGuest(`a guest's disk${hint}`, () => {
  let scratch: Scratch;
  const guests: Guest[] = [];
  beforeAll(() => {
    scratch = makeScratch("guest-disk");
  });
  afterAll(async () => {
    for (const guest of guests) await guest.kill();
    scratch?.remove();
  });

  async function boot(disk: string): Promise<Guest> {
    const guest = await bootGuest({ disks: [disk], diskCache: "writeback" });
    guests.push(guest);
    await guest.must("mkdir /disk && mount /dev/vda /disk");
    return guest;
  }

  test(
    "keeps through a power cut what was synced, and through a shutdown all",
    async () => {
      const disk = path.join(scratch.path, "disk.img");
      await run("truncate", "-s", "64M", disk);
      await run("mkfs.ext4", "-q", disk);
      const first = await boot(disk);
      await first.must("echo kept >/disk/synced && sync && echo lost >/disk/not-synced");
      await first.kill();
      const second = await boot(disk);
      expect(await second.must("ls /disk")).toBe("lost+found\nsynced\n");
      await second.must("echo kept >/disk/shut-down");
      await second.shutdown();
      expect(await run("debugfs", "-R", "cat /shut-down", disk)).toBe("kept");
    },
    3 * BOOT_MS_MAX,
  );
});

inGuest(`a guest whose test process is killed${hint}`, () => {
  let child: ChildProcess | undefined;
  let scratch: Scratch;
  beforeAll(() => {
    scratch = makeScratch("guest-orphan");
  });
  afterAll(() => {
    child?.kill("SIGKILL");
    scratch?.remove();
  });

  test(
    "ends with it",
    async () => {
      const worker = path.join(import.meta.dirname, "booting-worker.ts");
      child = spawn(process.execPath, [worker], {
        stdio: ["ignore", "pipe", "inherit"],
        env: { ...process.env, TMPDIR: scratch.path },
      });
      const [pid] = await firstLine(child);
      expect(existsSync(`/proc/${pid}`)).toBe(true);
      child.kill("SIGKILL");
      await expect.poll(() => existsSync(`/proc/${pid}`), { timeout: 10_000 }).toBe(false);
    },
    BOOT_MS_MAX,
  );
});

async function firstLine({ stdout }: ChildProcess): Promise<string[]> {
  if (stdout !== null) for await (const line of createInterface(stdout)) return [line];
  throw new Error("It said nothing");
}
