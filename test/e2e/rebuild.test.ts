/** The checkpoint is lost or damaged: what the daemon says, and what `holdfast rebuild` brings back. */
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { ResourcesJson, StatusJson, VolumeJson } from "../../src/faces/http/wire.ts";
import { decodeVolumeLabel, encodeVolumeLabel } from "../../src/store/label.ts";
import { holdfast, mustHoldfast } from "./command.ts";
import { Daemon } from "./daemon.ts";
import { makePlace, type Place } from "./place.ts";
import { mayMount } from "./privileges.ts";
import { requestJson } from "./request.ts";
import { run } from "./run.ts";

const STATIC_ADS = { type: "STATIC", role: "ads" };
const OF_OPS = { type: "DYNAMIC", role: "web", principal: "ops", labels: { labels: [{ key: "tier", value: "gold" }] } };
const WEB = { type: "DYNAMIC", role: "web" };
const REFINED = { type: "DYNAMIC", role: "web/front", principal: "ops" };

let place: Place;
let disk: string;
let daemon: Daemon;

beforeEach(async () => {
  place = await makePlace("rebuild");
  disk = path.join(place.dir, "disk");
  await mkdir(disk);
});

afterEach(async () => {
  await daemon?.kill9();
  await place?.remove();
});

function resources(): string {
  const source = { type: "PATH", path: { root: disk } };
  return JSON.stringify([
    { name: "disk", type: "SCALAR", scalar: { value: 4096 }, role: "*" },
    { name: "disk", type: "SCALAR", scalar: { value: 1024 }, role: "ads" },
    { name: "disk", type: "SCALAR", scalar: { value: 512 }, role: "*", disk: { source } },
  ]);
}

async function start(): Promise<void> {
  daemon = await Daemon.start({ dir: place.dir, args: ["--resources", resources()] });
}

/** `holdfast`, as the superuser at the running daemon's socket. */
function agent(...args: string[]): Promise<string> {
  return mustHoldfast(...args, "--socket", daemon.socket.socketPath);
}

function rebuild() {
  return holdfast("rebuild", "--work-root", daemon.workRoot, "--resources", resources());
}

/** The `daemon` command with the daemon's options, for a start that is refused. */
function refusedStart() {
  return holdfast("daemon", "--work-root", daemon.workRoot, "--socket", path.join(place.dir, "other.sock"));
}

function call(method: string, url: string, body: object): Promise<unknown> {
  return requestJson(daemon.socket, { method, path: url, body });
}

async function operate(...operations: object[]): Promise<void> {
  await call("POST", "/v1/operations", { operations });
}

function reserve(sizeMb: number, reservations: readonly object[], disk?: object): object {
  return { type: "RESERVE", reserve: { resources: [resource(sizeMb, reservations, disk)] } };
}

interface VolumeOptions {
  readonly principal?: string;
  readonly shared?: boolean;
  readonly disk?: object;
}

function create(id: string, sizeMb: number, reservations: readonly object[], options: VolumeOptions = {}): object {
  const { principal, shared, disk = {} } = options;
  const volume = { mode: "RW", container_path: "data" };
  const persistence = { id, ...(principal !== undefined && { principal }) };
  const item = { ...resource(sizeMb, reservations, { ...disk, persistence, volume }), ...(shared && { shared: {} }) };
  return { type: "CREATE", create: { volumes: [item] } };
}

function resource(sizeMb: number, reservations: readonly object[], disk?: object): object {
  return { name: "disk", type: "SCALAR", scalar: { value: sizeMb }, reservations, ...(disk && { disk }) };
}

async function volumes(): Promise<readonly VolumeJson[]> {
  return (await requestJson<{ volumes: VolumeJson[] }>(daemon.socket, { path: "/v1/volumes" })).volumes;
}

async function volume(id: string): Promise<VolumeJson> {
  const found = (await volumes()).find((one) => one.id === id);
  if (found === undefined) throw new Error(`There is no volume ${id}`);
  return found;
}

async function contentOf(id: string): Promise<string> {
  return readFile(path.join((await volume(id)).path, "content"), "utf8");
}

