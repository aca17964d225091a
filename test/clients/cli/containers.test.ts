import { afterEach, beforeEach, expect, test } from "vitest";
import { answered, type FakeDaemon, refused, run, startFakeDaemon } from "./fake-daemon.ts";
import { CONTAINER, HOLDER, LENT } from "./samples.ts";

let daemon: FakeDaemon;
beforeEach(async () => {
  daemon = await startFakeDaemon();
  daemon.replies["GET /v1/containers"] = answered({ containers: [CONTAINER] });
  daemon.replies["PUT /v1/containers/web-1"] = answered(CONTAINER);
  daemon.replies["DELETE /v1/containers/web-1"] = answered({});
});
afterEach(() => daemon.stop());

const holdfast = (...args: readonly string[]) => run(daemon.socket, ...args);

/** What was asked for besides looking. */
function changes() {
  return daemon.seen.filter(({ line }) => !line.startsWith("GET "));
}

const DB = { role: "ads", id: "db", containerPath: "data", mode: "RW" };

test("attach needs the sandbox of a container that has no volumes yet", async () => {
  const outcome = await holdfast("attach", "ads/db", "--container", "web-2");
  expect(outcome).toMatchObject({
    status: 2,
    stderr: "holdfast: Cannot run attach: expected --sandbox, web-2 has no volumes yet, see holdfast attach --help",
  });
  expect(changes()).toHaveLength(0);
});

test.each([
  [["--uid", "1000"], 2, "expected both --uid and --gid"],
  [["--uid", "-5", "--gid", "0"], 2, "Expected a number from 0 to 4294967294"],
  [["--pid", "0"], 2, "Expected a number from 1 to 4194304"],
  [["--pid", "1.5"], 2, "Expected a number from 1 to 4194304"],
])("attach refuses %j", async (args, status, reason) => {
  const outcome = await holdfast("attach", "ads/db", "--container", "web-1", ...args);
  expect(outcome.status).toBe(status);
  expect(outcome.stderr).toContain(reason);
  expect(changes()).toHaveLength(0);
});

test.each([
  ["--sandbox", ""],
  ["--sandbox", "", "--pid", "12"],
  ["--socket", ""],
])("attach refuses an empty path: %s '%s'", async (...args) => {
  const outcome = await holdfast("attach", "ads/db", "--container", "web-1", ...args);
  expect(outcome).toMatchObject({
    status: 2,
    stderr: expect.stringContaining("argument '' is invalid. Expected a path"),
  });
  expect(daemon.seen).toHaveLength(0);
});

test("attach --help says that a change of mode needs a detach", async () => {
  const { stdout } = await holdfast("attach", "--help");
  expect(stdout.replace(/\s+/g, " ")).toContain(
    "moves to the path given now; to change only its mode, detach it first.",
  );
});

test("attach needs a container or a process", async () => {
  expect(await holdfast("attach", "ads/db")).toMatchObject({
    status: 2,
    stderr: "holdfast: Cannot run attach: expected --container or --pid, see holdfast attach --help",
  });
});

test("attach adds nothing to what a container's engine mounts by itself", async () => {
  daemon.replies["GET /v1/containers"] = answered({ containers: [LENT] });
  expect(await holdfast("attach", "ads/db", "--container", LENT.id)).toMatchObject({
    status: 1,
    stderr: "holdfast: Cannot change what docker-web has: docker mounts its volumes by itself",
  });
  expect(changes()).toHaveLength(0);
});

test("attach passes on that a process has ended", async () => {
  const message = "Cannot attach to process 12: it has ended";
  daemon.replies["PUT /v1/containers/pid-12"] = refused(404, "no_such_process", message);
  expect(await holdfast("attach", "ads/db", "--pid", "12")).toMatchObject({
    status: 1,
    stderr: `holdfast: ${message}`,
  });
});

test("attach passes on who has the volume", async () => {
  const message = "Cannot attach volume ads/db to web-1: container web-2 has it";
  daemon.replies["PUT /v1/containers/web-1"] = refused(409, "in_use", message);
  expect(await holdfast("attach", "ads/db", "--container", "web-1")).toEqual({
    status: 1,
    stdout: "",
    stderr: `holdfast: ${message}`,
  });
});

