/** Marathon's `/sesame/samson` through its whole life, with real containers, and a daemon that is killed on the way. */
import { readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { AppAnswerJson, TaskJson, VolumeJson, VolumesJson } from "../../src/faces/agent-socket/wire.ts";
import { startResident } from "../support/resident.ts";
import { holdfast, mustHoldfast } from "./command.ts";
import { type HookScene, openScene } from "./hook-scene.ts";
import { mayMount } from "./privileges.ts";
import { requestJson } from "./request.ts";

const ID = "/sesame/samson";
const SOON = { timeout: 5_000, interval: 20 };
/** Tells whose data it found, and leaves its own name; then it runs until somebody ends it. */
const SCRIPT = (name: string) => `echo ${name} >> /srv/data/names; exec sleep 1000`;

let scene: HookScene;

/** `attached samson-1` for each instance. */
async function states(): Promise<readonly string[]> {
  return (await tasks()).map(({ state, containers }) => [state, ...containers].join(" "));
}

async function tasks(): Promise<readonly TaskJson[]> {
  const { app } = await requestJson<AppAnswerJson>(scene.daemon.socket, { path: `/v2/apps${ID}` });
  return app.tasks ?? [];
}

async function volumes(): Promise<readonly VolumeJson[]> {
  return (await requestJson<VolumesJson>(scene.daemon.socket, { path: "/v1/volumes" })).volumes;
}

async function start(id: string): Promise<void> {
  const outcome = await scene.tool.start({
    id,
    script: SCRIPT(id),
    annotations: { "io.holdfast.app": ID, "io.holdfast.sandbox": "/srv" },
  });
  if (outcome.status !== 0) throw new Error(`${id} did not start: ${outcome.stderr}`);
}

async function kill9(id: string): Promise<void> {
  process.kill(await scene.tool.pidOf(id), "SIGKILL");
}

/** The containers that wrote into the volume that this one has, in their order. */
async function namesIn(container: string): Promise<string> {
  const found = (await volumes()).find(({ containers }) => containers.includes(container));
  if (found === undefined) throw new Error(`Container ${container} has no volume`);
  return readNames(found, container);
}

/** A container has started before its script has written its own name. */
async function readNames({ path: content }: VolumeJson, last: string): Promise<string> {
  const read = async () => (await readFile(path.join(content, "names"), "utf8").catch(() => "")).trim().split("\n");
  await expect.poll(async () => (await read()).at(-1), SOON).toBe(last);
  return (await read()).join(" ");
}

const cli = (...args: string[]) => mustHoldfast(...args, "--socket", scene.daemon.socket.socketPath);
const tryCli = (...args: string[]) => holdfast(...args, "--socket", scene.daemon.socket.socketPath);

async function define(rest: object): Promise<string> {
  const volume = { containerPath: "data", mode: "RW", persistent: { size: 8 } };
  const definition = {
    id: ID,
    cmd: "touch data/file && sleep 1000",
    cpus: 0.5,
    mem: 32,
    role: "ads",
    container: { type: "MESOS", volumes: [volume] },
    residency: { taskLostBehavior: "WAIT_FOREVER", relaunchEscalationTimeoutSeconds: 3600 },
    ...rest,
  };
  const file = path.join(scene.dir, "samson.json");
  await writeFile(file, JSON.stringify(definition));
  return file;
}

describe.runIf(mayMount)("/sesame/samson (needs root with CAP_SYS_ADMIN, and runc)", () => {
  beforeEach(async () => {
    scene = await openScene("runc", { daemonArgs: ["--resources", "disk(*):64", "--reconcile-interval", "1s"] });
  });
  afterEach(() => scene?.close());

  test("keeps every instance's data from its first container to its last", async () => {
    const before = await scene.traces();
    expect(await cli("app", "create", await define({ instances: 2 }))).toBe(
      `Created app ${ID} with 2 instances for role ads`,
    );
    expect(await requestJson(scene.daemon.http, { path: "/v2/apps" })).toMatchObject({
      apps: [{ id: ID, instances: 2 }],
    });
    const ids = (await volumes()).map(({ id }) => id);
    expect(ids.every((id) => /^sesame_samson#data#[0-9a-f-]{36}$/.test(id))).toBe(true);

    await start("samson-1");
    await start("samson-2");
    expect(await states()).toEqual(["TASK_RUNNING samson-1", "TASK_RUNNING samson-2"]);
    expect([await namesIn("samson-1"), await namesIn("samson-2")]).toEqual(["samson-1", "samson-2"]);
    await scene.tool.start({ id: "one-too-many", script: "true", annotations: { "io.holdfast.app": ID } });
    expect(await scene.tool.list()).not.toContain("one-too-many");

    await kill9("samson-1");
    await expect.poll(states, SOON).toEqual(["TASK_LOST", "TASK_RUNNING samson-2"]);
    await scene.daemon.kill9();
    await scene.daemon.start();
    expect(await states()).toEqual(["TASK_LOST", "TASK_RUNNING samson-2"]);
    await start("samson-3");
    expect(await namesIn("samson-3")).toBe("samson-1 samson-3");
    expect(await states()).toEqual(["TASK_RUNNING samson-3", "TASK_RUNNING samson-2"]);

    await scene.daemon.kill9();
    await kill9("samson-2");
    await scene.daemon.start();
    expect(await states()).toEqual(["TASK_RUNNING samson-3", "TASK_LOST"]);

    expect(await cli("app", "scale", ID, "1")).toBe(`App ${ID} has 1 instance now`);
    expect(await states()).toEqual(["TASK_RUNNING samson-3", "TASK_KILLED"]);
    await cli("app", "scale", ID, "3");
    await start("samson-4");
    expect(await namesIn("samson-4")).toBe("samson-2 samson-4");
    expect(await states()).toEqual(["TASK_RUNNING samson-3", "TASK_RUNNING samson-4", "TASK_STAGING"]);

    expect((await tryCli("app", "delete", ID)).stderr).toContain("attached to container samson-3, samson-4");
    const [first] = await tasks();
    await scene.tool.remove("samson-3");
    await expect.poll(states, SOON).toEqual(["TASK_LOST", "TASK_RUNNING samson-4", "TASK_STAGING"]);
    expect(await cli("app", "wipe", ID, first?.id ?? "")).toBe(`Wiped 1 instance of app ${ID}`);
    expect((await tasks()).map(({ id }) => id)).not.toContain(first?.id);
    await start("samson-5");
    expect(await namesIn("samson-5")).toBe("samson-5");

    await scene.tool.clear();
    await expect.poll(async () => (await states()).filter((state) => state.includes("RUNNING")), SOON).toEqual([]);
    expect(await cli("app", "delete", ID)).toBe(`Deleted app ${ID}, what its volumes held is retained`);
    expect(await cli("app", "list")).toBe("No apps");
    const retained = await volumes();
    expect(retained.map(({ state }) => state)).toEqual(Array(4).fill("retained"));

    const last = retained.find(({ uuid }) => uuid === first?.localVolumes[0]?.uuid) ?? retained[0];
    await cli("restore", "--uuid", last?.uuid ?? "");
    expect((await volumes()).filter(({ state }) => state === "detached")).toHaveLength(1);
    expect(await scene.traces()).toEqual(before);
  }, 120_000);

  test("gets a fresh instance when the lost one was missing for too long, and keeps the old data", async () => {
    const residency = { taskLostBehavior: "RELAUNCH_AFTER_TIMEOUT", relaunchEscalationTimeoutSeconds: 1 };
    await cli("app", "create", await define({ instances: 1, residency }));
    await start("samson-1");
    await namesIn("samson-1");
    await kill9("samson-1");
    await expect.poll(states, SOON).toEqual(["TASK_LOST"]);
    await new Promise((resolve) => setTimeout(resolve, 1_200));
    await start("samson-2");
    expect(await namesIn("samson-2")).toBe("samson-2");
    expect(await states()).toEqual(["TASK_KILLED", "TASK_RUNNING samson-2"]);
    const [old] = (await volumes()).filter(({ state }) => state === "detached");
    expect(old === undefined ? undefined : await readNames(old, "samson-1")).toBe("samson-1");
  });

  test("is attached by the command line to a process that runs, and shows who has it", async () => {
    await cli("app", "create", await define({ instances: 1 }));
    const resident = await startResident(`mkdir -p ${scene.dir}/box`, { ownNamespace: true });
    try {
      const place = ["--pid", String(resident.pid), "--sandbox", `${scene.dir}/box`];
      const printed = await cli("attach", "--app", ID, "--container", "box", ...place);
      expect(printed).toMatch(/^Attached ads\/sesame_samson#data#[0-9a-f-]{36} to box at .*\/box\/data inside process/);
      expect(await cli("attach", "--app", ID, "--container", "box", ...place)).toBe(printed);
      expect(await cli("app", "show", ID)).toMatch(/sesame_samson\.\S+ +attached +box +sesame_samson#data#/);
      await cli("detach", "box");
      expect(await states()).toEqual(["TASK_FINISHED"]);
    } finally {
      await resident.stop();
    }
  });

  test("is there again with its data when the checkpoint is lost", async () => {
    const file = await define({ instances: 2 });
    await cli("app", "create", file);
    await start("samson-1");
    await namesIn("samson-1");
    await scene.tool.clear();
    await expect.poll(states, SOON).toEqual(["TASK_LOST", "TASK_STAGING"]);
    const ids = (await tasks()).map(({ id }) => id).sort();
    await scene.daemon.stop();
    await rm(path.join(scene.daemon.workRoot, "meta"), { recursive: true });
    const resources = ["--resources", "disk(*):64"];
    const rebuilt = await mustHoldfast("rebuild", "--work-root", scene.daemon.workRoot, ...resources);
    expect(rebuilt).toContain(`App ${ID} has its 2 instances again`);
    await scene.daemon.start();
    expect((await tasks()).map(({ id }) => id).sort()).toEqual(ids);
    const body = JSON.parse(await readFile(file, "utf8")) as object;
    await requestJson(scene.daemon.socket, { method: "PUT", path: `/v2/apps${ID}`, body });
    await start("samson-2");
    await start("samson-3");
    // Nobody remembers which of them was used: either may get it.
    const names = [await namesIn("samson-2"), await namesIn("samson-3")];
    expect(names.filter((found) => found.startsWith("samson-1 "))).toHaveLength(1);
  });
});
