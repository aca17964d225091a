import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { answered, type FakeDaemon, refused, run, startFakeDaemon } from "./fake-daemon.ts";
import { VOLUME } from "./samples.ts";

const DB = {
  directory: "/srv/db",
  role: "ads",
  id: "db",
  containerPath: "data",
  sizeMb: 11,
  usedBytes: 10.5 * 2 ** 20,
};
const HELD = {
  directory: "/srv/x",
  role: "eng/web",
  id: "x",
  obstacle: "Cannot adopt /srv/x: process 7, sleep, / is in it",
};

let daemon: FakeDaemon;
let workDir: string;
beforeEach(async () => {
  daemon = await startFakeDaemon();
  workDir = mkdtempSync(join(realpathSync(tmpdir()), "holdfast-mesos-"));
});
afterEach(async () => {
  await daemon.stop();
  rmSync(workDir, { recursive: true });
});

const holdfast = (...args: readonly string[]) => run(daemon.socket, "adopt", ...args);
const rows = (stdout: string) => stdout.split("\n").map((line) => line.replaceAll(/ {2,}/g, " | "));

describe("adopt", () => {
  test.each([
    [["/srv/db"]],
    [[]],
    [["/srv/db", "db"]],
    [["/srv/db", "ads/db", "--disk", "/data"]],
    [["/srv/db", "ads/db", "--mesos", "/var/lib/mesos"]],
    [["/srv/db", "ads/db", "--size", "lots"]],
  ])("%j is wrong usage", async (args) => {
    expect((await holdfast(...args)).status).toBe(2);
    expect(daemon.seen).toEqual([]);
  });

  test("tells the daemon's refusal", async () => {
    daemon.replies["POST /v1/adopt"] = refused(409, "in_use", HELD.obstacle);
    expect(await holdfast("/srv/x", "eng/web/x")).toEqual({
      status: 1,
      stdout: "",
      stderr: `holdfast: ${HELD.obstacle}`,
    });
  });

  test("sends an absolute path, and says what was adopted", async () => {
    daemon.replies["POST /v1/adopt"] = answered({ adoptions: [{ ...DB, uuid: VOLUME.uuid }] });
    const { status, stdout } = await holdfast("db", "ads/db", "--size", "1G", "--path", "var");
    expect([status, stdout]).toEqual([0, "Adopted /srv/db as ads/db (11 MB)"]);
    const adoption = {
      directory: join(process.cwd(), "db"),
      role: "ads",
      id: "db",
      sizeMb: 1024,
      containerPath: "var",
    };
    expect(daemon.seen[0]?.body).toEqual({ adoptions: [adoption] });
  });

  test("--dry-run shows what would be, and fails when something stands against it", async () => {
    daemon.replies["POST /v1/adopt"] = answered({ adoptions: [{ ...DB, source: { type: "ROOT" } }] });
    const fine = await holdfast("/srv/db", "ads/db", "--dry-run");
    expect(fine.status).toBe(0);
    expect(rows(fine.stdout)).toEqual([
      "VOLUME | USED (MB) | SIZE (MB) | DISK | FROM | OUTCOME",
      "ads/db | 10.5 | 11 | root | /srv/db | would be adopted",
    ]);
    expect(daemon.seen[0]?.body).toMatchObject({ dryRun: true });
    daemon.replies["POST /v1/adopt"] = answered({ adoptions: [HELD] });
    const held = await holdfast("/srv/x", "eng/web/x", "--dry-run");
    expect([held.status, held.stderr]).toEqual([1, `holdfast: ${HELD.obstacle}`]);
    expect(held.stdout).toContain(HELD.obstacle);
  });

  test("--json prints the daemon's answer", async () => {
    daemon.replies["POST /v1/adopt"] = answered({ adoptions: [DB] });
    expect(JSON.parse((await holdfast("/srv/db", "ads/db", "--json")).stdout)).toEqual({ adoptions: [DB] });
  });
});

describe("adopt --mesos", () => {
  test("of what is no work directory fails", async () => {
    const { status, stderr } = await holdfast("--mesos", workDir);
    expect(status).toBe(1);
    expect(stderr).toMatch(/Cannot look for volumes in .*volumes\/roles/);
    expect(daemon.seen).toEqual([]);
  });

  test("of an empty tree says so", async () => {
    mkdirSync(`${workDir}/volumes/roles/ads`, { recursive: true });
    expect(await holdfast("--mesos", workDir)).toMatchObject({
      status: 0,
      stdout: expect.stringContaining("No volumes"),
    });
  });

  test("asks for every volume of the tree, and names what is none", async () => {
    const roles = `${workDir}/volumes/roles`;
    const wanted = ["ads/db", "ads/a b#c", "eng web/cache", "eng web/volume\nline"];
    for (const path of wanted) mkdirSync(`${roles}/${path}`, { recursive: true });
    mkdirSync(`${roles}/-bad/db`, { recursive: true });
    mkdirSync(`${roles}/ads/back\\slash`);
    mkdirSync(Buffer.concat([Buffer.from(`${roles}/ads/`), Buffer.from([0xff, 0x78])]));
    symlinkSync(workDir, `${roles}/ads/link`);
    writeFileSync(`${roles}/ads/file`, "");
    daemon.replies["POST /v1/adopt"] = answered({ adoptions: [DB] });
    const { stderr } = await holdfast("--mesos", workDir, "--dry-run");
    expect(daemon.seen[0]?.body).toEqual({
      adoptions: [
        { directory: `${roles}/ads/a b#c`, role: "ads", id: "a b#c" },
        { directory: `${roles}/ads/db`, role: "ads", id: "db" },
        { directory: `${roles}/eng web/cache`, role: "eng/web", id: "cache" },
      ],
      dryRun: true,
    });
    const left = stderr.split("\n").map((line) => line.replace(`holdfast: Left out ${roles}/`, ""));
    expect(left).toHaveLength(6);
    for (const name of ["-bad", "ads/back\\slash", "ads/link: it is a symlink", "ads/file: it is no directory"]) {
      expect(left.some((line) => line.startsWith(name))).toBe(true);
    }
    expect(stderr).toMatch(/x: its name is not UTF-8/);
    expect(stderr).toContain("volume\\u{a}line");
  });

  test("also looks on other disks", async () => {
    mkdirSync(`${workDir}/one/volumes/roles/ads/db`, { recursive: true });
    mkdirSync(`${workDir}/two/volumes/roles/ads/logs`, { recursive: true });
    daemon.replies["POST /v1/adopt"] = answered({ adoptions: [DB, DB] });
    await holdfast("--mesos", `${workDir}/one`, "--disk", `${workDir}/two`);
    expect(daemon.seen[0]?.body).toMatchObject({ adoptions: [{ id: "db" }, { id: "logs" }] });
  });

  test("that is refused over one shows what stands against all", async () => {
    for (const id of ["db", "x"]) mkdirSync(`${workDir}/volumes/roles/ads/${id}`, { recursive: true });
    const answers = [refused(409, "in_use", HELD.obstacle), answered({ adoptions: [DB, HELD] })];
    Object.defineProperty(daemon.replies, "POST /v1/adopt", { get: () => answers.shift() });
    const { status, stdout, stderr } = await holdfast("--mesos", workDir);
    expect([status, stderr]).toEqual([1, `holdfast: ${HELD.obstacle}`]);
    expect(stdout).toContain("would be adopted");
    expect(daemon.seen.map(({ body }) => (body as { dryRun?: boolean }).dryRun)).toEqual([undefined, true]);
  });
});