test("attach makes a new container's volumes present", async () => {
  daemon.replies["GET /v1/containers"] = answered({ containers: [] });
  const args = ["--container", "web-1", "--sandbox", "/srv/./web-1", "--uid", "1000", "--gid", "0"];
  const outcome = await holdfast("attach", "ads/db", "ads/config:etc:ro", ...args);
  expect(outcome).toEqual({ status: 0, stdout: "Attached ads/db to web-1 at /srv/web-1/data", stderr: "" });
  expect(changes()[0]?.body).toEqual({
    sandbox: "/srv/web-1",
    volumes: [
      { role: "ads", id: "db", mode: "RW" },
      { role: "ads", id: "config", containerPath: "etc", mode: "RO" },
    ],
    uid: 1000,
    gid: 0,
  });
});

test.each([
  [["--pid", "12"], "pid-12", { sandbox: "/", pid: 12 }, "/data"],
  [["--pid", "12", "--sandbox", "/srv/./app/"], "pid-12", { sandbox: "/srv/app", pid: 12 }, "/srv/app/data"],
  [["--pid", "12", "--sandbox", "srv"], "pid-12", { sandbox: "/srv", pid: 12 }, "/srv/data"],
  [["--pid", "12", "--container", "web-9"], "web-9", { sandbox: "/", pid: 12 }, "/data"],
])("attach %j puts a volume into a container that runs", async (args, id, place, where) => {
  const volumes = [{ ...DB, uuid: "u", state: "attached", propagation: "private" }];
  daemon.replies[`PUT /v1/containers/${id}`] = answered({ ...CONTAINER, id, ...place, volumes });
  expect(await holdfast("attach", "ads/db", ...args)).toEqual({
    status: 0,
    stdout: `Attached ads/db to ${id} at ${where} inside process 12`,
    stderr: "",
  });
  expect(changes()[0]?.body).toEqual({ ...place, volumes: [{ role: "ads", id: "db", mode: "RW" }] });
});

test("attach names the process of a container that runs again", async () => {
  daemon.replies["GET /v1/containers"] = answered({ containers: [{ ...CONTAINER, sandbox: "/", pid: 12 }] });
  await holdfast("attach", "ads/config", "--container", "web-1");
  expect(changes()[0]?.body).toMatchObject({ sandbox: "/", pid: 12, volumes: [DB, { id: "config" }] });
});

test("attach keeps what the container has, without what only lingers", async () => {
  await holdfast("attach", "ads/config", "--container", "web-1");
  expect(changes()[0]?.body).toEqual({
    sandbox: "/srv/web-1",
    volumes: [DB, { role: "ads", id: "config", mode: "RW" }],
  });
});

test("attach gives a volume that the container has its new path and mode", async () => {
  await holdfast("attach", "ads/db:else:ro", "--container", "web-1");
  expect(changes()[0]?.body).toMatchObject({ volumes: [{ ...DB, containerPath: "else", mode: "RO" }] });
});

test("attach says what to know about a mount", async () => {
  const [db] = CONTAINER.volumes;
  const volumes = [{ ...db, mode: "RO", propagation: "private", problem: "It is upside down" }];
  daemon.replies["PUT /v1/containers/web-1"] = answered({ ...CONTAINER, volumes });
  const { stdout } = await holdfast("attach", "ads/db::ro", "--container", "web-1");
  expect(stdout.split("\n")).toEqual([
    "Attached ads/db to web-1 at /srv/web-1/data, read-only",
    "  A container that runs already does not see it: the sandbox lies on a private mount",
    "  It is upside down",
  ]);
});

test("detach passes on that a volume is busy", async () => {
  daemon.replies["DELETE /v1/containers/web-1"] = refused(
    409,
    "busy",
    "Cannot detach web-1: process 12 sits in ads/db",
  );
  expect(await holdfast("detach", "web-1")).toMatchObject({
    status: 1,
    stderr: "holdfast: Cannot detach web-1: process 12 sits in ads/db",
  });
});

test("detach --force takes all volumes only", async () => {
  expect(await holdfast("detach", "web-1", "ads/db", "--force")).toMatchObject({ status: 2 });
  expect(changes()).toHaveLength(0);
});

test("detach takes all volumes away", async () => {
  expect(await holdfast("detach", "web-1")).toMatchObject({
    status: 0,
    stdout: "Detached all volumes from container web-1",
  });
});

test("detach --force says so to the daemon", async () => {
  daemon.replies["DELETE /v1/containers/web-1?force=true"] = answered({});
  expect(await holdfast("detach", "web-1", "--force")).toMatchObject({ status: 0 });
});