function status(): Promise<StatusJson> {
  return requestJson<StatusJson>(daemon.socket, { path: "/v1/status" });
}

/** Everything that a rebuild has to bring back: not attachments, since when something is retained, and what is measured. */
async function memory(): Promise<object> {
  const { agentId, resources: free } = await requestJson<ResourcesJson>(daemon.socket, { path: "/v1/resources" });
  const kept = (await volumes()).map((volume) => {
    const { containers: _, retiredAt: __, dueAt: ___, usedBytes: ____, inodes: _____, state, ...rest } = volume;
    return { ...rest, state: state === "attached" ? "detached" : state };
  });
  return { agentId, resources: free.map((resource) => JSON.stringify(resource)).sort(), volumes: kept };
}

/** Labels of volumes are written before the answer, those of disks a moment later. */
async function labelled(root: string, text: string): Promise<void> {
  const label = path.join(root, "label");
  while (!(await readFile(label, "utf8").catch(() => "")).includes(text)) await sleep(20);
}

async function loseCheckpoint(): Promise<void> {
  await daemon.kill9();
  const meta = path.join(daemon.workRoot, "meta");
  for (const name of await readdir(meta)) await rm(path.join(meta, name), { recursive: true });
}

async function flipByte(file: string): Promise<void> {
  const bytes = await readFile(file);
  const middle = Math.floor(bytes.length / 2);
  bytes.writeUInt8(bytes.readUInt8(middle) ^ 1, middle);
  await writeFile(file, bytes);
}

/** Reservations of every kind, and volumes in every state that outlives a daemon. */
async function settle(): Promise<void> {
  const far = { source: { type: "PATH", path: { root: disk } } };
  await start();
  await operate(
    reserve(1024, [OF_OPS]),
    reserve(256, [OF_OPS, REFINED]),
    reserve(128, [STATIC_ADS, { ...OF_OPS, role: "ads/x" }]),
    reserve(256, [WEB], far),
    create("plain", 64, [STATIC_ADS], { principal: "creator" }),
    create("shared", 64, [STATIC_ADS], { shared: true }),
    create("grown", 64, [OF_OPS]),
    create("refined", 16, [OF_OPS, REFINED]),
    create("renamed", 16, [OF_OPS]),
    create("retained", 16, [OF_OPS]),
    create("away", 32, [WEB], { disk: far }),
  );
  await agent("grow", "web/grown", "--by", "32");
  for (const id of ["renamed", "retained"]) {
    const { path: content, resource } = await volume(id);
    await writeFile(path.join(content, "content"), id);
    await operate({ type: "DESTROY", destroy: { volumes: [resource] } });
  }
  await call("POST", "/v1/volumes/restore", { role: "web", id: "renamed", as: "other-name" });
}

/** Puts `ads/plain` into a sandbox, with content; returns the sandbox. */
async function attach(name = "sandbox"): Promise<string> {
  const sandbox = path.join(place.dir, name);
  await mkdir(sandbox, { recursive: true });
  await call("PUT", `/v1/containers/of-${name}`, { sandbox, volumes: [{ role: "ads", id: "plain" }] });
  return sandbox;
}

