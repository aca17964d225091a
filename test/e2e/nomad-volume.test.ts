/**
 * Nomad's side of a dynamic host volume: the real program as a symlink or script in the plugin directory, run with exactly
 * the environment that Nomad gives, against the real daemon.
 */
import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { chmod, mkdir, readdir, readFile, stat, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { execa } from "execa";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { VolumeJson, VolumesJson } from "../../src/faces/agent-socket/wire.ts";
import { HOLDFAST, type Outcome } from "./command.ts";
import { Daemon } from "./daemon.ts";
import { makePlace, type Place } from "./place.ts";
import { mayMount } from "./privileges.ts";
import { requestJson } from "./request.ts";

const MIB = 2 ** 20;
/** What Nomad gives up after. */
const CREATE_MS_MAX = 60_000;

let place: Place;
let daemon: Daemon;
/** The plugin for a daemon whose socket is not where it is expected. */
let plugin: string;
/** Each test has a volume of its own. */
let id: string;

beforeAll(async () => {
  place = await makePlace("nomad");
  daemon = await Daemon.start({ dir: place.dir, args: ["--resources", "disk(*):200"] });
  plugin = path.join(place.dir, "holdfast");
  const script = `#!/bin/sh\nexec ${HOLDFAST} nomad-volume "$1" --socket ${daemon.socket.socketPath}\n`;
  await writeFile(plugin, script);
  await chmod(plugin, 0o755);
});

afterAll(async () => {
  await daemon.stop();
  await place.remove();
});

beforeEach(() => {
  id = randomUUID();
});

afterEach(() => call("delete"));

interface Wanted {
  readonly min?: number;
  readonly max?: number;
  readonly parameters?: unknown;
  readonly volume?: string;
}

/** Calls the plugin as Nomad does: nothing of our own environment reaches it. */
async function call(operation: "fingerprint" | "create" | "delete", wanted: Wanted = {}): Promise<Outcome> {
  const { min = 0, max = 0, parameters = null, volume = id } = wanted;
  const common = {
    DHV_OPERATION: operation,
    DHV_VOLUMES_DIR: volumesDir(),
    DHV_PLUGIN_DIR: place.dir,
    DHV_NAMESPACE: "default",
    DHV_VOLUME_NAME: "db",
    DHV_VOLUME_ID: volume,
    DHV_NODE_ID: "7c1d",
    DHV_NODE_POOL: "default",
    DHV_PARAMETERS: JSON.stringify(parameters),
  };
  const own =
    operation === "create"
      ? { DHV_CAPACITY_MIN_BYTES: String(min), DHV_CAPACITY_MAX_BYTES: String(max) }
      : { DHV_CREATED_PATH: path.join(volumesDir(), volume) };
  const environment = operation === "fingerprint" ? { DHV_OPERATION: operation } : { ...common, ...own };
  return callWith(plugin, operation, environment);
}

async function callWith(program: string, operation: string, env: Readonly<Record<string, string>>): Promise<Outcome> {
  const options = { env, extendEnv: false, stdin: "ignore", reject: false, timeout: CREATE_MS_MAX } as const;
  const { exitCode, stdout, stderr } = await execa(program, [operation], options);
  return { status: exitCode, stdout, stderr };
}

const volumesDir = () => path.join(place.dir, "host_volumes");

/** Calls it, expects it to work, and returns its answer. */
async function must(operation: "create" | "delete", wanted?: Wanted): Promise<unknown> {
  const outcome = await call(operation, wanted);
  expect(outcome).toMatchObject({ status: 0, stderr: "" });
  return JSON.parse(outcome.stdout);
}

/** What the daemon has of the test's volume. */
async function volumes(): Promise<readonly VolumeJson[]> {
  const { volumes } = await requestJson<VolumesJson>(daemon.socket, { path: "/v1/volumes" });
  return volumes.filter((volume) => volume.id === id);
}

async function unreservedMb(): Promise<number | undefined> {
  type Resources = {
    readonly resources: readonly { readonly reservations?: unknown; readonly scalar: { value: number } }[];
  };
  const { resources } = await requestJson<Resources>(daemon.socket, { path: "/v1/resources" });
  return resources.find(({ reservations }) => reservations === undefined)?.scalar.value;
}

describe("refused, with nothing made", () => {
  test.each<[string, Wanted, string]>([
    ["more than there is", { min: 500 * MIB }, "500 MB"],
    ["an unknown parameter", { min: MIB, parameters: { size: "1" } }, "size"],
    ["parameters that are no object", { min: MIB, parameters: [1] }, "DHV_PARAMETERS"],
    ["a role with a wildcard", { min: MIB, parameters: { role: "*" } }, "role"],
    ["a uid without a gid", { min: MIB, parameters: { uid: "1000" } }, "uid and gid"],
    ["a capacity with no whole MiB in it", { min: MIB + 1, max: 2 * MIB - 1 }, "capacity"],
    ["an id that climbs out", { min: MIB, volume: "../x" }, "DHV_VOLUME_ID"],
    ["a disk that is not there", { min: MIB, parameters: { disk: "/no/such" } }, "/no/such"],
  ])("%s", async (_what, wanted, named) => {
    const { status, stdout, stderr } = await call("create", wanted);
    expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
    expect(stderr).toMatch(/^holdfast: Cannot [^\n]+$/);
    expect(stderr).toContain(named);
    expect(await volumes()).toEqual([]);
    expect(await unreservedMb()).toBe(200);
  });

  test("a deletion while a process sits in the volume", async () => {
    const { path: where } = (await must("create", { min: MIB })) as { readonly path: string };
    const sitting = execa("sleep", ["100"], { cwd: where, reject: false });
    const { status, stderr } = await call("delete");
    sitting.kill("SIGKILL");
    await sitting;
    expect(status).toBe(1);
    expect(stderr).toContain(String(sitting.pid));
    expect((await volumes()).map(({ state }) => state)).toEqual(["attached"]);
  });

  test("an empty volume in place of one that was destroyed, until it is restored or given up", async () => {
    await must("create", { min: MIB });
    await writeFile(path.join(volumesDir(), id, "file"), "kept");
    await must("delete");
    const [destroyed] = await volumes();
    const { status, stdout, stderr } = await call("create", { min: MIB });
    expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
    expect(stderr).toContain(`destroyed at ${destroyed?.retiredAt}`);
    expect(stderr).toContain(`holdfast restore nomad/${id}`);
    expect(stderr).toContain(`holdfast gc ${destroyed?.uuid}`);
    expect(await volumes()).toMatchObject([{ uuid: destroyed?.uuid, state: "retained" }]);
    expect(await unreservedMb()).toBe(200);
    expect(existsSync(path.join(volumesDir(), id))).toBe(false);
  });

  test("what is asked while the daemon is away", async () => {
    await daemon.stop();
    const outcome = await call("create", { min: MIB });
    await daemon.start();
    expect(outcome).toMatchObject({ status: 1, stdout: "" });
  });
});

test("a symlink to the program in the plugin directory is the plugin, and is known by what Nomad says alone", async () => {
  const link = path.join(place.dir, "plugins/holdfast");
  await mkdir(path.dirname(link));
  await symlink(HOLDFAST, link);
  const { status, stdout } = await callWith(link, "fingerprint", { DHV_OPERATION: "fingerprint" });
  expect(status).toBe(0);
  expect(JSON.parse(stdout)).toEqual({ version: expect.stringMatching(/^\d+\.\d+\.\d+/) });
});

test.runIf(mayMount)("create makes a volume that the kernel shows where Nomad looks for it", async () => {
  const answer = await must("create", { min: 5 * MIB + 1, parameters: { uid: "1234", gid: "1235" } });
  const where = path.join(volumesDir(), id);
  expect(answer).toEqual({ path: where, bytes: 6 * MIB });
  expect(await stat(where)).toMatchObject({ uid: 1234, gid: 1235 });
  expect(await readFile("/proc/self/mountinfo", "utf8")).toContain(` ${where} `);
  expect(await volumes()).toMatchObject([
    { role: "nomad", id, sizeMb: 6, state: "attached", containers: [`nomad-${id}`] },
  ]);
});

test("create again, as when the agent starts, changes nothing, also ten times at once", async () => {
  const first = await must("create", { min: MIB });
  await writeFile(path.join(volumesDir(), id, "file"), "kept");
  const again = await Promise.all(Array.from({ length: 10 }, () => must("create", { min: MIB })));
  expect(new Set(again.map((answer) => JSON.stringify(answer)))).toEqual(new Set([JSON.stringify(first)]));
  expect(await readFile(path.join(volumesDir(), id, "file"), "utf8")).toBe("kept");
  expect(await unreservedMb()).toBe(199);
});

test("create at the same time makes one volume", async () => {
  const answers = await Promise.all(Array.from({ length: 5 }, () => must("create", { min: MIB })));
  expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1);
  expect(await volumes()).toHaveLength(1);
  expect(await unreservedMb()).toBe(199);
});

