/** A real daemon on file systems that hold a directory to its size: what a container, an operator and a full disk see. */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, statfsSync, unlinkSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { StatusJson, VolumeJson } from "../../../src/faces/http/wire.ts";
import { getProject, setProject } from "../../../src/host/syscalls-quota.ts";
import { Daemon } from "../../e2e/daemon.ts";
import { type Answer, request, requestJson } from "../../e2e/request.ts";
import { withOpen } from "../../support/with-open.ts";

const { HOLDFAST_GUEST_EXT4: EXT4 = "", HOLDFAST_GUEST_XFS: XFS = "", HOLDFAST_GUEST_BTRFS: BTRFS = "" } = process.env;

const MB = 2 ** 20;
/** Everything takes ten times as long there. */
const SLOW = { msMax: 110_000, pollMs: 200 };
const ADS = { type: "DYNAMIC", role: "ads" };

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
  let dir: string;
  let sandbox: string;
  let daemon: Daemon;

  beforeAll(async () => {
    dir = mkdtempSync(`${mountPoint}/daemon-`);
    sandbox = `${dir}/sandbox`;
    mkdirSync(sandbox);
    const args = ["--resources", "disk:1024", "--reconcile-interval", "1s"];
    daemon = await Daemon.start({ dir, args, patience: SLOW });
    await operate(reserve(512), create("db", 16), create("other", 16));
    await attach("db", "other");
  }, 120_000);
  afterAll(async () => {
    await daemon?.kill9();
    // What was written goes with the guest.
    spawnSync("umount", [`${sandbox}/db`, `${sandbox}/other`]);
  });

  const show = (id: string) => requestJson<VolumeJson>(daemon.socket, { path: `/v1/volumes/ads/${id}` });
  const operate = (...operations: readonly object[]): Promise<Answer> =>
    request(daemon.socket, { method: "POST", path: "/v1/operations", body: { operations } });
  const attach = (...ids: readonly string[]) =>
    requestJson(daemon.socket, {
      method: "PUT",
      path: "/v1/containers/web",
      body: { sandbox, volumes: ids.map((id) => ({ role: "ads", id, containerPath: id })) },
    });

  test("ends a container's write past its volume's size, and nobody else's", async () => {
    expect(write(`${sandbox}/db/filler`, 20)).toContain(refusal);
    expect(write(`${sandbox}/other/file`, 10)).toBe("");
    const { usedBytes = 0, enforced } = await show("db");
    expect(enforced).toBe(true);
    expect(usedBytes).toBeGreaterThan(15 * MB);
    expect(usedBytes).toBeLessThanOrEqual(16 * MB);
  });

  test.runIf(type !== "btrfs")("shows the size to df inside the volume", () => {
    const { blocks, bsize } = statfsSync(`${sandbox}/db`);
    expect(blocks * bsize).toBe(16 * MB);
  });

  test("grows and shrinks a volume that is in use and full", async () => {
    const { resource } = await show("db");
    const refused = await operate({
      type: "SHRINK_VOLUME",
      shrink_volume: { volume: resource, subtract: { value: 8 } },
    });
    expect(refused).toMatchObject({ status: 409, text: expect.stringMatching(/to 8 MB: 1[56] MB of it are used/) });

    await operate({ type: "GROW_VOLUME", grow_volume: { volume: resource, addition: free(16) } });
    expect(write(`${sandbox}/db/more`, 8)).toBe("");
    expect(write(`${sandbox}/db/too-much`, 20)).toContain(refusal);

    for (const name of ["filler", "more", "too-much"]) unlinkSync(`${sandbox}/db/${name}`);
    execFileSync("sync", ["--file-system", `${sandbox}/db`]);
    const { resource: grown } = await show("db");
    await untilOk(() => operate({ type: "SHRINK_VOLUME", shrink_volume: { volume: grown, subtract: { value: 24 } } }));
    expect(write(`${sandbox}/db/again`, 10)).toContain(refusal);
  });

  test.runIf(type !== "btrfs")("takes a volume back whose container left its quota", async () => {
    const { path } = await show("other");
    withOpen(path, (fd) => setProject(fd, { id: 0, inherit: false }));
    await until(async () => withOpen(path, getProject).id !== 0);
    await until(async () => (await show("other")).enforced);
    expect(write(`${sandbox}/other/filler`, 20)).toContain(refusal);
  });

  test("holds volumes to their sizes again after kill -9", async () => {
    await daemon.kill9();
    await daemon.start();
    const { problems, disks } = await requestJson<StatusJson>(daemon.socket, { path: "/v1/status" });
    expect(problems).toEqual([]);
    expect(disks[0]?.enforcement.by).toBe(type === "btrfs" ? "qgroup" : "project-quota");
    expect(write(`${sandbox}/db/again`, 10)).toContain(refusal);
  });

  test("detaches, destroys and collects on a full disk", async () => {
    const filler = `${dir}/filler`;
    const { bavail, bsize } = statfsSync(dir);
    spawnSync("fallocate", ["--length", String(bavail * bsize - 4 * MB), filler]);
    expect(write(`${dir}/rest`, 64)).toContain("No space left on device");
    writeTail(`${dir}/tail`);
    const { resource, uuid } = await show("other");
    const gone = await request(daemon.socket, { method: "DELETE", path: "/v1/containers/web" });
    expect(gone.status).toBe(200);
    expect((await operate({ type: "DESTROY", destroy: { volumes: [resource] } })).status).toBe(200);
    await until(async () => (await show("other")).state === "retained");
    const { collected, kept } = await requestJson<{ collected: unknown[]; kept: unknown[] }>(daemon.socket, {
      method: "POST",
      path: "/v1/gc",
      body: { uuids: [uuid] },
    });
    expect(kept).toEqual([]);
    expect(collected).toHaveLength(1);
    for (const name of ["filler", "rest", "tail"]) unlinkSync(`${dir}/${name}`);
  }, 180_000);
});

function reserve(value: number): object {
  return { type: "RESERVE", reserve: { resources: [free(value)] } };
}

function create(id: string, value: number): object {
  const disk = { persistence: { id }, volume: { container_path: id, mode: "RW" } };
  return { type: "CREATE", create: { volumes: [{ ...free(value), disk }] } };
}

/** Disk that is reserved for role `ads`. */
function free(value: number): object {
  return { name: "disk", type: "SCALAR", scalar: { value }, reservations: [ADS] };
}

/** Writes so many MB as one who may not take more than there is; says what stopped it, nothing when nothing did. */
function write(file: string, megabytes: number): string {
  const bounded = ["--bounding-set=-sys_resource", "--inh-caps=-sys_resource", "--"];
  const copy = ["dd", "if=/dev/zero", `of=${file}`, "bs=64k", `count=${megabytes * 16}`, "conv=fsync", "status=none"];
  return spawnSync("setpriv", [...bounded, ...copy], { env: { ...process.env, LANG: "C" } }).stderr.toString();
}

/** What large files left of a full disk: single blocks. */
function writeTail(file: string): void {
  for (let count = 0; count < 10_000; count += 1) {
    try {
      writeFileSync(file, Buffer.alloc(4096), { flag: "a" });
    } catch {
      return;
    }
  }
}

/** The kernel counts what was deleted a moment longer. */
async function untilOk(ask: () => Promise<Answer>): Promise<void> {
  await until(async () => (await ask()).status === 200);
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  const endMs = performance.now() + 40_000;
  while (!(await isSo())) {
    if (performance.now() > endMs) throw new Error("It does not become so");
    await sleep(200);
  }
}
