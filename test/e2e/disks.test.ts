/** Disks beside the work root's, as real file systems that come and go under the real daemon. */
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { GcJson, StatusJson, VolumeJson } from "../../src/faces/http/wire.ts";
import { holdfast } from "./command.ts";
import { Daemon } from "./daemon.ts";
import { LoopDisk } from "./loop-disk.ts";
import { makePlace, type Place } from "./place.ts";
import { mayMount } from "./privileges.ts";
import { request, requestJson } from "./request.ts";
import { run } from "./run.ts";

const ROLE = "ads";
const RESERVED = [{ type: "DYNAMIC", role: ROLE }];
const SIZE_MB = 16;
const MOUNT_MB = 40;
/** Looks at the disks come this often. */
const INTERVAL = "1s";
const SOON_MS = 10_000;

type Where = "root" | "d1" | "m1";

let place: Place;
let daemon: Daemon;
const loops: LoopDisk[] = [];

beforeEach(async () => {
  place = await makePlace("disks");
  declared = ["root", "d1", "m1"];
  await Promise.all(["d1", "m1", "sandbox"].map((name) => mkdir(at(name))));
});

afterEach(async () => {
  await daemon?.kill9();
  await place?.remove();
  for (const loop of loops.splice(0)) await loop.detach();
});

const at = (...names: string[]): string => path.join(place.dir, ...names);

async function makeDisk(name: string): Promise<LoopDisk> {
  const loop = await LoopDisk.make(place.dir, name);
  loops.push(loop);
  return loop;
}

function sourceOf(where: Where): object {
  if (where === "root") return {};
  const source =
    where === "d1" ? { type: "PATH", path: { root: at("d1") } } : { type: "MOUNT", mount: { root: at("m1") } };
  return { source };
}

/** What the daemon is told of. */
let declared: readonly Where[];

function resources(): string {
  const disk = (value: number, where: Where) => ({
    name: "disk",
    type: "SCALAR",
    scalar: { value },
    ...(where === "root" ? {} : { disk: sourceOf(where) }),
  });
  return JSON.stringify(declared.map((where) => disk(where === "root" ? 1_000 : 40, where)));
}

async function start(): Promise<void> {
  daemon = await Daemon.start({ dir: place.dir, args: ["--resources", resources(), "--reconcile-interval", INTERVAL] });
}

function reserved(where: Where, sizeMb: number): object {
  const disk = where === "root" ? {} : { disk: sourceOf(where) };
  return { name: "disk", type: "SCALAR", scalar: { value: sizeMb }, reservations: RESERVED, ...disk };
}

function described(id: string, where: Where, sizeMb: number): object {
  const volume = { persistence: { id }, volume: { mode: "RW", container_path: "data" } };
  return { ...reserved(where, sizeMb), disk: { ...volume, ...sourceOf(where) } };
}

async function operate(door: string, field: string, item: object) {
  const { id } = await requestJson<{ id: string }>(daemon.http, { path: "/state" });
  const body = `slaveId=${id}&${field}=${encodeURIComponent(JSON.stringify([item]))}`;
  return request(daemon.http, { method: "POST", path: door, body });
}

async function mustOperate(door: string, field: string, item: object): Promise<void> {
  const { status, text } = await operate(door, field, item);
  if (status !== 200) throw new Error(`POST ${door}: ${status}: ${text}`);
}

async function create(id: string, where: Where, sizeMb = SIZE_MB): Promise<void> {
  await mustOperate("/reserve", "resources", reserved(where, sizeMb));
  await mustOperate("/create-volumes", "volumes", described(id, where, sizeMb));
}

const destroy = (id: string, where: Where, sizeMb = SIZE_MB) =>
  mustOperate("/destroy-volumes", "volumes", described(id, where, sizeMb));

const show = (id: string) => requestJson<VolumeJson>(daemon.socket, { path: `/v1/volumes/${ROLE}/${id}` });
const problems = async () => (await requestJson<StatusJson>(daemon.socket, { path: "/v1/status" })).problems;

function attach(id: string) {
  const body = { sandbox: at("sandbox"), volumes: [{ role: ROLE, id }] };
  return request(daemon.socket, { method: "PUT", path: `/v1/containers/web-${id}`, body });
}

const detach = (id: string) => request(daemon.socket, { method: "DELETE", path: `/v1/containers/web-${id}` });

/** Attaches it, does something with the content, and detaches it. */
async function withContent<T>(id: string, work: (directory: string) => Promise<T>): Promise<T> {
  const attached = await attach(id);
  if (attached.status !== 200) throw new Error(`Cannot attach ${id}: ${attached.status}: ${attached.text}`);
  try {
    return await work(at("sandbox", "data"));
  } finally {
    expect((await detach(id)).status).toBeLessThan(300);
  }
}

const write = (id: string, text: string) => withContent(id, (dir) => writeFile(path.join(dir, "file"), text));
const read = (id: string) => withContent(id, (dir) => readFile(path.join(dir, "file"), "utf8"));

