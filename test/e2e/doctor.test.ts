/** What `holdfast doctor` finds beside a stopped and a running daemon, and that it changes nothing. */
import { hash } from "node:crypto";
import { lstat, mkdir, readdir, readFile, readlink, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { VolumeJson } from "../../src/faces/http/wire.ts";
import { holdfast, mustHoldfast } from "./command.ts";
import { Daemon } from "./daemon.ts";
import { makePlace, type Place } from "./place.ts";
import { mayMount } from "./privileges.ts";
import { request, requestJson } from "./request.ts";
import { run } from "./run.ts";
import { Volume } from "./volume.ts";

interface Finding {
  readonly verdict: "ok" | "doubt" | "bad";
  readonly check: string;
  readonly detail: string;
}

interface Diagnosis {
  readonly status: number | undefined;
  /** What is not `ok` about the node; what depends on the machine that the test runs on is left out. */
  readonly findings: readonly Finding[];
}

const MACHINE = ["kernel", "mount namespace", "mounting", "the daemon's mount namespace"];

/** Runs the doctor and sees to it that the work root is afterwards what it was before. */
async function examine(workRoot: string, ...args: string[]): Promise<Diagnosis> {
  const before = await picture(workRoot);
  const { status, stdout } = await holdfast("doctor", "--json", "--work-root", workRoot, ...args);
  expect(await picture(workRoot)).toEqual(before);
  const { findings } = JSON.parse(stdout) as { findings: Finding[] };
  return { status, findings: findings.filter(({ verdict, check }) => verdict !== "ok" && !MACHINE.includes(check)) };
}

/** Every name below a directory with its times, mode and content. */
async function picture(root: string): Promise<readonly string[]> {
  const names = await readdir(root, { recursive: true }).catch(() => []);
  return Promise.all(
    names.sort().map(async (name) => {
      const file = path.join(root, name);
      const { mode, uid, ino, size, mtimeNs, ctimeNs } = await lstat(file, { bigint: true });
      return [name, mode, uid, ino, size, mtimeNs, ctimeNs, await contentOf(file)].join(" ");
    }),
  );
}

async function contentOf(file: string): Promise<string> {
  const stat = await lstat(file);
  if (stat.isSymbolicLink()) return readlink(file);
  return stat.isFile() ? hash("sha256", await readFile(file)) : "";
}

const DETACHED = { verdict: "doubt", check: "daemon" };
const OPEN = { verdict: "doubt", check: "credentials" };

let place: Place;
let daemon: Daemon;

afterAll(async () => {
  await daemon?.kill9();
  await place?.remove();
});

describe("doctor of a stopped node", () => {
  let volume: VolumeJson;
  let args: readonly string[];

  beforeAll(async () => {
    place = await makePlace("doctor");
    const disk = path.join(place.dir, "disk");
    await mkdir(disk);
    const source = { type: "PATH", path: { root: disk } };
    const resources = JSON.stringify([
      { name: "disk", type: "SCALAR", scalar: { value: 1024 }, role: "*" },
      { name: "disk", type: "SCALAR", scalar: { value: 512 }, role: "web", disk: { source } },
    ]);
    daemon = await Daemon.start({ dir: place.dir, args: ["--resources", resources] });
    args = ["--socket", daemon.socket.socketPath, "--resources", resources];
    await Volume.create(daemon);
    await mustHoldfast("create", "web/far", "--size", "16", "--path", "x", "--socket", daemon.socket.socketPath);
    volume = await requestJson<VolumeJson>(daemon.socket, { path: "/v1/volumes/ads/db" });
    await writeFile(path.join(volume.path, "content"), "content");
    await daemon.stop();
  });

  const diagnose = (...more: string[]) => examine(daemon.workRoot, ...args, ...more);

  test("finds a healthy one healthy, its other disks too, and says so to people", async () => {
    expect(await diagnose()).toEqual({
      status: 0,
      findings: [expect.objectContaining(OPEN), expect.objectContaining(DETACHED)],
    });
    const { stdout } = await holdfast("doctor", "--work-root", daemon.workRoot, ...args);
    expect(stdout).toMatch(/^ok {5}checkpoint: 2 volumes, 1 reservations$/m);
  });

  test("finds a missing directory", async () => {
    const away = path.join(place.dir, "away");
    await rename(volume.path, away);
    const { status, findings } = await diagnose();
    await rename(away, volume.path);
    expect(status).toBe(1);
    expect(findings).toContainEqual({
      verdict: "bad",
      check: `volume ads/db (${volume.uuid})`,
      detail: expect.stringContaining("its directory is missing: bring it back"),
    });
  });

  test("finds another directory in the place of the recorded one", async () => {
    const away = path.join(place.dir, "away");
    await rename(volume.path, away);
    await mkdir(volume.path);
    const { status, findings } = await diagnose();
    await rm(volume.path, { recursive: true });
    await rename(away, volume.path);
    expect(status).toBe(1);
    expect(findings).toContainEqual({
      verdict: "bad",
      check: `volume ads/db (${volume.uuid})`,
      detail: "its directory is another one than was recorded: run holdfast rebuild if that is meant",
    });
  });

  test("finds a file in the place of the directory", async () => {
    const away = path.join(place.dir, "away");
    await rename(volume.path, away);
    await writeFile(volume.path, "");
    const { status, findings } = await diagnose();
    await rm(volume.path);
    await rename(away, volume.path);
    expect(status).toBe(1);
    expect(findings.map(({ detail }) => detail)).toContainEqual(
      expect.stringContaining("its directory is not a directory"),
    );
  });

  test("finds a spoiled label", async () => {
    const label = path.join(volume.path, "../label");
    const sound = await readFile(label);
    await writeFile(label, sound.subarray(0, -2));
    const { status, findings } = await diagnose();
    await writeFile(label, sound);
    expect(status).toBe(0);
    expect(findings).toContainEqual({
      verdict: "doubt",
      check: `volume ads/db (${volume.uuid})`,
      detail: "its label is missing, damaged or old: the daemon writes it anew at its next start",
    });
  });

  test("finds a directory that no record names, which is no failure", async () => {
    const orphan = path.join(daemon.workRoot, "volumes/0b7f2c1e-5d3a-4c55-9a54-1f6f0c7d2e11");
    await mkdir(path.join(orphan, "content/data"), { recursive: true });
    const { status, findings } = await diagnose();
    await rm(orphan, { recursive: true });
    expect(status).toBe(0);
    expect(findings).toContainEqual({
      verdict: "doubt",
      check: "orphan",
      detail: `${orphan} has no record: look into it, then remove it or run holdfast rebuild`,
    });
  });

  test("finds a damaged record, and does not call its directory an orphan", async () => {
    const checkpoint = path.join(daemon.workRoot, "meta/checkpoint.db");
    change(checkpoint, volume.uuid, 1);
    const { status, findings } = await diagnose();
    change(checkpoint, volume.uuid, -1);
    expect(status).toBe(1);
    expect(findings).toContainEqual({
      verdict: "bad",
      check: "checkpoint",
      detail: expect.stringMatching(`^record ${volume.uuid} in volumes is damaged .*: run holdfast rebuild$`),
    });
    expect(findings.map(({ check }) => check)).not.toContain("orphan");
  });

  test("finds a lost checkpoint, by its own name", async () => {
    const checkpoint = path.join(daemon.workRoot, "meta/checkpoint.db");
    await rename(checkpoint, path.join(place.dir, "away"));
    const { status, findings } = await diagnose();
    await rename(path.join(place.dir, "away"), checkpoint);
    expect(status).toBe(1);
    expect(findings).toContainEqual({
      verdict: "bad",
      check: "checkpoint",
      detail: `Cannot open the checkpoint ${checkpoint}: the file is missing or empty, run holdfast rebuild`,
    });
  });

  test("finds a broken credentials file", async () => {
    const credentials = path.join(place.dir, "credentials.json");
    await writeFile(credentials, '{"credentials": [}', { mode: 0o600 });
    const { status, findings } = await diagnose("--credentials", credentials);
    expect(status).toBe(1);
    expect(findings).toContainEqual({
      verdict: "bad",
      check: "credentials",
      detail: expect.stringMatching(`^Cannot read credentials ${credentials}: line 1, column 18: `),
    });
  });

  test.runIf(mayMount)("finds a volatile file system", async () => {
    const root = path.join(place.dir, "volatile");
    await mkdir(root);
    await run("mount", "-t", "tmpfs", "tmpfs", root);
    const { status, findings } = await examine(root, "--socket", daemon.socket.socketPath);
    expect(status).toBe(1);
    expect(findings).toContainEqual({
      verdict: "bad",
      check: "work root",
      detail: `${root} is on tmpfs, it forgets everything at a reboot`,
    });
  });

  test.runIf(mayMount)("shows what each sandbox root is, and makes it nothing else", async () => {
    const [plain, missing] = [path.join(place.dir, "plain"), path.join(place.dir, "missing")];
    await mkdir(plain);
    for (const _ of [1, 2]) {
      const { status, findings } = await diagnose("--sandbox-root", plain, "--sandbox-root", missing);
      expect(status).toBe(1);
      expect(findings).toContainEqual({
        verdict: "doubt",
        check: `sandbox root ${plain}`,
        detail: "is no mount: a start of the daemon makes it a shared mount in a peer group of its own",
      });
      expect(findings).toContainEqual({
        verdict: "bad",
        check: `sandbox root ${missing}`,
        detail: expect.stringContaining("the daemon does not start with it"),
      });
    }
  });

  test.runIf(mayMount)("finds volumes whose SELinux label is not the one that is wanted", async () => {
    const { status, findings } = await diagnose("--selinux-label", "system_u:object_r:container_file_t:s0");
    expect(status).toBe(0);
    expect(findings).toContainEqual({
      verdict: "doubt",
      check: `SELinux labels on ${daemon.workRoot}`,
      detail: expect.stringMatching(`^1 of 1 volumes have another one \\(${volume.path} is unlabelled\\).*chcon -R`),
    });
  });

  test("makes no work root", async () => {
    const root = path.join(place.dir, "missing");
    expect((await examine(root, "--socket", daemon.socket.socketPath)).status).toBe(0);
    await expect(readdir(root)).rejects.toThrow("ENOENT");
  });
});

describe("doctor beside a running daemon", () => {
  beforeEach(() => daemon.start());

  afterEach(() => daemon.stop());

  test.runIf(mayMount)("examines the SELinux labels of volumes that the daemon made with one", async () => {
    await daemon.stop();
    const label = ["--selinux-label", "system_u:object_r:container_file_t:s0"];
    const labelling = await Daemon.start({ dir: place.dir, args: label });
    const socket = labelling.socket.socketPath;
    try {
      const args = ["doctor", "--work-root", labelling.workRoot, "--socket", socket];
      expect((await holdfast(...args)).stdout).toMatch(/^ok {5}SELinux: is not there, volumes need no label$/m);
      await mustHoldfast("reserve", "new", "--size", "16", "--socket", socket);
      await mustHoldfast("create", "new/one", "--size", "16", "--path", "x", "--socket", socket);
      expect((await holdfast(...args, ...label)).stdout).toContain("1 of 2 volumes have another one");
      await mustHoldfast("destroy", "new/one", "--socket", socket);
    } finally {
      await labelling.stop();
      await daemon.start();
    }
  });

  test("tells what the daemon knows", async () => {
    const { path: content } = await requestJson<VolumeJson>(daemon.socket, { path: "/v1/volumes/ads/db" });
    const args = ["doctor", "--json", "--work-root", daemon.workRoot, "--socket", daemon.socket.socketPath];
    expect((await holdfast(...args)).status).toBe(0);
    await daemon.stop();
    await rename(content, `${content}.away`);
    await daemon.start();
    const { status, stdout } = await holdfast(...args);
    await rename(`${content}.away`, content);
    expect(status).toBe(1);
    expect((JSON.parse(stdout) as { findings: Finding[] }).findings).toContainEqual({
      verdict: "bad",
      check: "node",
      detail: expect.stringMatching(`^Volume ads/db: its directory ${content} is missing`),
    });
  });

  test("does not judge a checkpoint that a daemon is writing, when it is asked at another socket", async () => {
    const args = ["doctor", "--json", "--work-root", daemon.workRoot, "--socket", path.join(place.dir, "none.sock")];
    const { status, stdout } = await holdfast(...args);
    expect(status).toBe(1);
    expect(stdout).toContain(`a process has ${daemon.workRoot}, ask it at its own --socket`);
    expect(stdout).not.toContain("checkpoint");
  });

  test("does not take the daemon of another work root for this one's", async () => {
    const other = path.join(place.dir, "other");
    await mkdir(other);
    const { stdout } = await holdfast("doctor", "--work-root", other, "--socket", daemon.socket.socketPath);
    expect(stdout).toContain(`doubt  daemon: the one on ${daemon.socket.socketPath} serves ${daemon.workRoot}`);
    expect((await request(daemon.socket, { path: "/readyz" })).status).toBe(200);
  });
});

/** Makes a volume's row what its checksum does not say, or takes that back. */
function change(checkpoint: string, uuid: string, by: number): void {
  const database = new DatabaseSync(checkpoint);
  database.prepare("update volumes set crc = crc + ? where key = ?").run(by, uuid);
  database.close();
}
