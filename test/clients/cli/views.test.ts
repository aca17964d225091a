import { afterEach, beforeEach, expect, test } from "vitest";
import { answered, type FakeDaemon, refused, run, startFakeDaemon } from "./fake-daemon.ts";
import { HOLDER, STATUS, VOLUME } from "./samples.ts";

let daemon: FakeDaemon;
beforeEach(async () => {
  daemon = await startFakeDaemon();
});
afterEach(() => daemon.stop());

const holdfast = (...args: readonly string[]) => run(daemon.socket, ...args);

test("show of an unknown volume fails with the daemon's words", async () => {
  daemon.replies["GET /v1/volumes/ads/db"] = refused(404, "no_such_volume", "Cannot find volume ads/db");
  expect(await holdfast("show", "ads/db")).toEqual({
    status: 1,
    stdout: "",
    stderr: "holdfast: Cannot find volume ads/db",
  });
});

test("show tells what is known and leaves out the rest", async () => {
  daemon.replies["GET /v1/volumes/ads/db"] = answered({ ...VOLUME, problem: "Its directory is gone" });
  const { stdout } = await holdfast("show", "ads/db");
  expect(stdout).toContain("State           detached\nProblem         Its directory is gone\nSize            512 MB");
  expect(stdout).not.toContain("Destroyed");
});

test("show tells who has the volume", async () => {
  const shell = { pid: 8, command: "sh", cgroup: "/user.slice", mountPoint: "/mnt" };
  const seen = { ...VOLUME, state: "attached", containers: ["web-1", "web-2"], holders: [HOLDER, shell] };
  daemon.replies["GET /v1/volumes/ads/db"] = answered(seen);
  const { stdout } = await holdfast("show", "ads/db");
  expect(stdout.split("\n").slice(6, 9)).toEqual([
    "Containers      web-1, web-2",
    "Held by         process 7 (redis-server) of docker container 0123456789ab at /data",
    "                process 8 (sh) in /user.slice at /mnt",
  ]);
});

test("list refuses a state that there is not", async () => {
  const outcome = await holdfast("list", "--state", "lost");
  expect(outcome.status).toBe(2);
  expect(outcome.stderr).toContain("Expected one of detached, attaching, attached");
});

test("list says when there is no volume", async () => {
  daemon.replies["GET /v1/volumes?limit=10000"] = answered({ volumes: [] });
  expect(await holdfast("list")).toEqual({ status: 0, stdout: "No volumes", stderr: "" });
});

test("list shows one line a volume and marks those with a problem", async () => {
  const hostile = { ...VOLUME, id: "a\u001b[1A\nb", state: "attached", containers: ["web-1", "web-2"], problem: "Bad" };
  daemon.replies["GET /v1/volumes?role=ads&state=attached&limit=10000"] = answered({ volumes: [VOLUME, hostile] });
  const { stdout } = await holdfast("list", "--role", "ads", "--state", "attached");
  expect(stdout.split("\n")).toEqual([
    "VOLUME                SIZE (MB)  STATE         CONTAINERS    CREATED                   UUID",
    `ads/db                      512  detached      -             2026-01-02T03:04:05.000Z  ${VOLUME.uuid}`,
    `ads/a\\u{1b}[1A\\u{a}b        512  attached (!)  web-1, web-2  2026-01-02T03:04:05.000Z  ${VOLUME.uuid}`,
  ]);
});

test("list asks for page after page", async () => {
  const page = Array.from({ length: 10_000 }, (_, index) => ({ ...VOLUME, uuid: `u${index}` }));
  daemon.replies["GET /v1/volumes?limit=10000"] = answered({ volumes: page });
  daemon.replies["GET /v1/volumes?limit=10000&after=u9999"] = answered({ volumes: [VOLUME] });
  const { stdout } = await holdfast("list", "--json");
  expect(JSON.parse(stdout).volumes).toHaveLength(10_001);
});