test("detach of a container without volumes is fine", async () => {
  daemon.replies["DELETE /v1/containers/web-9"] = answered({});
  expect(await holdfast("detach", "web-9")).toMatchObject({ status: 0, stdout: "Container web-9 has no volumes" });
});

test("detach of one volume keeps the others", async () => {
  const log = { role: "ads", id: "log", containerPath: "log", mode: "RO" };
  const volumes = [...CONTAINER.volumes, { ...log, uuid: "u", state: "attached" }];
  daemon.replies["GET /v1/containers"] = answered({ containers: [{ ...CONTAINER, volumes }] });
  expect(await holdfast("detach", "web-1", "ads/db")).toMatchObject({
    status: 0,
    stdout: "Detached ads/db from container web-1",
  });
  expect(changes()).toEqual([{ line: "PUT /v1/containers/web-1", body: { sandbox: "/srv/web-1", volumes: [log] } }]);
});

test("detach of one volume names the process of a container that runs", async () => {
  const log = { role: "ads", id: "log", containerPath: "log", mode: "RO" };
  const volumes = [...CONTAINER.volumes, { ...log, uuid: "u", state: "attached" }];
  daemon.replies["GET /v1/containers"] = answered({ containers: [{ ...CONTAINER, sandbox: "/", pid: 12, volumes }] });
  await holdfast("detach", "web-1", "ads/db");
  expect(changes()).toMatchObject([{ body: { sandbox: "/", pid: 12, volumes: [log] } }]);
});

test("detach of the last volume ends the container", async () => {
  await holdfast("detach", "web-1", "ads/db");
  expect(changes()).toEqual([{ line: "DELETE /v1/containers/web-1", body: undefined }]);
});

test("detach of a volume that the container does not have changes nothing", async () => {
  expect(await holdfast("detach", "web-1", "ads/old")).toMatchObject({
    status: 0,
    stdout: "Container web-1 does not have ads/old",
  });
  expect(changes()).toHaveLength(0);
});

test("containers shows who has which volume, and where", async () => {
  const run = {
    ...CONTAINER,
    id: "run",
    sandbox: "/",
    pid: 12,
    runtime: "runc",
    volumes: CONTAINER.volumes.slice(0, 1),
  };
  daemon.replies["GET /v1/containers"] = answered({ containers: [CONTAINER, run] });
  const { stdout } = await holdfast("containers");
  expect(stdout.split("\n")).toEqual([
    "CONTAINER  RUNTIME  PID  VOLUME   AT               MODE  STATE      SINCE                     BY",
    "web-1      -          -  ads/db   /srv/web-1/data  RW    attached   2026-01-02T03:04:05.000Z  uid:0(root)",
    "web-1      -          -  ads/old  /srv/web-1/old   RW    lingering  2026-01-02T03:04:05.000Z  uid:0(root)",
    "run        runc      12  ads/db   /data            RW    attached   2026-01-02T03:04:05.000Z  uid:0(root)",
  ]);
});

test.each([
  [[], ["docker-web: nobody is seen with its volumes"]],
  [
    [HOLDER, { pid: 0, command: "", cgroup: "", mountPoint: "/srv/a\nb" }],
    [
      "docker-web: seen with its volumes: process 7 (redis-server) of docker container 0123456789ab at /data",
      "docker-web: seen with its volumes: a mount namespace without a process at /srv/a\\u{a}b",
    ],
  ],
])("containers says who is seen with what an engine mounts by itself: %j", async (holders, lines) => {
  daemon.replies["GET /v1/containers"] = answered({ containers: [{ ...LENT, holders }] });
  const { stdout } = await holdfast("containers");
  expect(stdout.split("\n").slice(1)).toEqual([
    "docker-web  docker     -  ads/db  -   RW    attached  2026-01-02T03:04:05.000Z  uid:0(root)",
    ...lines,
  ]);
});

test("containers says when there is none", async () => {
  daemon.replies["GET /v1/containers"] = answered({ containers: [] });
  expect(await holdfast("containers")).toMatchObject({ stdout: "No containers" });
});

test("containers --json prints the daemon's answer", async () => {
  const { stdout } = await holdfast("containers", "--json");
  expect(JSON.parse(stdout)).toEqual({ containers: [CONTAINER] });
});