async function gc(uuid: string, lost = false): Promise<GcJson> {
  const body = { uuids: [uuid], ...(lost ? { lost: true } : {}) };
  return requestJson<GcJson>(daemon.socket, { method: "POST", path: "/v1/gc", body });
}

/** Waits until it is so, a few looks of the daemon at most. */
async function soon(what: string, isSo: () => Promise<boolean>): Promise<void> {
  const endMs = performance.now() + SOON_MS;
  while (!(await isSo())) {
    if (performance.now() > endMs) throw new Error(`Not within ${SOON_MS} ms: ${what}: ${await problems()}`);
    await sleep(50);
  }
}

const isState = (id: string, state: string) => soon(`${id} ${state}`, async () => (await show(id)).state === state);

/** The work root's volumes are nobody's business here. */
const rootServes = async () => expect((await show("here")).state).toBe("detached");

describe.runIf(mayMount)("a MOUNT disk", () => {
  test("goes as a whole: reserved, used, set aside on itself, restored and deleted", async () => {
    await (await makeDisk("m1.img")).mount(at("m1"));
    await start();
    expect((await operate("/reserve", "resources", reserved("m1", 20))).status).toBe(409);
    await create("whole", "m1", MOUNT_MB);
    await write("whole", "kept");
    const { uuid } = await show("whole");
    await destroy("whole", "m1", MOUNT_MB);
    expect(await readFile(at("m1", "trash", uuid, "content", "file"), "utf8")).toBe("kept");
    await requestJson(daemon.socket, { method: "POST", path: "/v1/volumes/restore", body: { uuid } });
    expect(await read("whole")).toBe("kept");
    await destroy("whole", "m1", MOUNT_MB);
    expect((await gc(uuid)).collected?.map((one) => one.uuid)).toEqual([uuid]);
    expect(await readdir(at("m1", "trash"))).toEqual([]);
  });

  test("that is not mounted at the start is not made in the directory below", async () => {
    const loop = await makeDisk("m1.img");
    await start();
    expect(await problems()).toContainEqual(expect.stringContaining("nothing is mounted there: mount it"));
    expect(await readdir(at("m1"))).toEqual([]);
    const refusal = await operate("/reserve", "resources", reserved("m1", MOUNT_MB));
    expect(refusal.text).toContain("nothing is mounted there");
    await loop.mount(at("m1"));
    await soon(
      "the disk is used",
      async () => (await operate("/reserve", "resources", reserved("m1", MOUNT_MB))).status === 200,
    );
  });
});

