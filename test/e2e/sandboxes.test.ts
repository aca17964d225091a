/** Whatever is mounted in a sandbox: collecting it never deletes a volume's content. */
import { existsSync, readFileSync, statSync } from "node:fs";
import { mkdir, readdir, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { startResident } from "../support/resident.ts";
import { holdfast, mustHoldfast } from "./command.ts";
import { Daemon } from "./daemon.ts";
import { makePlace, type Place } from "./place.ts";
import { mayMount } from "./privileges.ts";
import { request, requestJson } from "./request.ts";
import { run } from "./run.ts";

const ROWS = "row 1\nrow 2\n";
const FILES = 30_000;
const SOON = { timeout: 20_000, interval: 20 };

describe.runIf(mayMount)("a sandbox that is handed over", () => {
  let place: Place;
  let daemon: Daemon;
  let sandbox: string;

  beforeEach(async () => {
    place = await makePlace("sandboxes");
    sandbox = path.join(place.dir, "boxes", "web-1");
    await mkdir(path.join(sandbox, "logs"), { recursive: true });
    await writeFile(path.join(sandbox, "logs", "stdout"), "hello");
    daemon = await Daemon.start({ dir: place.dir, args: ["--resources", "disk(ads):64"] });
    const disk = { name: "disk", type: "SCALAR", scalar: { value: 8 }, role: "ads" };
    const volume = { ...disk, disk: { persistence: { id: "db" }, volume: { mode: "RW", container_path: "data" } } };
    const body = { operations: [{ type: "CREATE", create: { volumes: [volume] } }] };
    await requestJson(daemon.socket, { method: "POST", path: "/v1/operations", body });
    await attach();
    await writeFile(path.join(sandbox, "data", "rows"), ROWS);
  });

  afterEach(async () => {
    await daemon?.kill9();
    await place?.remove();
  });

  const attach = () =>
    requestJson(daemon.socket, {
      method: "PUT",
      path: "/v1/containers/web-1",
      body: { sandbox, volumes: [{ role: "ads", id: "db" }] },
    });
  const cli = (...args: string[]) => holdfast(...args, "--socket", daemon.socket.socketPath);
  const mustCli = (...args: string[]) => mustHoldfast(...args, "--socket", daemon.socket.socketPath);
  const content = async () => (await requestJson<{ path: string }>(daemon.socket, { path: "/v1/volumes/ads/db" })).path;
  const rows = async () => readFileSync(path.join(await content(), "rows"), "utf8");
  const handedOver = async () => {
    const { sandboxes } = await requestJson<{ sandboxes: readonly { path: string }[] }>(daemon.socket, {
      path: "/v1/sandboxes",
    });
    return sandboxes.map((one) => one.path);
  };

  /** What is deleted shows in the directory's time: whoever had it open to count would keep it. */
  async function killInTheMiddle(many: string): Promise<void> {
    const { mtimeMs } = statSync(many);
    const cut = cli("gc", sandbox);
    await expect.poll(() => statSync(many).mtimeMs, { timeout: 20_000, interval: 2 }).toBeGreaterThan(mtimeMs);
    await daemon.kill9();
    expect((await cut).status).toBe(1);
    const left = (await readdir(many)).length;
    expect(left).toBeGreaterThan(0);
    expect(left).toBeLessThan(FILES);
  }

  test("is detached from its volume first, shown, and collected without it", async () => {
    expect(await mustCli("gc", "add", sandbox)).toMatch(`Handed over ${sandbox}: it is deleted at `);
    expect(await readdir(sandbox)).toEqual(["logs"]);
    expect(await mustCli("gc", "--dry-run")).toMatch(/stays: its time has not come/);
    expect(await mustCli("status")).toMatch(/Sandboxes +1 to be deleted/);
    expect((await cli("attach", "ads/db", "--sandbox", sandbox, "--container", "web-2")).status).toBe(1);
    expect(await mustCli("gc", sandbox)).toMatch(/collected/);
    expect(existsSync(sandbox)).toBe(false);
    expect(await rows()).toBe(ROWS);
    expect(await handedOver()).toEqual([]);
  });

  test("is collected without the volume that somebody mounted behind the daemon's back, over and over", async () => {
    await mustCli("gc", "add", sandbox);
    const source = await content();
    for (const name of ["logs", "logs", "left"]) {
      await mkdir(path.join(sandbox, name), { recursive: true });
      await run("mount", "--bind", source, path.join(sandbox, name));
    }
    await mustCli("gc", sandbox);
    expect([existsSync(sandbox), await rows()]).toEqual([false, ROWS]);
  });

  test("stays while a foreign mount is in it, or another namespace has a copy of the volume's", async () => {
    await mustCli("gc", "add", sandbox);
    const resident = await startResident(`mount --bind ${await content()} ${sandbox}/logs`, { ownNamespace: true });
    try {
      const { status, stderr } = await cli("gc", sandbox);
      expect([status, stderr]).toEqual([1, expect.stringContaining(`process ${resident.pid}`)]);
      expect(await mustCli("gc", "--dry-run")).toContain(sandbox);
    } finally {
      await resident.stop();
    }
    await run("mount", "-t", "tmpfs", "none", path.join(sandbox, "logs"));
    expect((await cli("gc", sandbox)).stderr).toContain(`mounted at ${sandbox}/logs (tmpfs none)`);
    await run("umount", path.join(sandbox, "logs"));
    await mustCli("gc", sandbox);
    expect([existsSync(sandbox), await rows()]).toEqual([false, ROWS]);
  });

  test("is not handed over while a process sits in its volume, nor when it is none", async () => {
    const resident = await startResident(`cd ${sandbox}/data`);
    try {
      const { status, text } = await request(daemon.socket, {
        method: "POST",
        path: "/v1/sandboxes",
        body: { path: sandbox },
      });
      expect([status, JSON.parse(text).error.pids]).toEqual([409, [resident.pid]]);
    } finally {
      await resident.stop();
    }
    for (const wrong of [
      daemon.workRoot,
      path.join(daemon.workRoot, "volumes"),
      place.dir,
      "/tmp",
      `${sandbox}/data`,
    ]) {
      expect((await cli("gc", "add", wrong)).status).toBe(1);
    }
    expect(await handedOver()).toEqual([]);
  });

  test("can be taken back, and another directory in its place is not touched", async () => {
    await mustCli("gc", "add", sandbox);
    await mustCli("gc", "keep", sandbox);
    await attach();
    await mustCli("gc", "add", sandbox);
    await rename(sandbox, `${sandbox}-aside`);
    await mkdir(sandbox);
    expect((await cli("gc", sandbox)).stderr).toContain("is another directory");
    expect(existsSync(sandbox)).toBe(true);
    await rm(sandbox, { recursive: true });
    await mustCli("gc", sandbox);
    expect([existsSync(`${sandbox}-aside`), await handedOver()]).toEqual([true, []]);
  });

  test("is collected to the end by the next daemon when this one is killed in the middle", async () => {
    const many = path.join(sandbox, "many");
    await mkdir(many);
    await run("sh", "-c", `cd ${many} && seq ${FILES} | xargs touch`);
    await mustCli("gc", "add", sandbox);
    await killInTheMiddle(many);
    await daemon.start();
    await expect.poll(() => existsSync(sandbox), SOON).toBe(false);
    await expect.poll(handedOver, SOON).toEqual([]);
    expect(await rows()).toBe(ROWS);
  });

  test("loses no volume that was mounted into what is left while the daemon was dead", async () => {
    const many = path.join(sandbox, "many");
    await mkdir(many);
    await run("sh", "-c", `cd ${many} && seq ${FILES} | xargs touch`);
    const source = await content();
    await mustCli("gc", "add", sandbox);
    await killInTheMiddle(many);
    await run("mount", "--bind", source, many);
    await daemon.start();
    await expect.poll(() => existsSync(sandbox), SOON).toBe(false);
    expect(await rows()).toBe(ROWS);
  });
});
