/** A real daemon on file systems that hold a directory to its size: what a container, an operator and a full disk see. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  statfsSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { StatusJson, VolumeJson } from "../../../src/faces/http/wire.ts";
import { getProject } from "../../../src/host/syscalls-quota.ts";
import { Daemon } from "../../e2e/daemon.ts";
import { type Answer, request, requestJson } from "../../e2e/request.ts";
import { run } from "../../e2e/run.ts";
import { withOpen } from "../../support/with-open.ts";

const {
  HOLDFAST_GUEST_EXT4: EXT4 = "",
  HOLDFAST_GUEST_XFS: XFS = "",
  HOLDFAST_GUEST_BTRFS: BTRFS = "",
  HOLDFAST_GUEST_PROGRAM: PROGRAM = "",
} = process.env;

const MB = 2 ** 20;
/** Every question is work for an emulated processor. */
const POLL_MS = 300;
const START_MS_MAX = 100_000;
const UNTIL_MS_MAX = 50_000;
const ADS = { type: "DYNAMIC", role: "ads" };
/** Root as containers have it: with CAP_SYS_RESOURCE nobody would be held. */
const AS_CONTAINER = ["--bounding-set=-sys_resource", "--inh-caps=-sys_resource", "--"];

interface Kind {
  readonly type: "ext4" | "xfs" | "btrfs";
  readonly mountPoint: string;
  readonly refusal: string;
}

const KINDS: readonly Kind[] = [
  { type: "ext4", mountPoint: EXT4, refusal: "Disk quota exceeded" },
  { type: "xfs", mountPoint: XFS, refusal: "No space left on device" },
  { type: "btrfs", mountPoint: BTRFS, refusal: "Disk quota exceeded" },
];

describe.runIf(EXT4 !== "").each(KINDS)("a daemon on $type", ({ type, mountPoint, refusal }) => {
  const hasProjects = type !== "btrfs";
  let dir: string;
  let sandbox: string;
  let daemon: Daemon;

  beforeAll(async () => {
    dir = mkdtempSync(`${mountPoint}/daemon-`);
    sandbox = `${dir}/sandbox`;
    mkdirSync(sandbox);
    const args = ["--resources", "disk:1024", "--reconcile-interval", "1s", "--spares", "8"];
    const patience = { msMax: START_MS_MAX, pollMs: POLL_MS };
    daemon = await Daemon.start({ dir, args, patience, program: PROGRAM });
    expect(await operate(reserve(512), create("db", 16), create("other", 16))).toMatchObject({ status: 200 });
    const volumes = ["db", "other"].map((id) => ({ role: "ads", id, containerPath: id }));
    await requestJson(daemon.socket, { method: "PUT", path: "/v1/containers/web", body: { sandbox, volumes } });
  }, START_MS_MAX + UNTIL_MS_MAX);
  afterAll(async () => {
    await daemon?.kill9();
    // What was written goes with the guest.
    await execa("umount", [`${sandbox}/db`, `${sandbox}/other`], { reject: false });
  });

  const show = (id: string) => requestJson<VolumeJson>(daemon.socket, { path: `/v1/volumes/ads/${id}` });
  const operate = (...operations: readonly object[]): Promise<Answer> =>
    request(daemon.socket, { method: "POST", path: "/v1/operations", body: { operations } });
  const shrink = async (id: string, value: number): Promise<Answer> => {
    const { resource } = await show(id);
    return operate({ type: "SHRINK_VOLUME", shrink_volume: { volume: resource, subtract: { value } } });
  };

  test("ends a container's write past its volume's size, and nobody else's", async () => {
    expect(await write(`${sandbox}/db/filler`, 20)).toContain(refusal);
    expect(await write(`${sandbox}/other/file`, 10)).toBe("");
    const { usedBytes = 0, enforced } = await show("db");
    expect(enforced).toBe(true);
    expect(usedBytes).toBeGreaterThan(15 * MB);
    expect(usedBytes).toBeLessThanOrEqual(16 * MB);
  });

  test.runIf(hasProjects)("shows the size to df inside the volume", async () => {
    expect(await run("df", "--block-size=1", "--output=size", `${sandbox}/db`)).toMatch(new RegExp(`\\s${16 * MB}$`));
  });

  test.runIf(hasProjects)("sees that a container left its quota", async () => {
    await run("setpriv", ...AS_CONTAINER, "chattr", "-p", "0", `${sandbox}/other`);
    await until(() => readFileSync(`${dir}/daemon.log`, "utf8").includes("ads/other is not held to its size: "));
  });

  test("grows a full volume that a container goes on writing to, and does not shrink it below what is used", async () => {
    const log = `${sandbox}/db/log`;
    const writer = writeOn(log);
    try {
      const { resource } = await show("db");
      const grow = { type: "GROW_VOLUME", grow_volume: { volume: resource, addition: disk(16) } };
      expect(await operate(grow)).toMatchObject({ status: 200 });
      await until(() => existsSync(log) && statSync(log).size > 14 * MB);
      await run("sync", "--file-system", log);
      const refused = { status: 409, text: expect.stringMatching(/to 24 MB: 3[012] MB of it are used/) };
      expect(await shrink("db", 8)).toMatchObject(refused);
    } finally {
      writer.kill("SIGKILL");
      await writer;
    }
    expect((await show("db")).usedBytes).toBeLessThanOrEqual(32 * MB);
  });

  test("shrinks a volume that a container has, as far as that deletes, and holds it to the new size", async () => {
    unlinkSync(`${sandbox}/db/filler`);
    await run("sync", "--file-system", `${sandbox}/db`);
    // The kernel counts what was deleted a moment longer.
    await until(async () => (await shrink("db", 12)).status === 200);
    expect((await show("db")).sizeMb).toBe(20);
    expect(await write(`${sandbox}/db/more`, 8)).toContain(refusal);
  });

  test.runIf(hasProjects)("takes the volume back whose container left its quota", async () => {
    await until(async () => (await show("other")).enforced);
    expect(withOpen(`${sandbox}/other`, getProject).id).not.toBe(0);
    expect(await write(`${sandbox}/other/filler`, 20)).toContain(refusal);
  });

  test(
    "holds volumes to their sizes through kill -9",
    async () => {
      await daemon.kill9();
      expect(await write(`${sandbox}/db/again`, 8)).toContain(refusal);
      await daemon.start();
      const { problems, disks } = await requestJson<StatusJson>(daemon.socket, { path: "/v1/status" });
      expect(problems).toEqual([]);
      expect(disks[0]?.enforcement).toEqual({ by: hasProjects ? "project-quota" : "qgroup" });
      expect(await show("db")).toMatchObject({ sizeMb: 20, enforced: true, state: "attached" });
      expect(await write(`${sandbox}/db/again`, 8)).toContain(refusal);
    },
    START_MS_MAX + UNTIL_MS_MAX,
  );

  test("detaches, destroys and collects on a full disk", async () => {
    try {
      await fill(dir);
      const { resource, uuid } = await show("other");
      expect(await request(daemon.socket, { method: "DELETE", path: "/v1/containers/web" })).toMatchObject({
        status: 200,
      });
      expect(await operate({ type: "DESTROY", destroy: { volumes: [resource] } })).toMatchObject({ status: 200 });
      await until(async () => (await show("other")).state === "retained");
      const collection = { method: "POST", path: "/v1/gc", body: { uuids: [uuid] } };
      expect(await requestJson(daemon.socket, collection)).toMatchObject({ collected: [{ uuid }], kept: [] });
    } finally {
      await run("rm", "--force", `${dir}/filler`, `${dir}/rest`, `${dir}/tail`);
    }
  });
});

