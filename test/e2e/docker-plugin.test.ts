/** Volumes in real Docker containers, by Docker's own commands. */
import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { holdfast, type Outcome } from "./command.ts";
import { Daemon } from "./daemon.ts";
import { DockerEngine, dockerInstalled } from "./docker-engine.ts";
import { EngineRoom } from "./engine-room.ts";
import { makePlace, type Place } from "./place.ts";
import { isRoot, mayMount } from "./privileges.ts";
import { request, requestJson } from "./request.ts";

const SEEN_SOON = { timeout: 15_000, interval: 100 };
const DISK_MB = 256;

interface VolumeJson {
  readonly role: string;
  readonly id: string;
  readonly state: string;
  readonly containers: readonly string[];
}

test.runIf(isRoot)("Docker is installed where the tests run as root", () => {
  expect(dockerInstalled).toBe(true);
});

describe.runIf(mayMount && dockerInstalled)("Docker", () => {
  let place: Place;
  let room: EngineRoom;
  let daemon: Daemon;
  let docker: DockerEngine;

  beforeAll(async () => {
    place = await makePlace("docker");
    room = await EngineRoom.open(path.join(place.dir, "engine"), "docker");
    daemon = await Daemon.start({
      dir: place.dir,
      args: ["--resources", `disk(*):${DISK_MB}`, "--docker-plugin", room.pluginSocket, "--reconcile-interval", "1s"],
    });
    docker = await DockerEngine.start(room);
  });

  afterEach(async () => {
    for (const container of lines(await docker.must("ps", "--all", "--quiet"))) {
      await docker.must("rm", "--force", container);
    }
    for (const { role, id } of await live()) await docker.must("volume", "rm", `${role}/${id}`);
    expect(await freeMb()).toBe(DISK_MB);
  });

  afterAll(async () => {
    await docker?.remove();
    await daemon?.kill9();
    await room?.close();
    await place?.remove();
  });

  const create = (name: string, ...options: readonly string[]) =>
    docker.run("volume", "create", "--driver=holdfast", ...options.map((option) => `--opt=${option}`), name);

  async function mustCreate(name: string, ...options: readonly string[]): Promise<void> {
    expect(await create(name, ...options)).toMatchObject({ status: 0, stdout: name });
  }

  async function mustRun(container: string, volume: string): Promise<void> {
    expect(await docker.runDetached(container, volume)).toMatchObject({ status: 0 });
  }

  async function live(): Promise<readonly VolumeJson[]> {
    const { volumes } = await requestJson<{ volumes: VolumeJson[] }>(daemon.socket, { path: "/v1/volumes" });
    return volumes.filter(({ state }) => state !== "retained");
  }

  async function stateOf(name: string): Promise<string> {
    return (await requestJson<VolumeJson>(daemon.socket, { path: `/v1/volumes/${name}` })).state;
  }

  async function freeMb(): Promise<number> {
    const { resources } = await requestJson<{ resources: { scalar: { value: number }; reservations?: object[] }[] }>(
      daemon.socket,
      { path: "/v1/resources" },
    );
    const unreserved = resources.filter(({ reservations = [] }) => reservations.length === 0);
    return unreserved.reduce((sum, { scalar }) => sum + scalar.value, 0);
  }

  const containersOfHoldfast = async () =>
    (await requestJson<{ containers: object[] }>(daemon.socket, { path: "/v1/containers" })).containers;

  function destroy(name: string): Promise<Outcome> {
    return holdfast("destroy", name, "--socket", daemon.socket.socketPath);
  }

  async function inspect(name: string): Promise<{ Status: Record<string, unknown> & { holders: object[] } }> {
    return JSON.parse(await docker.must("volume", "inspect", name))[0];
  }

  test("is told what is wrong with a new volume", async () => {
    expect((await create("db")).stderr).toContain("the option size is missing, for example size=512M");
    expect((await create("db", "sise=1M")).stderr).toContain('"sise", expected size, role, shared or path');
    expect((await create("db", "size=1G")).stderr).toMatch(/1024 MB.*only 256 MB are free/);
    expect((await create("../db", "size=1M")).stderr).toContain("no component");
    expect((await docker.runDetached("c1", "implicit")).status).toBe(0);
    await docker.must("rm", "--force", "c1");
    const implicit = await docker.runDetached("c2", "implicit2", "--volume-driver=holdfast");
    expect(implicit.stderr).toContain("the option size is missing");
    await docker.must("volume", "rm", "implicit");
    expect(await live()).toEqual([]);
  });

  test("is told that there is no such volume", async () => {
    expect((await docker.run("volume", "inspect", "nobody")).stderr.toLowerCase()).toContain("no such volume");
    expect((await docker.run("volume", "rm", "nobody")).stderr.toLowerCase()).toContain("no such volume");
  });

  test("creates, lists, inspects and removes a volume of a role by the name that it gave it", async () => {
    await mustCreate("web", "size=16M", "role=eng/web", "shared=false", "path=pgdata");
    expect(await live()).toMatchObject([{ role: "eng/web", id: "web", containerPath: "pgdata", shared: false }]);
    expect(await freeMb()).toBe(DISK_MB - 16);
    expect(await docker.must("volume", "ls", "--format={{.Driver}} {{.Name}}")).toBe("holdfast web");
    expect(await inspect("web")).toMatchObject({
      Name: "web",
      Mountpoint: expect.stringMatching(/\/volumes\/.*\/content$/),
      CreatedAt: expect.stringMatching(/^\d{4}-/),
      Status: { role: "eng/web", id: "web", size: "16 MB", state: "detached", shared: false, holders: [] },
    });
    await docker.must("volume", "rm", "web");
    expect(await freeMb()).toBe(DISK_MB);
    const { volumes } = await requestJson<{ volumes: VolumeJson[] }>(daemon.socket, {
      path: "/v1/volumes?role=eng%2Fweb",
    });
    expect(volumes).toMatchObject([{ id: "web", state: "retained" }]);
  });

  test("uses the volume of another door by role and id", async () => {
    const at = ["--socket", daemon.socket.socketPath];
    expect(await holdfast("reserve", "ads", "--size", "8M", ...at)).toMatchObject({ status: 0 });
    expect(await holdfast("create", "ads/db", "--size", "8M", "--path", "data", ...at)).toMatchObject({ status: 0 });
    expect(await docker.runOnce("ads/db", "echo 1 > /data/x && cat /data/x")).toMatchObject({ status: 0, stdout: "1" });
    expect(await docker.must("volume", "ls", "--format={{.Name}}")).toBe("ads/db");
    await docker.must("volume", "rm", "ads/db");
    expect(await freeMb()).toBe(DISK_MB - 8);
    expect(await holdfast("unreserve", "ads", "--size", "8M", ...at)).toMatchObject({ status: 0 });
  });

  test("shares a volume between containers, and its content outlives them", async () => {
    await mustCreate("db", "size=16M");
    await mustRun("one", "db");
    await docker.must("exec", "one", "sh", "-c", "echo hello > /data/greeting");
    expect(await docker.runOnce("db", "cat /data/greeting")).toMatchObject({ status: 0, stdout: "hello" });
    const { Status } = await inspect("db");
    expect(Status).toMatchObject({ state: "attached" });
    expect(Status.holders).toEqual([
      expect.objectContaining({ engine: "docker", container: expect.stringMatching(/^[0-9a-f]{64}$/) }),
    ]);
    await docker.must("rm", "--force", "one");
    // The kernel takes a container's mounts down behind its end.
    await expect.poll(() => stateOf("docker/db"), SEEN_SOON).toBe("detached");
    expect((await docker.runOnce("db", "cat /data/greeting")).stdout).toBe("hello");
  });

  test("gets an exclusive volume for one container at a time, and hears who has it", async () => {
    await mustCreate("db", "size=16M", "shared=false");
    await mustRun("one", "db");
    const id = await docker.must("inspect", "--format={{.Id}}", "one");
    const { status, stderr } = await docker.runDetached("two", "db");
    expect(status).not.toBe(0);
    expect(stderr).toContain(id);
    expect(stderr).toContain("docker");
    expect((await destroy("docker/db")).status).toBe(1);
    await docker.must("rm", "--force", "one", "two");
    await mustRun("two", "db");
    await docker.must("restart", "--time=0", "two");
    expect(await stateOf("docker/db")).toBe("attached");
  });

  test("keeps what it runs from being destroyed, also when docker cp says that it is done", async () => {
    await mustCreate("db", "size=16M", "shared=false");
    await mustRun("one", "db");
    await docker.must("exec", "one", "sh", "-c", "echo hello > /data/greeting");
    const copy = path.join(place.dir, "greeting");
    await docker.must("cp", "one:/data/greeting", copy);
    expect(await readFile(copy, "utf8")).toBe("hello\n");
    await docker.must("cp", copy, "one:/data/copy");
    const { status, stderr } = await destroy("docker/db");
    expect([status, stderr]).toEqual([1, expect.stringContaining("Cannot destroy volume docker/db")]);
    expect((await docker.runOnce("db", "true")).status).not.toBe(0);
    expect(await docker.must("exec", "one", "cat", "/data/copy")).toBe("hello");
    await docker.must("rm", "--force", "one");
    await expect.poll(() => stateOf("docker/db"), SEEN_SOON).toBe("detached");
  });

  test("is killed and started again: the volume is in use until its container has ended", async () => {
    await mustCreate("db", "size=16M", "shared=false");
    await mustRun("one", "db");
    await docker.kill9();
    expect((await destroy("docker/db")).status).toBe(1);
    expect(await stateOf("docker/db")).toBe("attached");
    await docker.start();
    await expect.poll(() => docker.must("inspect", "--format={{.State.Running}}", "one"), SEEN_SOON).toBe("false");
    await expect.poll(() => stateOf("docker/db"), SEEN_SOON).toBe("detached");
    expect(await docker.runOnce("db", "true")).toMatchObject({ status: 0 });
  });

  test("sees Holdfast killed and started again under a container that does not notice", async () => {
    await mustCreate("db", "size=16M", "shared=false");
    await mustRun("one", "db");
    await daemon.kill9();
    await docker.must("exec", "one", "sh", "-c", "echo hello > /data/greeting");
    await daemon.start();
    expect(await stateOf("docker/db")).toBe("attached");
    expect((await docker.runOnce("db", "true")).status).not.toBe(0);
    expect((await destroy("docker/db")).status).toBe(1);
    expect(await docker.must("exec", "one", "cat", "/data/greeting")).toBe("hello");
    await docker.must("rm", "--force", "one");
    await expect.poll(() => stateOf("docker/db"), SEEN_SOON).toBe("detached");
  });

  test("has a volume no more whose container was killed while Holdfast was down", async () => {
    await mustCreate("db", "size=16M", "shared=false");
    await mustRun("one", "db");
    const pid = await docker.pidOf("one");
    await daemon.kill9();
    process.kill(pid, "SIGKILL");
    await expect.poll(() => readdir(`/proc/${pid}`).catch(() => "gone"), SEEN_SOON).toBe("gone");
    await daemon.start();
    await expect.poll(() => stateOf("docker/db"), SEEN_SOON).toBe("detached");
    expect(await docker.runOnce("db", "true")).toMatchObject({ status: 0 });
  });

  test("hears of protocol garbage from others without being disturbed", async () => {
    await mustCreate("db", "size=16M");
    const answer = await request(
      { socketPath: room.pluginSocket },
      { method: "POST", path: "/VolumeDriver.Remove", body: "{" },
    );
    expect([answer.status, JSON.parse(answer.text)]).toEqual([
      400,
      { Err: "Cannot parse the request: it is not JSON" },
    ]);
    expect(await docker.runOnce("db", "true")).toMatchObject({ status: 0 });
  });

  test("leaves nothing behind after 20 containers, 5 at a time", async () => {
    const look = async () => ({
      // Other tests mount as well.
      mounts: (await readFile("/proc/self/mountinfo", "utf8")).split("\n").filter((line) => line.includes(room.dir)),
      processes: (await docker.processes()).length,
      roles: await readdir(path.join(daemon.workRoot, "volumes/roles")),
      live: await live(),
      containers: await containersOfHoldfast(),
      freeMb: await freeMb(),
    });
    const before = await look();
    await mustCreate("db", "size=16M");
    for (let round = 0; round < 4; round += 1) {
      const outcomes = await Promise.all(
        Array.from({ length: 5 }, (_, index) => docker.runOnce("db", `echo ${index} >> /data/log`)),
      );
      expect(outcomes.map(({ status }) => status)).toEqual([0, 0, 0, 0, 0]);
    }
    expect((await docker.runOnce("db", "cat /data/log")).stdout.split("\n")).toHaveLength(20);
    await docker.must("volume", "rm", "db");
    expect(await look()).toEqual(before);
  });
});

