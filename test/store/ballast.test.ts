import { existsSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createBallast } from "../../src/store/ballast.ts";
import { temporaryDirectory } from "./place.ts";

const BYTES = 64 * 1024;

describe("the ballast", () => {
  let directory: string;
  let path: string;
  let nowMs = 0;
  const clock = () => nowMs;

  beforeEach(() => {
    directory = temporaryDirectory();
    path = join(directory, "ballast");
    nowMs = 0;
  });

  afterEach(() => rmSync(directory, { recursive: true }));

  it("cannot be given up before it was made", () => {
    expect(createBallast(path, BYTES, clock).giveUp()).toBe(false);
  });

  it("is not made where there is no room for many times its size", () => {
    expect(createBallast(path, Number.MAX_SAFE_INTEGER, clock).restore()).toBe(false);
    expect(existsSync(path)).toBe(false);
  });

  it("is not made when it has no size", () => {
    expect(createBallast(path, 0, clock).restore()).toBe(false);
  });

  it("is made of really allocated blocks", () => {
    expect(createBallast(path, BYTES, clock).restore()).toBe(true);
    const { size, blocks } = statSync(path);
    expect(size).toBe(BYTES);
    expect(blocks * 512).toBeGreaterThanOrEqual(BYTES);
  });

  it("comes back after it was given up, but not within ten seconds", () => {
    const ballast = createBallast(path, BYTES, clock);
    ballast.restore();
    expect(ballast.giveUp()).toBe(true);
    expect(existsSync(path)).toBe(false);
    nowMs = 9_999;
    expect(ballast.restore()).toBe(false);
    nowMs = 10_000;
    expect(ballast.restore()).toBe(true);
    expect(existsSync(path)).toBe(true);
  });

  it("is taken as it was left, and made anew when its size is another", () => {
    createBallast(path, BYTES, clock).restore();
    expect(createBallast(path, BYTES, clock).restore()).toBe(false);
    writeFileSync(path, "torn");
    expect(createBallast(path, BYTES, clock).restore()).toBe(true);
    expect(statSync(path).size).toBe(BYTES);
  });
});