function reserve(value: number): object {
  return { type: "RESERVE", reserve: { resources: [disk(value)] } };
}

function create(id: string, value: number): object {
  const volume = { persistence: { id }, volume: { container_path: id, mode: "RW" } };
  return { type: "CREATE", create: { volumes: [{ ...disk(value), disk: volume }] } };
}

/** Disk that is reserved for role `ads`. */
function disk(value: number): object {
  return { name: "disk", type: "SCALAR", scalar: { value }, reservations: [ADS] };
}

/** Writes so many MB; says what stopped it, nothing when nothing did. */
async function write(file: string, megabytes: number): Promise<string> {
  const copy = ["dd", "if=/dev/zero", `of=${file}`, "bs=64k", `count=${megabytes * 16}`, "conv=fsync", "status=none"];
  const { stderr } = await execa("setpriv", [...AS_CONTAINER, ...copy], { reject: false, env: { LC_ALL: "C" } });
  return stderr;
}

/** Writes until it is killed, and tries again whenever it is refused. */
function writeOn(file: string) {
  const append = 'dd if=/dev/zero of="$0" bs=64k count=16 oflag=append conv=notrunc status=none';
  const script = `while :; do ${append} || sleep 0.2; done`;
  return execa("setpriv", [...AS_CONTAINER, "sh", "-c", script, file], { stdio: "ignore", reject: false });
}

/** Takes all space of the file system that has the directory, to the last block. */
async function fill(directory: string): Promise<void> {
  const { bavail, bsize } = statfsSync(directory);
  await run("fallocate", "--length", String(bavail * bsize - 4 * MB), `${directory}/filler`);
  expect(await write(`${directory}/rest`, 64)).toContain("No space left on device");
  const block = Buffer.alloc(4096);
  expect(() => {
    for (let count = 0; count < 10_000; count += 1) writeFileSync(`${directory}/tail`, block, { flag: "a" });
  }).toThrow("ENOSPC");
}

async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  const endMs = performance.now() + UNTIL_MS_MAX;
  while (!(await isSo())) {
    if (performance.now() > endMs) throw new Error(`It does not become so: ${isSo}`);
    await sleep(POLL_MS);
  }
}
