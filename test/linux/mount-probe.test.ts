import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { bindMountRefusal } from "../../src/host/mount-probe.ts";
import { makePlace, type Place } from "../e2e/place.ts";
import { mayMount } from "../e2e/privileges.ts";
import { run } from "../e2e/run.ts";

/** No process can have it: the kernel's limit is 2^22. */
const DEAD = 2 ** 23;

describe.skipIf(!mayMount)("the probe of bind mounts (needs root with CAP_SYS_ADMIN)", () => {
  let place: Place;

  beforeEach(async () => {
    place = await makePlace("probe");
    vi.stubEnv("TMPDIR", place.dir);
  });

  afterEach(async () => {
    vi.unstubAllEnvs();
    await place.remove();
  });

  /** As a process leaves it that is killed while the mount is there. */
  async function leftBy(pid: number): Promise<string> {
    const name = `holdfast-probe-${pid}-abcdef`;
    const root = path.join(place.dir, name);
    mkdirSync(root, { mode: 0o700 });
    for (const directory of ["volumes/probe/content", "sandbox/volume"]) {
      mkdirSync(path.join(root, directory), { recursive: true });
    }
    await run("mount", "--bind", path.join(root, "volumes/probe/content"), path.join(root, "sandbox/volume"));
    return name;
  }

  test("leaves nothing behind", () => {
    expect(bindMountRefusal()).toBeUndefined();
    expect(readdirSync(place.dir)).toEqual([]);
  });

  test("removes what a process that was killed in the middle of its probe left behind", async () => {
    await leftBy(DEAD);
    expect(bindMountRefusal()).toBeUndefined();
    expect(readdirSync(place.dir)).toEqual([]);
  });

  test("leaves the probe of a process that lives alone", async () => {
    const name = await leftBy(process.pid);
    expect(bindMountRefusal()).toBeUndefined();
    expect(readdirSync(place.dir)).toEqual([name]);
  });

  test("deletes no file in what looks like a probe", async () => {
    const name = await leftBy(DEAD);
    writeFileSync(path.join(place.dir, name, "sandbox/mine"), "");
    expect(bindMountRefusal()).toBeUndefined();
    expect(readdirSync(path.join(place.dir, name, "sandbox"))).toContain("mine");
  });
});