test("a larger capacity grows it, and a largest one below its size is refused", async () => {
  await must("create", { min: 2 * MIB });
  expect(await must("create", { min: 4 * MIB })).toMatchObject({ bytes: 4 * MIB });
  expect(await must("create", { min: MIB })).toMatchObject({ bytes: 4 * MIB });
  expect(await unreservedMb()).toBe(196);
  expect((await call("create", { max: 3 * MIB })).stderr).toContain("at most 3 MB are wanted");
});

test("without a capacity it is the default size, or the largest that is allowed", async () => {
  expect(await must("create", { max: 7 * MIB })).toMatchObject({ bytes: 7 * MIB });
  expect((await call("create", { volume: "other" })).stderr).toContain("1024 MB");
});

test("delete retains the content and gives the disk back, and is repeated without harm", async () => {
  const { path: where } = (await must("create", { min: MIB })) as { readonly path: string };
  await writeFile(path.join(where, "file"), "kept");
  await must("delete");
  await must("delete");
  expect(existsSync(where)).toBe(false);
  const [volume] = await volumes();
  expect(volume).toMatchObject({ state: "retained", id });
  expect(await readFile(path.join(volume?.path ?? "", "file"), "utf8")).toBe("kept");
  expect(await unreservedMb()).toBe(200);
});

