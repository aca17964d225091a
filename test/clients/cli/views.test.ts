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
  expect(stdout).not.toMatch(/Destroyed|Protected|Pinned/);
});

test("show tells who has the volume", async () => {
  const shell = { pid: 8, command: "sh", cgroup: "/user.slice", mountPoint: "/mnt" };
  const seen = { ...VOLUME, state: "attached", containers: ["web-1", "web-2"], holders: [HOLDER, shell] };
  daemon.replies["GET /v1/volumes/ads/db"] = answered(seen);
  const { stdout } = await holdfast("show", "ads/db");
  expect(stdout.split("\n").slice(7, 10)).toEqual([
    "Containers      web-1, web-2",
    "Held by         process 7 (redis-server) of docker container 0123456789ab at /data",
    "                process 8 (sh) in /user.slice at /mnt",
  ]);
});

test("list refuses a state that there is not", async () => {
  const outcome = await holdfast("list", "--state", "lost");
  expect(outcome.status).toBe(2);
  expect(outcome.stderr).toMatch(/Expected one of .*detached, attaching, attached/);
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
    "VOLUME                SIZE (MB)  STATE          USED (MB)  CONTAINERS    CREATED                   UUID",
    `ads/db                      512  detached      300 (59 %)  -             2026-01-02T03:04:05.000Z  ${VOLUME.uuid}`,
    `ads/a\\u{1b}[1A\\u{a}b        512  attached (!)  300 (59 %)  web-1, web-2  2026-01-02T03:04:05.000Z  ${VOLUME.uuid}`,
  ]);
});

test("list shows what volumes take as far as it is known, and their marks", async () => {
  const { usedBytes: _usedBytes, ...unmeasured } = VOLUME;
  const retired = { ...VOLUME, state: "retained", retiredAt: VOLUME.createdAt };
  daemon.replies["GET /v1/volumes?limit=10000"] = answered({
    volumes: [
      { ...VOLUME, usedBytes: 0 },
      { ...VOLUME, usedBytes: 1, protected: true },
      { ...VOLUME, usedBytes: 600 * 1024 ** 2 + 1, problem: "Too large" },
      { ...unmeasured, protected: true, problem: "Bad" },
      { ...retired, pinned: true },
      retired,
    ],
  });
  const { stdout } = await holdfast("list");
  const cells = stdout.split("\n").map((line) => line.split(/ {2,}/).slice(2, 4));
  expect(cells).toEqual([
    ["STATE", "USED (MB)"],
    ["detached", "0 (0 %)"],
    ["detached, protected", "0.1 (0 %)"],
    ["detached (!)", "601 (117 %)"],
    ["detached, protected (!)", "-"],
    ["retained, pinned", "300"],
    ["retained", "300"],
  ]);
});

test.each([
  [{}, ["512 MB, enforced by the kernel", "300 MB (59 %) in 12 files and directories"]],
  [{ enforced: false, usedBytes: undefined, inodes: undefined }, ["512 MB, not enforced", "not known yet"]],
  [{ inodes: undefined }, ["512 MB, enforced by the kernel", "300 MB (59 %)"]],
  [{ retiredAt: VOLUME.createdAt, state: "retained" }, ["512 MB", "300 MB in 12 files and directories"]],
])("show tells of %o how large it is and what it takes", async (facts, [size, used]) => {
  daemon.replies["GET /v1/volumes/ads/db"] = answered({ ...VOLUME, ...facts });
  const { stdout } = await holdfast("show", "ads/db");
  expect(stdout).toContain(`Size            ${size}\nUsed            ${used}\n`);
});

test("show tells of marks", async () => {
  daemon.replies["GET /v1/volumes/ads/db"] = answered({ ...VOLUME, protected: true, pinned: true });
  const { stdout } = await holdfast("show", "ads/db");
  expect(stdout).toContain("Protected       from destruction, until it is unprotected\n");
  expect(stdout).toContain("Pinned          not collected until it is unpinned\n");
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
    "Disk /var/lib/holdfast (ROOT, ext4): sizes enforced by project quotas",
    "  File system  10240 MB = 300 used by volumes + 20 used by retained + 5824 other + 4096 free (40 %)",
    "  Declared     8192 MB = 2048 reserved + 6144 not reserved",
    "  Reserved     2048 MB = 512 under volumes + 1536 free",
    "  Retained     64 MB in destroyed volumes",
    "  Promised     212 MB that volumes may still fill",
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
  expect(stdout).toMatch(/^ {2}File system {2}could not be measured\n {2}Declared {5}8192 MB/m);
  expect(stdout).toMatch(/^Trash +empty$/m);
});

test("status of a node whose retained volumes are all pinned names none that goes", async () => {
  daemon.replies["GET /v1/status"] = answered({ ...STATUS, collection: { next: [], dueWithinDay: 0, sandboxes: 0 } });
  const { stdout } = await holdfast("status");
  expect(stdout).toMatch(/^Trash .*\n {12}holdfast gc --dry-run shows all$/m);
});

test("status tells of a disk what adds up, what is pinned and what is not known yet", async () => {
  const [disk = expect.fail()] = STATUS.disks;
  const btrfs = { ...disk, root: "/b", fileSystem: "btrfs", enforcement: { by: "qgroup" } };
  const plain = {
    ...disk,
    root: "/t\u001b",
    source: { type: "PATH", root: "/t" },
    fileSystem: "tmpfs",
    // More than the file system says is used: what is measured is older than that.
    usedByVolumesBytes: 7000 * 1024 ** 2,
    declaredMb: 8192.1,
    reservedMb: 2048.3,
    pinnedMb: 64,
    unmeasured: 1,
    enforcement: { by: "nothing", reason: "tmpfs has no project quotas" },
  };
  daemon.replies["GET /v1/status"] = answered({ ...STATUS, disks: [btrfs, plain] });
  const [, , first, second] = (await holdfast("status")).stdout.split("\n\n");
  expect(first?.split("\n")[0]).toBe("Disk /b (ROOT, btrfs): sizes enforced by btrfs qgroups");
  expect(second?.split("\n")).toEqual([
    "Disk /t\\u{1b} (PATH, tmpfs): sizes not enforced: tmpfs has no project quotas",
    "  File system  10240 MB = 7000 used by volumes + 20 used by retained + 4096 free (40 %)",
    "  Declared     8192.1 MB = 2048.3 reserved + 6079.8 not reserved + 64 pinned",
    "  Reserved     2048.3 MB = 512 under volumes + 1536.3 free",
    "  Retained     64 MB in destroyed volumes",
    "  Promised     212 MB that volumes may still fill",
    "  Unmeasured   1 volume, counted as other until they are",
  ]);
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
