import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type Census, createCensus } from "../../src/host/census.ts";

const UUID = "0b7f2c1e-5d3a-4c55-9a54-1f6f0c7d2e11";
const NAME = `${UUID}/content`;
const DIRECTORIES = 100;
const FILES = 100;
const INODES = 1 + DIRECTORIES + DIRECTORIES * FILES;

let root: string;
let parent: { readonly fd: number; readonly path: string };
let census: Census | undefined;
beforeAll(() => {
  root = mkdtempSync(join(realpathSync(tmpdir()), "holdfast-census-"));
  parent = { fd: openSync(root, "r"), path: root };
  for (let directory = 0; directory < DIRECTORIES; directory += 1) {
    const path = join(root, NAME, `directory-${directory}`);
    mkdirSync(path, { recursive: true });
    for (let file = 0; file < FILES; file += 1) writeFileSync(join(path, `file-${file}`), "");
  }
});
afterEach(async () => {
  await census?.close();
  census = undefined;
});
afterAll(() => {
  closeSync(parent.fd);
  rmSync(root, { recursive: true, force: true });
});

/** Descriptors below the tree. */
function openBelow(): readonly string[] {
  const links = readdirSync("/proc/self/fd").map((fd) => linkOf(fd));
  return links.filter((link) => link.startsWith(join(root, UUID)));
}

function linkOf(fd: string): string {
  try {
    return realpathSync(`/proc/self/fd/${fd}`);
  } catch {
    return "";
  }
}

/** The nice values of this process's threads. */
function niceValues(): readonly number[] {
  return readdirSync("/proc/self/task").map((task) => {
    const stat = readFileSync(`/proc/self/task/${task}/stat`, "utf8");
    return Number(stat.slice(stat.lastIndexOf(")")).split(" ")[17]);
  });
}

async function timeOf(measurer: Census): Promise<number> {
  const startMs = performance.now();
  expect(await measurer.measure(parent, NAME)).toMatchObject({ inodes: INODES, unread: 0 });
  return performance.now() - startMs;
}

describe("Census", () => {
  it("says what is not there", async () => {
    census = createCensus();
    await expect(census.measure(parent, `${UUID}/nothing`)).rejects.toMatchObject({
      code: "damaged",
      message: `Cannot measure ${root}/${UUID}/nothing: it is missing`,
    });
  });

  it("is interrupted before it begins", async () => {
    census = createCensus();
    const measuring = census.measure(parent, NAME, { signal: AbortSignal.abort() });
    await expect(measuring).rejects.toMatchObject({ code: "unavailable" });
  });

  it("is interrupted while it rests, at once, and leaves nothing open", async () => {
    census = createCensus({ share: 0.001 });
    const interrupt = new AbortController();
    const measuring = census.measure(parent, NAME, { signal: interrupt.signal });
    while (openBelow().length === 0) await sleep(5);
    const startMs = performance.now();
    interrupt.abort();
    await expect(measuring).rejects.toMatchObject({
      code: "unavailable",
      message: `Cannot measure ${root}/${NAME}: interrupted`,
    });
    expect(performance.now() - startMs).toBeLessThan(2000);
    expect(openBelow()).toEqual([]);
  });

  it("is interrupted by closing, and leaves nothing open", async () => {
    census = createCensus({ share: 0.001 });
    const measuring = expect(census.measure(parent, NAME)).rejects.toMatchObject({ code: "unavailable" });
    while (openBelow().length === 0) await sleep(5);
    await census.close();
    await measuring;
    expect(openBelow()).toEqual([]);
    await expect(census.measure(parent, NAME)).rejects.toMatchObject({ code: "unavailable" });
  });

  it("goes on with others after one failed", async () => {
    census = createCensus({ share: 1 });
    await expect(census.measure(parent, `${UUID}/nothing`)).rejects.toThrow();
    expect((await census.measure(parent, NAME)).inodes).toBe(INODES);
  });

  it("measures several at a time, each by itself", async () => {
    census = createCensus({ share: 1 });
    const below = join(NAME, "directory-1");
    const usages = await Promise.all([
      census.measure(parent, NAME),
      census.measure(parent, below),
      census.measure(parent, NAME),
    ]);
    expect(usages.map(({ inodes }) => inodes)).toEqual([INODES, FILES + 1, INODES]);
    expect(usages[0]).toEqual(usages[2]);
  });

  it("keeps to its share of the time, also from one to the next", async () => {
    const whole = createCensus({ share: 1 });
    census = createCensus({ share: 0.1 });
    try {
      const wholeMs = Math.min(await timeOf(whole), await timeOf(whole), await timeOf(whole));
      // The rest behind the last slice is nobody's yet.
      const restingMs = (await timeOf(census)) + (await timeOf(census)) + (await timeOf(census));
      expect(restingMs).toBeGreaterThan(wholeMs * 10);
    } finally {
      await whole.close();
    }
  });

  it("runs behind everybody else, alone", async () => {
    // Those of the tests before take a moment to end.
    while (niceValues().includes(19)) await sleep(5);
    census = createCensus({ share: 1 });
    await census.measure(parent, NAME);
    expect(niceValues().filter((nice) => nice === 19).length).toBe(1);
  });
});