describe.runIf(mayMount && dockerInstalled)("Docker with live-restore", () => {
  let place: Place;
  let room: EngineRoom;
  let daemon: Daemon;
  let docker: DockerEngine;

  beforeAll(async () => {
    place = await makePlace("docker-live");
    room = await EngineRoom.open(path.join(place.dir, "engine"), "docker");
    daemon = await Daemon.start({
      dir: place.dir,
      args: ["--resources", "disk(*):64", "--docker-plugin", room.pluginSocket, "--docker-plugin-size", "8M"],
    });
    docker = await DockerEngine.start(room, "--live-restore");
  });

  afterAll(async () => {
    await docker?.remove();
    await daemon?.kill9();
    await room?.close();
    await place?.remove();
  });

  test("is killed and started again under a container that keeps its volume until it ends", async () => {
    const state = async () => (await requestJson<VolumeJson>(daemon.socket, { path: "/v1/volumes/docker/db" })).state;
    await docker.must("volume", "create", "--driver=holdfast", "--opt=shared=false", "db");
    expect(await docker.runDetached("one", "db")).toMatchObject({ status: 0 });
    const pid = await docker.pidOf("one");
    await docker.kill9();
    expect(await state()).toBe("attached");
    await docker.start();
    expect(await docker.pidOf("one")).toBe(pid);
    await docker.must("exec", "one", "sh", "-c", "echo hello > /data/greeting");
    expect((await docker.runOnce("db", "true")).status).not.toBe(0);
    expect((await docker.run("volume", "rm", "--force", "db")).status).not.toBe(0);
    await docker.must("rm", "--force", "one");
    await expect.poll(state, SEEN_SOON).toBe("detached");
    expect((await docker.runOnce("db", "cat /data/greeting")).stdout).toBe("hello");
    await docker.must("volume", "rm", "db");
  });
});

function lines(text: string): string[] {
  return text === "" ? [] : text.split("\n");
}