describe("rebuild", () => {
  const refused = async (workRoot: string) => {
    const outcome = await holdfast("rebuild", "--work-root", workRoot);
    expect(outcome).toMatchObject({ status: 1, stdout: "" });
    return outcome.stderr;
  };

  test("refuses a work root that is not there, and does not make it", async () => {
    const root = path.join(place.dir, "missing");
    expect(await refused(root)).toBe(`holdfast: Cannot rebuild: ${root} has no label of a node and no volume`);
    expect(await readdir(place.dir)).toEqual(["disk"]);
  });

  test("refuses an empty directory, and leaves it empty", async () => {
    expect(await refused(disk)).toContain("has no label of a node and no volume");
    expect(await readdir(disk)).toEqual([]);
  });

  test("refuses beside a running daemon", async () => {
    await start();
    await labelled(daemon.workRoot, "agentId");
    const { agentId } = await status();
    expect(await refused(daemon.workRoot)).toContain(`process ${daemon.pid} has it, stop that one first`);
    expect((await status()).agentId).toBe(agentId);
  });

  test("names what it cannot recover, and recovers the rest", async () => {
    await start();
    await operate(reserve(1024, [WEB]));
    for (const id of ["damaged", "unlabelled", "sound"]) {
      await operate(create(id, 16, [WEB]));
      await writeFile(path.join((await volume(id)).path, "content"), id);
    }
    const [damaged, unlabelled] = [await volume("damaged"), await volume("unlabelled")];
    await labelled(daemon.workRoot, "web");
    await loseCheckpoint();
    const label = path.join(path.dirname(damaged.path), "label");
    await flipByte(label);
    await rm(path.join(path.dirname(unlabelled.path), "label"));
    await rm(disk, { recursive: true });

    const { stdout } = await rebuild();
    expect(stdout).toMatch(/^Rebuilt 1 live and 0 retained volumes and 1 reservations\n/);
    expect(stdout).toContain(`Not recovered: ${label}: Cannot read the volume's label: its checksum is wrong\n`);
    expect(stdout).toContain(`Not recovered: ${path.dirname(unlabelled.path)} has content and no label\n`);
    expect(stdout).toContain(`Not recovered: disk ${disk} cannot be used (there is no such directory: `);
    await mkdir(disk);
    await daemon.start();
    expect((await volumes()).map(({ id }) => id)).toEqual(["sound"]);
    expect(await readFile(path.join(damaged.path, "content"), "utf8")).toBe("damaged");
    expect(await readFile(path.join(unlabelled.path, "content"), "utf8")).toBe("unlabelled");
    await expect.poll(async () => (await status()).problems).toHaveLength(2);
  });

  test("says that the agent id is lost with the node's label, and covers volumes with reservations", async () => {
    await start();
    await operate(reserve(1024, [OF_OPS]), reserve(256, [OF_OPS, REFINED]), create("refined", 16, [OF_OPS, REFINED]));
    await loseCheckpoint();
    for (const root of [daemon.workRoot, disk]) await rm(path.join(root, "label"), { force: true });
    const { stdout } = await rebuild();
    expect(stdout).toMatch(/^Rebuilt 1 live and 0 retained volumes and 2 reservations\n/);
    expect(stdout).toContain("Not recovered: the agent id and reservations without volumes");
    await daemon.start();
    expect(await volume("refined")).toMatchObject({ sizeMb: 16, state: "detached" });
    expect((await status()).problems).toEqual([]);
  });

  test("gives a name that two live volumes have to the newer one, and retains the other", async () => {
    await start();
    await operate(reserve(1024, [WEB]), create("first", 16, [WEB]), create("second", 16, [WEB]));
    const first = await volume("first");
    const second = await volume("second");
    await loseCheckpoint();
    const label = path.join(path.dirname(first.path), "label");
    const { id } = decodeVolumeLabel(await readFile(path.join(path.dirname(second.path), "label")));
    await writeFile(label, encodeVolumeLabel({ ...decodeVolumeLabel(await readFile(label)), id }));
    const { stdout } = await rebuild();
    expect(stdout).toContain(`${first.uuid} has the name web/second as ${second.uuid} has`);
    await daemon.start();
    await call("POST", "/v1/volumes/restore", { uuid: first.uuid, as: "first" });
    expect((await volumes()).map(({ uuid, id: name }) => [uuid, name])).toEqual([
      [first.uuid, "first"],
      [second.uuid, "second"],
    ]);
  });
});