describe.runIf(mayMount)("a PATH disk", () => {
  let loop: LoopDisk;

  beforeEach(async () => {
    declared = ["root", "d1"];
    loop = await makeDisk("d1.img");
    await loop.mount(at("d1"));
    await start();
    await create("here", "root");
    await create("there", "d1");
    await write("there", "kept");
  });

  test("that is absent at the start disables its own volumes, and comes back without a restart", async () => {
    await daemon.kill9();
    await run("umount", at("d1"));
    await daemon.start();
    expect(await show("there")).toMatchObject({ state: "damaged" });
    expect(await problems()).toEqual([
      expect.stringMatching(/^Disk .*\/d1 with 1 volume cannot be used: nothing is mounted there/),
    ]);
    expect(await readdir(at("d1"))).toEqual([]);
    expect((await attach("there")).status).toBe(409);
    await rootServes();
    await create("another", "root");

    await loop.mount(at("d1"));
    await isState("there", "detached");
    expect(await read("there")).toBe("kept");
    expect(await problems()).toEqual([]);
  });

  test("that is replaced is not used until the lost volumes are given up, and the old one never touched", async () => {
    const { uuid } = await show("there");
    await daemon.stop();
    await run("umount", at("d1"));
    const other = await makeDisk("other.img");
    await other.mount(at("d1"));
    await daemon.start();
    expect(await problems()).toEqual([expect.stringContaining("another disk is in its place (file system UUID")]);
    expect(await readdir(at("d1"))).toEqual(["lost+found"]);
    await rootServes();

    await destroy("there", "d1");
    expect(await show("there")).toMatchObject({ state: "destroying" });
    expect(await problems()).toHaveLength(1);
    expect((await gc(uuid, true)).collected?.map((one) => one.uuid)).toEqual([uuid]);
    await soon("the other disk is used", async () => (await problems()).length === 0);
    await create("fresh", "d1");
    expect((await readdir(at("d1", "volumes"))).length).toBeGreaterThan(0);

    await loop.mount(at("m1"));
    expect(await readFile(at("m1", "volumes", uuid, "content", "file"), "utf8")).toBe("kept");
  });

  test("that is unmounted lazily while it runs, and mounted again, serves on", async () => {
    await run("umount", "--lazy", at("d1"));
    await isState("there", "damaged");
    await rootServes();
    expect((await operate("/reserve", "resources", reserved("d1", 1))).status).toBe(409);
    await loop.mount(at("d1"));
    await isState("there", "detached");
    expect(await read("there")).toBe("kept");
    await create("another", "d1");
    await write("another", "new");
  });

  test("that is unmounted and mounted again between two looks serves on", async () => {
    await run("umount", "--lazy", at("d1"));
    await loop.mount(at("d1"));
    await sleep(1_500);
    await isState("there", "detached");
    expect(await read("there")).toBe("kept");
  });

  test("stays with the container that has it when it is unmounted lazily, and lets go of it", async () => {
    expect((await attach("there")).status).toBe(200);
    await run("umount", "--lazy", at("d1"));
    await isState("there", "damaged");
    expect(await readFile(at("sandbox", "data", "file"), "utf8")).toBe("kept");
    expect((await detach("there")).status).toBeLessThan(300);
    await loop.mount(at("d1"));
    await isState("there", "detached");
  });

  test("with another file system mounted over it is not confused with that", async () => {
    await (await makeDisk("over.img")).mount(at("d1"));
    await isState("there", "damaged");
    expect(await readdir(at("d1"))).toEqual(["lost+found"]);
    // Busy while the daemon looks at it.
    await expect.poll(() => run("umount", at("d1")).then(() => "done", String), { timeout: 5_000 }).toBe("done");
    await isState("there", "detached");
    expect(await read("there")).toBe("kept");
  });

  test("whose device fails is let go of, and serves again when it was repaired and mounted", async () => {
    await run("sync", "--file-system", at("d1"));
    await run("xfs_io", "-x", "-c", "shutdown", at("d1"));
    await isState("there", "damaged");
    expect(await problems()).toEqual([expect.stringContaining("it reports an error")]);
    await rootServes();
    await run("umount", at("d1"));
    await run("fsck.ext4", "-p", loop.device);
    await loop.mount(at("d1"));
    await isState("there", "detached");
    expect(await read("there")).toBe("kept");
    expect(await problems()).toEqual([]);
  });

  test("that becomes read-only keeps its volumes, refuses new ones and says so", async () => {
    await run("mount", "-o", "remount,ro", at("d1"));
    await soon("it is a problem", async () => (await problems()).some((one) => one.includes("is read-only")));
    expect((await operate("/reserve", "resources", reserved("d1", 1))).status).toBe(409);
    expect(await read("there")).toBe("kept");
    await rootServes();
    await run("mount", "-o", "remount,rw", at("d1"));
    await soon("it is none any more", async () => (await problems()).length === 0);
    await create("another", "d1");
  });

  test("that is read-only at the start serves its volumes, and so it does after a kill", async () => {
    await daemon.kill9();
    await run("mount", "-o", "remount,ro", at("d1"));
    await daemon.start();
    expect(await show("there")).toMatchObject({ state: "detached" });
    expect(await problems()).toEqual([expect.stringContaining("is read-only")]);
    await daemon.kill9();
    await run("mount", "-o", "remount,rw", at("d1"));
    await daemon.start();
    expect(await problems()).toEqual([]);
  });

  test("comes back also when the daemon is killed in the middle of that, again and again", async () => {
    for (let delayMs = 0; delayMs <= 200; delayMs += 40) {
      await run("umount", "--lazy", at("d1"));
      await sleep(delayMs);
      await daemon.kill9();
      const started = daemon.start();
      await sleep(delayMs);
      await loop.mount(at("d1"));
      await started;
      await isState("there", "detached");
      await rootServes();
    }
    expect(await read("there")).toBe("kept");
    expect(await problems()).toEqual([]);
  });

  test("is missed by doctor, once, and kept by rebuild", async () => {
    await daemon.stop();
    await run("umount", at("d1"));
    const flags = ["--work-root", daemon.workRoot, "--resources", resources()];
    const doctor = await holdfast("doctor", ...flags, "--socket", daemon.socket.socketPath);
    const about = doctor.stdout.split("\n").filter((line) => line.includes("/d1"));
    expect(about).toEqual([expect.stringMatching(/^bad .*its 1 volume cannot be used: nothing is mounted there/)]);

    const rebuilt = await holdfast("rebuild", ...flags);
    expect(rebuilt.stdout).toMatch(/\/d1 cannot be used .*: 1 volume kept as the old checkpoint has them/);
    await daemon.start();
    expect(await show("there")).toMatchObject({ state: "damaged" });
    await loop.mount(at("d1"));
    await isState("there", "detached");
    expect(await read("there")).toBe("kept");
  });
});

test("disks inside one another are refused at the start", async () => {
  const inner = { type: "PATH", path: { root: at("d1", "inner") } };
  const items = [{ name: "disk", type: "SCALAR", scalar: { value: 1 }, disk: sourceOf("d1") }];
  const text = JSON.stringify([...items, { ...items[0], disk: { source: inner } }]);
  const flags = ["--work-root", at("root"), "--socket", at("agent.sock"), "--listen", "127.0.0.1:0"];
  const { status, stderr } = await holdfast("daemon", "--check", ...flags, "--resources", text);
  expect(stderr).toMatch(/PATH disk ".*\/d1\/inner" is inside PATH disk ".*\/d1"/);
  expect(status).toBe(1);
});
