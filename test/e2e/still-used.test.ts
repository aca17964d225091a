/** A volume that somebody still uses is nobody else's, whatever became of its sandbox and of its mountpoint. */
import { closeSync, openSync } from "node:fs";
import { mkdir, rename } from "node:fs/promises";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { startResident } from "../support/resident.ts";
import { Daemon } from "./daemon.ts";
import { makePlace, type Place } from "./place.ts";
import { mayMount } from "./privileges.ts";
import { type Answer, request, requestJson } from "./request.ts";

const SEEN_SOON = { timeout: 15_000, interval: 100 };

describe.runIf(mayMount)("a volume that is still used", () => {
  let place: Place;
  let daemon: Daemon;
  let sandbox: string;
  let otherSandbox: string;

  beforeEach(async () => {
    place = await makePlace("still-used");
    sandbox = path.join(place.dir, "sandbox");
    otherSandbox = path.join(place.dir, "other");
    await Promise.all([mkdir(sandbox), mkdir(otherSandbox)]);
    daemon = await Daemon.start({
      dir: place.dir,
      args: ["--resources", "disk(ads):64", "--reconcile-interval", "1s"],
    });
    const disk = { name: "disk", type: "SCALAR", scalar: { value: 8 }, role: "ads" };
    const volume = { ...disk, disk: { persistence: { id: "db" }, volume: { mode: "RW", container_path: "data" } } };
    const body = { operations: [{ type: "CREATE", create: { volumes: [volume] } }] };
    await requestJson(daemon.socket, { method: "POST", path: "/v1/operations", body });
  });

  afterEach(async () => {
    await daemon?.kill9();
    await place?.remove();
  });

  function put(container: string, where: string, volumes: readonly object[] = [{ role: "ads", id: "db" }]) {
    const body = { sandbox: where, volumes };
    return request(daemon.socket, { method: "PUT", path: `/v1/containers/${container}`, body });
  }

  function remove(container: string, query = ""): Promise<Answer> {
    return request(daemon.socket, { method: "DELETE", path: `/v1/containers/${container}${query}` });
  }

  async function state(): Promise<string> {
    return (await requestJson<{ state: string }>(daemon.socket, { path: "/v1/volumes/ads/db" })).state;
  }

  async function problems(): Promise<readonly string[]> {
    return (await requestJson<{ problems: readonly string[] }>(daemon.socket, { path: "/v1/status" })).problems;
  }

  test("stays its container's when the sandbox is renamed, and goes when the container is detached", async () => {
    expect((await put("web-1", sandbox)).status).toBe(200);
    await rename(sandbox, `${sandbox}-moved`);
    await expect.poll(problems, SEEN_SOON).toEqual([expect.stringContaining(`${sandbox}-moved/data`)]);
    expect((await put("web-2", otherSandbox)).status).toBe(409);
    expect((await remove("web-1")).status).toBe(200);
    expect((await put("web-2", otherSandbox)).status).toBe(200);
    expect((await remove("web-2")).status).toBe(200);
  });

  test("lingers after a forced detach while a process sits in another namespace's copy", async () => {
    expect((await put("web-1", sandbox)).status).toBe(200);
    const resident = await startResident(`cd ${sandbox}/data`, { ownNamespace: true });
    try {
      expect((await remove("web-1")).status).toBe(409);
      expect((await remove("web-1", "?force=true")).status).toBe(200);
      expect(await state()).toBe("lingering");
      expect((await put("web-2", otherSandbox)).status).toBe(409);
    } finally {
      await resident.stop();
    }
    await expect.poll(state, SEEN_SOON).toBe("detached");
  });

  test("is not taken from a process in another namespace's copy because it is listed no more", async () => {
    expect((await put("web-1", sandbox)).status).toBe(200);
    const resident = await startResident(`cd ${sandbox}/data`, { ownNamespace: true });
    try {
      expect((await put("web-1", sandbox, [])).status).toBe(409);
      expect(await state()).toBe("attached");
    } finally {
      await resident.stop();
    }
    expect((await put("web-1", sandbox, [])).status).toBe(200);
    expect(await state()).toBe("detached");
  });

  test("keeps its mount when the daemon is killed and its sandbox is renamed meanwhile", async () => {
    expect((await put("web-1", sandbox)).status).toBe(200);
    const file = openSync(`${sandbox}/data/file`, "w");
    await daemon.kill9();
    await rename(sandbox, `${sandbox}-moved`);
    await daemon.start();
    expect(await state()).not.toBe("detached");
    expect((await put("web-2", otherSandbox)).status).toBe(409);
    closeSync(file);
  });
});