describe("a lost checkpoint", () => {
  test("keeps the daemon from starting, and it says what to do", async () => {
    await start();
    await labelled(daemon.workRoot, "agentId");
    await loseCheckpoint();
    const { status, stderr } = await refusedStart();
    expect(status).toBe(1);
    expect(stderr.split("\n").at(-1)).toMatch(/^holdfast: Cannot open the checkpoint .*, run holdfast rebuild$/);
  });

  test("comes back from the labels, with everything but the attachments", async () => {
    await settle();
    const sandbox = await attach();
    await writeFile(path.join(sandbox, "data/content"), "plain");
    const before = await memory();
    await labelled(daemon.workRoot, "web/front");
    await labelled(disk, "web");
    await loseCheckpoint();

    const { status: exit, stdout } = await rebuild();
    expect(stdout).toMatch(/^Rebuilt 6 live and 1 retained volumes and 4 reservations\n/);
    expect(stdout).not.toContain("Not recovered");
    expect(exit).toBe(0);
    expect((await rebuild()).stdout).toContain("The old checkpoint is kept as ");

    await daemon.start();
    expect(await memory()).toEqual(before);
    expect((await status()).problems).toEqual([]);
    await call("POST", "/v1/volumes/restore", { role: "web", id: "retained" });
    expect(await contentOf("plain")).toBe("plain");
    expect(await contentOf("other-name")).toBe("renamed");
    expect(await contentOf("retained")).toBe("retained");
  });

  test.runIf(mayMount)("leaves mounts that nobody remembers, and rebuild says what to do with them", async () => {
    await start();
    await operate(create("plain", 64, [STATIC_ADS]));
    const sandbox = await attach();
    await writeFile(path.join(sandbox, "data/content"), "plain");
    await labelled(daemon.workRoot, "agentId");
    await loseCheckpoint();
    expect((await rebuild()).stdout).toContain(`Still mounted: ads/plain at ${sandbox}/data, unmount it first\n`);
    await daemon.start();
    // Whoever made a mount namespace meanwhile has a copy of the mount.
    const isInUse = /is mounted at .*\/sandbox\/data already|has it at/;
    await expect(attach()).rejects.toThrow(isInUse);
    await expect(attach("other")).rejects.toThrow(isInUse);
    await run("umount", path.join(sandbox, "data"));
    await attach();
    expect(await readFile(path.join(sandbox, "data/content"), "utf8")).toBe("plain");
  });
});

describe("a checkpoint of an earlier time", () => {
  test("is told by doctor, and rebuild brings back what came since", async () => {
    await start();
    await operate(reserve(1024, [OF_OPS]), create("grown", 64, [OF_OPS]));
    await daemon.stop();
    const checkpoint = path.join(daemon.workRoot, "meta/checkpoint.db");
    const earlier = await readFile(checkpoint);
    await daemon.start();
    await agent("grow", "web/grown", "--by", "32");
    await daemon.stop();
    await writeFile(checkpoint, earlier);

    const { status: exit, stdout } = await holdfast("doctor", "--work-root", daemon.workRoot);
    expect(exit).toBe(1);
    expect(stdout).toMatch(/^bad {4}volume web\/grown .*its label is newer than its record.*run holdfast rebuild$/m);
    expect((await rebuild()).status).toBe(0);
    await daemon.start();
    expect((await volume("grown")).sizeMb).toBe(96);
  });
});

describe("a damaged row of the checkpoint", () => {
  test("is shown, stops nothing else, and comes back by rebuild", async () => {
    await start();
    await operate(reserve(1024, [WEB]), create("struck", 16, [WEB]), create("sound", 16, [WEB]));
    const before = await memory();
    const { uuid } = await volume("struck");
    await daemon.stop();
    strike(uuid);

    await daemon.start();
    expect((await volumes()).map(({ id }) => id)).toEqual(["sound"]);
    const [problem, ...others] = (await status()).problems;
    expect(others).toEqual([]);
    expect(problem).toMatch(`The record ${uuid} in volumes is damaged`);
    expect(problem).toMatch(/: stop the daemon and run holdfast rebuild$/);
    await operate({ type: "DESTROY", destroy: { volumes: [(await volume("sound")).resource] } });
    await call("POST", "/v1/volumes/restore", { role: "web", id: "sound" });

    await daemon.stop();
    expect((await rebuild()).status).toBe(0);
    await daemon.start();
    expect(await memory()).toEqual(before);
    expect((await status()).problems).toEqual([]);
  });
});

/** Makes a volume's row what its checksum does not say. */
function strike(uuid: string): void {
  const database = new DatabaseSync(path.join(daemon.workRoot, "meta/checkpoint.db"));
  database.prepare("update volumes set crc = crc + 1 where key = ?").run(uuid);
  database.close();
}