test("status begins with the verdict", async () => {
  daemon.replies["GET /v1/status"] = answered(STATUS);
  const { status, stdout } = await holdfast("status");
  expect(status).toBe(0);
  expect(stdout.split("\n")).toEqual([
    "Healthy",
    "",
    "Volumes     1 detached, 2 attached, 3 retained",
    "Containers  2",
    "            web-1: 1 volume, since 2026-01-02T03:04:05.000Z",
    "            docker-web: 2 volumes, by docker, since 2026-01-01T00:00:00.000Z",
    "Trash       3 volumes, 1 of them due within a day",
    "            ads/old, 64 MB, goes at 2026-01-03T00:00:00.000Z",
    "            and 2 more: holdfast gc --dry-run shows all",
    "Mounts      bind mounts",
    "Daemon      version 0.1.0, since 2026-01-02T03:04:05.000Z",
    "Recovery    at 2026-01-02T03:04:06.000Z in 12 ms: 2 adopted, 0 cleared, 1 completed, 0 damaged",
    `Agent       ${STATUS.agentId}`,
    `Boot        ${STATUS.bootId}`,
    "",
    "DISK               TYPE  FS    TOTAL (MB)  FREE  USED  DECLARED  RESERVED  VOLUMES  RETAINED",
    "/var/lib/holdfast  ROOT  ext4       10240  4096  60 %      8192      2048      512         0",
  ]);
});

test("status names every problem before the figures", async () => {
  daemon.replies["GET /v1/status"] = answered({
    ...STATUS,
    problems: ["Volume ads/db is damaged, do this", "B\u001b"],
  });
  const { stdout } = await holdfast("status");
  expect(stdout.split("\n").slice(0, 3)).toEqual([
    "Not healthy: 2 problems",
    "  ! Volume ads/db is damaged, do this",
    "  ! B\\u{1b}",
  ]);
});

test("status of a node with hundreds of problems and containers fits a terminal", async () => {
  const problems = Array.from({ length: 300 }, (_, index) => `Problem ${index}`);
  const notices = ["Settings that changed need a restart: listen"];
  daemon.replies["GET /v1/status"] = answered({ ...STATUS, problems, notices, containers: 700 });
  const { status, stdout } = await holdfast("status");
  expect(status).toBe(0);
  expect(stdout).toContain(`
  ! Problem 19
  ! and 280 more: holdfast status --json shows all
  - Settings that changed need a restart: listen

`);
  expect(stdout).toContain("and 698 more: holdfast containers shows all");
});

test("status shows no figures of a disk that could not be measured, and an empty trash", async () => {
  const disks = STATUS.disks.map((disk) => ({ ...disk, totalBytes: 0, freeBytes: 0 }));
  const volumes = { ...STATUS.volumes, retained: 0 };
  daemon.replies["GET /v1/status"] = answered({ ...STATUS, disks, volumes });
  const { stdout } = await holdfast("status");
  expect(stdout).toMatch(/ext4 +- +- +- +8192 /);
  expect(stdout).toMatch(/^Trash +empty$/m);
});

test("status of a daemon that recovers is not healthy", async () => {
  daemon.replies["GET /v1/status"] = answered({ ...STATUS, ready: false });
  expect((await holdfast("status")).stdout).toMatch(/^Not ready: recovering or stopping\n/);
});

test("status --json prints the daemon's answer", async () => {
  daemon.replies["GET /v1/status"] = answered(STATUS);
  expect(JSON.parse((await holdfast("status", "--json")).stdout)).toEqual(STATUS);
});

test("health fails with the reason while the daemon is not ready", async () => {
  daemon.replies["GET /readyz"] = refused(503, "unavailable", "Cannot serve: recovering");
  expect(await holdfast("health")).toEqual({ status: 1, stdout: "", stderr: "holdfast: Cannot serve: recovering" });
});

test("health succeeds when the daemon is ready", async () => {
  daemon.replies["GET /readyz"] = answered({ status: "ok" });
  expect(await holdfast("health")).toEqual({ status: 0, stdout: "Ready", stderr: "" });
});

test.each([[[]], [["ads/db", "--uuid", VOLUME.uuid]]])("restore %j is wrong usage", async (args) => {
  expect(await holdfast("restore", ...args)).toMatchObject({ status: 2 });
});

test.each([
  [["ads/db"], { role: "ads", id: "db" }],
  [["ads/db", "--as", "db2"], { role: "ads", id: "db", as: "db2" }],
  [["--uuid", VOLUME.uuid], { uuid: VOLUME.uuid }],
])("restore %j names what shall come back", async (args, body) => {
  daemon.replies["POST /v1/volumes/restore"] = answered(VOLUME);
  expect(await holdfast("restore", ...args)).toEqual({
    status: 0,
    stdout: `Restored ads/db (512 MB), its content is at ${VOLUME.path}`,
    stderr: "",
  });
  expect(daemon.seen[0]?.body).toEqual(body);
});