test("create after a restore has the content that was destroyed", async () => {
  const first = await must("create", { min: MIB });
  await writeFile(path.join(volumesDir(), id, "file"), "kept");
  await must("delete");
  await requestJson(daemon.socket, { method: "POST", path: "/v1/volumes/restore", body: { role: "nomad", id } });
  expect(await must("create", { min: MIB })).toEqual(first);
  expect(await readFile(path.join(volumesDir(), id, "file"), "utf8")).toBe("kept");
});

test("create after what was destroyed is given up makes an empty volume", async () => {
  const first = await must("create", { min: MIB });
  await writeFile(path.join(volumesDir(), id, "file"), "given up");
  await must("delete");
  const [destroyed] = await volumes();
  await requestJson(daemon.socket, { method: "POST", path: "/v1/gc", body: { uuids: [destroyed?.uuid] } });
  expect(await must("create", { min: MIB })).toEqual(first);
  expect(await readdir(path.join(volumesDir(), id))).toEqual([]);
});

test("delete of what was never made is done, as after a first create that failed", async () => {
  await must("delete");
});

test("create after kill -9 of the daemon finds its volume", async () => {
  const first = await must("create", { min: MIB });
  await daemon.kill9();
  await daemon.start();
  expect(await must("create", { min: MIB })).toEqual(first);
});
