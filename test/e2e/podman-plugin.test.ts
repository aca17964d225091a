/** Volumes in real Podman containers, by Podman's own commands. */
import { readdir } from "node:fs/promises";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { holdfast } from "./command.ts";
import { Daemon } from "./daemon.ts";
import { EngineRoom } from "./engine-room.ts";
import { makePlace, type Place } from "./place.ts";
import { PodmanEngine, podmanInstalled } from "./podman-engine.ts";
import { isRoot, mayMount } from "./privileges.ts";
import { requestJson } from "./request.ts";

/** Reconciled every second, it has been seen by then. */
const TWO_LOOKS_MS = 2_500;
const SEEN_SOON = { timeout: 15_000, interval: 100 };

test.runIf(isRoot)("Podman is installed where the tests run as root", () => {
  expect(podmanInstalled).toBe(true);
});

describe.runIf(mayMount && podmanInstalled)("Podman", () => {
  let place: Place;
  let room: EngineRoom;
  let daemon: Daemon;
  let podman: PodmanEngine;

  beforeAll(async () => {
    place = await makePlace("podman");
    room = await EngineRoom.open(path.join(place.dir, "engine"), "libpod_parent");
    daemon = await Daemon.start({
      dir: place.dir,
      args: ["--resources", "disk(*):256", "--docker-plugin", room.pluginSocket, "--reconcile-interval", "1s"],
    });
    podman = await PodmanEngine.prepare(room);
  });

  afterEach(async () => {
    await podman.removeAll();
    expect(await live()).toEqual([]);
  });

  afterAll(async () => {
    await podman?.removeAll();
    await daemon?.kill9();
    await room?.close();
    await place?.remove();
  });

  const create = (name: string, ...options: readonly string[]) =>
    podman.run("volume", "create", "--driver=holdfast", ...options.map((option) => `--opt=${option}`), name);

  async function mustCreate(name: string, ...options: readonly string[]): Promise<void> {
    expect(await create(name, ...options)).toMatchObject({ status: 0, stdout: name });
  }

  async function live(): Promise<readonly object[]> {
    const { volumes } = await requestJson<{ volumes: { state: string }[] }>(daemon.socket, { path: "/v1/volumes" });
    return volumes.filter(({ state }) => state !== "retained");
  }

  async function stateOf(name: string): Promise<string> {
    return (await requestJson<{ state: string }>(daemon.socket, { path: `/v1/volumes/${name}` })).state;
  }

  const atSocket = () => ["--socket", daemon.socket.socketPath];

  test("is told what is wrong with a new volume, and keeps none", async () => {
    const refused = [await create("db"), await create("db", "sise=1M"), await create("db", "size=1G")];
    expect(refused.map(({ status }) => status)).toEqual([125, 125, 125]);
    expect(refused[0]?.stderr).toContain("the option size is missing, for example size=512M");
    expect(refused[1]?.stderr).toContain('"sise", expected size, role, shared or path');
    expect(refused[2]?.stderr).toMatch(/1024 MB.*only 256 MB are free/);
    expect(await podman.must("volume", "ls", "--quiet")).toBe("");
  });

  test("creates, lists, inspects and removes a volume of a role by the name that it gave it", async () => {
    await mustCreate("web", "size=16M", "role=eng/web", "shared=false");
    expect(await live()).toMatchObject([{ role: "eng/web", id: "web", sizeMb: 16, shared: false }]);
    expect(await podman.must("volume", "ls", "--format={{.Driver}} {{.Name}}")).toBe("holdfast web");
    const [volume] = JSON.parse(await podman.must("volume", "inspect", "web"));
    expect(volume).toMatchObject({ Name: "web", Driver: "holdfast", Status: { role: "eng/web", size: "16 MB" } });
    await podman.must("volume", "rm", "web");
    expect(await live()).toEqual([]);
  });

  test("runs containers one after the other on a volume that keeps its content", async () => {
    await mustCreate("db", "size=16M", "shared=false");
    expect(await podman.runOnce("db", "echo hello > /data/greeting")).toMatchObject({ status: 0 });
    expect(await stateOf("docker/db")).toBe("detached");
    expect(await podman.runOnce("db", "cat /data/greeting")).toMatchObject({ status: 0, stdout: "hello" });
    await podman.must("volume", "rm", "db");
  });

  test("keeps what it runs from being destroyed, and shows Holdfast the container", async () => {
    await mustCreate("db", "size=16M", "shared=false");
    expect(await podman.runDetached("one", "db")).toMatchObject({ status: 0 });
    const id = await podman.must("inspect", "--format={{.Id}}", "one");
    expect(await stateOf("docker/db")).toBe("attached");
    expect(await holdfast("destroy", "docker/db", ...atSocket())).toMatchObject({ status: 1 });
    const { holders } = await requestJson<{ holders: object[] }>(daemon.socket, { path: "/v1/volumes/docker/db" });
    expect(holders).toEqual([expect.objectContaining({ container: id })]);
    await podman.must("rm", "--force", "--time=0", "one");
    await expect.poll(() => stateOf("docker/db"), SEEN_SOON).toBe("detached");
    await podman.must("volume", "rm", "db");
  });

  test("has a volume no more whose container was killed while Holdfast was down", async () => {
    await mustCreate("db", "size=16M", "shared=false");
    expect(await podman.runDetached("one", "db")).toMatchObject({ status: 0 });
    const pid = await podman.pidOf("one");
    // A volume that nobody was seen with yet is kept for a container that is still starting.
    await sleep(TWO_LOOKS_MS);
    await daemon.kill9();
    process.kill(pid, "SIGKILL");
    await expect.poll(() => readdir(`/proc/${pid}`).catch(() => "gone"), SEEN_SOON).toBe("gone");
    await daemon.start();
    await expect.poll(() => stateOf("docker/db"), SEEN_SOON).toBe("detached");
    expect(await podman.runOnce("db", "true")).toMatchObject({ status: 0 });
    await podman.must("rm", "--force", "one");
    await podman.must("volume", "rm", "db");
  });

  test("learns by a reload what was created and removed by others", async () => {
    const create = ["--size", "8M", ...atSocket()];
    for (const role of ["docker", "ads"]) {
      expect(await holdfast("reserve", role, ...create)).toMatchObject({ status: 0 });
      expect(await holdfast("create", `${role}/db`, "--path", "data", ...create)).toMatchObject({ status: 0 });
    }
    expect(await podman.run("volume", "reload")).toMatchObject({ status: 0, stdout: "Added:\ndb" });
    expect(await podman.runOnce("db", "echo 1 > /data/x && cat /data/x")).toMatchObject({ status: 0, stdout: "1" });
    for (const role of ["docker", "ads"]) {
      expect(await holdfast("destroy", `${role}/db`, ...atSocket())).toMatchObject({ status: 0 });
      expect(await holdfast("unreserve", role, ...create)).toMatchObject({ status: 0 });
    }
    expect(await podman.run("volume", "reload")).toMatchObject({ status: 0, stdout: "Removed:\ndb" });
    expect(await podman.must("volume", "ls", "--quiet")).toBe("");
  });
});
