import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { isAbsolute, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { answered, type FakeDaemon, refused, run, runWith, startFakeDaemon } from "./fake-daemon.ts";
import { CONTAINER, POOL, VOLUME_RESOURCE } from "./samples.ts";

let daemon: FakeDaemon;
let directory: string;
beforeEach(async () => {
  daemon = await startFakeDaemon();
  daemon.replies["PUT /v1/containers/web-1"] = answered(CONTAINER);
  daemon.replies["DELETE /v1/containers/web-1"] = answered({});
  directory = mkdtempSync(join(tmpdir(), "holdfast-hook-"));
});
afterEach(async () => {
  await daemon.stop();
  rmSync(directory, { recursive: true });
});

const hook = (stage: string, input: unknown) =>
  runWith(typeof input === "string" ? input : JSON.stringify(input), daemon.socket, "hook", stage);

test("hook without a stage is wrong usage", async () => {
  expect(await run(daemon.socket, "hook", "createContainer")).toMatchObject({ status: 2 });
});

test("hook --help explains the annotations and the input of every stage", async () => {
  const { status, stdout } = await run(daemon.socket, "hook", "--help");
  expect(status).toBe(0);
  for (const word of ["io.holdfast.volumes", "io.holdfast.sandbox", "holdfast hook install", "holdfast hook prepare"]) {
    expect(stdout).toContain(word);
  }
});

describe("hook config", () => {
  test("prints a hook with absolute paths and an environment of its own", async () => {
    const { stdout } = await run(daemon.socket, "hook", "config", "--socket", "relative.sock");
    const { createRuntime } = JSON.parse(stdout);
    expect(createRuntime).toHaveLength(1);
    const [{ path, args, env, timeout }] = createRuntime;
    expect(isAbsolute(path)).toBe(true);
    expect(statSync(path).mode & 0o111).not.toBe(0);
    expect(args).toContain(join(process.cwd(), "relative.sock"));
    expect(env).toEqual([expect.stringMatching(/^PATH=/)]);
    expect(timeout).toBeGreaterThan(25);
  });
});

describe.each(["config", "install"])("hook %s", (command) => {
  const hooksDir = () => (command === "install" ? ["--hooks-dir", directory] : []);

  test("refuses an empty socket", async () => {
    expect(await run(daemon.socket, "hook", command, ...hooksDir(), "--socket", "")).toMatchObject({
      status: 2,
      stdout: "",
      stderr: expect.stringContaining("argument '' is invalid. Expected a path"),
    });
    expect(readdirSync(directory)).toEqual([]);
  });

  test.each([
    ["given", (socket: string) => run(daemon.socket, "hook", command, ...hooksDir(), "--socket", socket)],
    ["of the environment", (socket: string) => run(socket, "hook", command, ...hooksDir())],
  ])("refuses a socket %s whose path no socket can have", async (_how, ask) => {
    const [fits, long] = [`/${"x".repeat(106)}`, `/\u00fc${"x".repeat(105)}`];
    expect(await ask(long)).toMatchObject({
      status: 2,
      stdout: "",
      stderr: `holdfast: Cannot run hook: the socket ${long} has 108 bytes, expected at most 107, see holdfast hook --help`,
    });
    expect(readdirSync(directory)).toEqual([]);
    expect(await ask(fits)).toMatchObject({ status: 0 });
  });
});

describe("hook install", () => {
  const install = (hooksDir: string) => run(daemon.socket, "hook", "install", "--hooks-dir", hooksDir);

  test("refuses an empty directory", async () => {
    expect(await install("")).toMatchObject({
      status: 2,
      stderr: expect.stringContaining("option '--hooks-dir <DIR>' argument '' is invalid. Expected a path"),
    });
    expect(existsSync("holdfast.json")).toBe(false);
  });

  test("ends where no directory can be made", async () => {
    expect(await install("/proc/nope/deeper")).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/^holdfast: Cannot write \/proc\/nope\/deeper\/holdfast\.json: ENOENT/),
    });
  });

  test("says why it cannot write", async () => {
    writeFileSync(join(directory, "file"), "");
    const outcome = await install(join(directory, "file", "hooks.d"));
    expect(outcome).toMatchObject({ status: 1, stderr: expect.stringContaining("Cannot write ") });
  });

  test("makes directories and writes one file that everybody may read", async () => {
    const hooksDir = join(directory, "oci", "hooks.d");
    const old = process.umask(0o077);
    expect(await install(hooksDir)).toEqual({ status: 0, stdout: `Wrote ${hooksDir}/holdfast.json`, stderr: "" });
    process.umask(old);
    for (const made of [join(directory, "oci"), hooksDir]) expect(statSync(made).mode & 0o777).toBe(0o755);
    expect(readdirSync(hooksDir)).toEqual(["holdfast.json"]);
    const path = join(hooksDir, "holdfast.json");
    expect(statSync(path).mode & 0o777).toBe(0o644);
    expect(JSON.parse(readFileSync(path, "utf8"))).toEqual({
      version: "1.0.0",
      hook: JSON.parse((await run(daemon.socket, "hook", "config")).stdout).createRuntime[0],
      when: { annotations: { "^io\\.holdfast\\.volumes$": ".+" } },
      stages: ["createRuntime"],
    });
  });

  test("changes nothing when it is repeated", async () => {
    await install(directory);
    const before = statSync(join(directory, "holdfast.json"));
    const { stdout } = await install(directory);
    expect(stdout).toBe(`${directory}/holdfast.json is as it should be already`);
    expect(statSync(join(directory, "holdfast.json"))).toMatchObject({ ino: before.ino, mtimeMs: before.mtimeMs });
  });

  test("replaces what is something else, and leaves other hooks alone", async () => {
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, "holdfast.json"), "{");
    writeFileSync(join(directory, "nvidia.json"), "{}");
    expect((await install(directory)).status).toBe(0);
    expect(readdirSync(directory).sort()).toEqual(["holdfast.json", "nvidia.json"]);
    expect(JSON.parse(readFileSync(join(directory, "holdfast.json"), "utf8"))).toMatchObject({ version: "1.0.0" });
  });
});

describe("hook createRuntime", () => {
  test("never asks for a container without the annotation", async () => {
    expect(await hook("createRuntime", "no JSON at all")).toEqual({ status: 0, stdout: "", stderr: "" });
    expect(daemon.seen).toEqual([]);
  });

  test("passes the state on, and the refusal back", async () => {
    const state = { id: "web-1", annotations: { "io.holdfast.volumes": "[]" } };
    daemon.replies["POST /v1/hooks/createRuntime"] = refused(409, "in_use", "Cannot attach volume ads/db: in use");
    expect(await hook("createRuntime", state)).toMatchObject({
      status: 1,
      stderr: "holdfast: Cannot attach volume ads/db: in use",
    });
    expect(daemon.seen[0]?.body).toEqual(state);
  });
});

const INPUT = { containerId: "web-1", sandbox: "/srv/web-1", resources: [VOLUME_RESOURCE] };
const { reservations: _post, ...UNRESERVED } = VOLUME_RESOURCE;
const nested = { ...VOLUME_RESOURCE.disk, volume: { mode: "RW", container_path: "var/lib" } };

describe.each(["prepare", "update"])("hook %s", (stage) => {
  test.each([
    ["nothing", "", "it is empty"],
    ["what is not JSON", "{", "it is not JSON"],
    ["a list", [], "the input: it is a list"],
    ["an unknown field", { ...INPUT, resource: [] }, '"resource" is an unknown field, expected containerId, sandbox'],
    ["no container", { ...INPUT, containerId: undefined }, "containerId is missing"],
    ["a container id with a slash", { ...INPUT, containerId: "a/b" }, "containerId"],
    ["no sandbox", { ...INPUT, sandbox: undefined }, "sandbox is missing"],
    ["no resources", { ...INPUT, resources: undefined }, "resources is missing"],
    ["one resource that is no list", { ...INPUT, resources: VOLUME_RESOURCE }, "resources is an object"],
    ["a resource that is none", { ...INPUT, resources: ["disk"] }, "resources: item 1"],
    ["a nested path", { ...INPUT, resources: [POOL, { ...VOLUME_RESOURCE, disk: nested }] }, "container_path"],
    [
      "a volume without a path",
      { ...INPUT, resources: [{ ...VOLUME_RESOURCE, disk: { persistence: { id: "x" } } }] },
      "disk.volume",
    ],
    ["a volume on unreserved disk", { ...INPUT, resources: [UNRESERVED] }, "unreserved disk"],
    ["an unknown user", { ...INPUT, user: "nobody-knows-me" }, "a user of /etc/passwd"],
    ["a user that is a list", { ...INPUT, user: [] }, "a user's name or number"],
  ])("refuses %s", async (_what, input, reason) => {
    const outcome = await hook(stage, input);
    expect(outcome.status).toBe(1);
    expect(outcome.stderr).toMatch(/^holdfast: Cannot parse the input[^\n]*$/);
    expect(outcome.stderr).toContain(reason);
    expect(daemon.seen).toEqual([]);
  });

  test("passes on that a volume is busy", async () => {
    daemon.replies["PUT /v1/containers/web-1"] = refused(409, "busy", "Cannot detach web-1: process 12 sits in ads/db");
    expect(await hook(stage, INPUT)).toEqual({
      status: 1,
      stdout: "",
      stderr: "holdfast: Cannot detach web-1: process 12 sits in ads/db",
    });
    expect(daemon.seen).toHaveLength(1);
  });

  test("asks for exactly the volumes among the resources, in all of Mesos's forms", async () => {
    const { name, type, scalar, disk } = VOLUME_RESOURCE;
    const base = { name, type, scalar };
    const named = (id: string, path: string, mode = "RW") => ({
      persistence: { id },
      volume: { mode, container_path: path },
    });
    const resources = [
      { name: "cpus", type: "SCALAR", scalar: { value: 1 }, allocation_info: { role: "ads" } },
      { name: "ports", type: "RANGES", ranges: { range: [{ begin: 1, end: 2 }] } },
      POOL,
      { ...VOLUME_RESOURCE, allocation_info: { role: "ads" } },
      { ...base, role: "eng/web", reservation: { principal: "ops" }, disk: named("log", "log") },
      { ...base, role: "ads", disk: named("static", "static", "RO"), shared: {} },
      {
        ...base,
        reservations: [
          { type: "STATIC", role: "ads" },
          { type: "DYNAMIC", role: "ads/db" },
        ],
        disk: { ...disk, persistence: { id: "refined" }, source: { type: "PATH", path: { root: "/data" } } },
      },
    ];
    const outcome = await hook(stage, { ...INPUT, resources });
    expect(outcome).toMatchObject({ status: 0, stderr: "" });
    expect(JSON.parse(outcome.stdout)).toEqual(CONTAINER);
    expect(daemon.seen).toEqual([
      {
        line: "PUT /v1/containers/web-1",
        body: {
          sandbox: "/srv/web-1",
          volumes: [
            { role: "ads", id: "db", containerPath: "data", mode: "RW" },
            { role: "eng/web", id: "log", containerPath: "log", mode: "RW" },
            { role: "ads", id: "static", containerPath: "static", mode: "RO" },
            { role: "ads/db", id: "refined", containerPath: "data", mode: "RW" },
          ],
        },
      },
    ]);
  });

  const { username, uid, gid } = userInfo();
  test.each([username, uid, String(uid)])("names the ids of the user %s", async (user) => {
    await hook(stage, { ...INPUT, resources: [], user });
    expect(daemon.seen[0]?.body).toEqual({ sandbox: "/srv/web-1", volumes: [], uid, gid });
  });
});

describe("hook cleanup", () => {
  test.each([
    ["no container", {}],
    ["an unknown field", { containerId: "web-1", sandbox: "/srv/web-1" }],
  ])("refuses %s", async (_what, input) => {
    expect(await hook("cleanup", input)).toMatchObject({ status: 1, stderr: expect.stringContaining("the input: ") });
    expect(daemon.seen).toEqual([]);
  });

  test("takes everything away, and may be repeated", async () => {
    daemon.replies["GET /v1/containers"] = answered({ containers: [] });
    for (const _time of [1, 2]) {
      const { status, stdout } = await hook("cleanup", { containerId: "web-1" });
      expect([status, JSON.parse(stdout)]).toEqual([0, { id: "web-1", volumes: [] }]);
    }
  });

  test("leaves no mount under a process, and says what lingers", async () => {
    const lingering = { ...CONTAINER, volumes: CONTAINER.volumes.slice(1) };
    daemon.replies["DELETE /v1/containers/web-1"] = refused(409, "busy", "Cannot detach web-1: process 12 sits in it");
    daemon.replies["DELETE /v1/containers/web-1?force=true"] = answered({});
    daemon.replies["GET /v1/containers"] = answered({ containers: [lingering] });
    const { status, stdout, stderr } = await hook("cleanup", { containerId: "web-1" });
    expect([status, stderr]).toEqual([0, ""]);
    expect(JSON.parse(stdout)).toMatchObject({ id: "web-1", volumes: [{ id: "old", state: "lingering" }] });
  });

  test("passes on any other refusal", async () => {
    daemon.replies["DELETE /v1/containers/web-1"] = refused(503, "unavailable", "Cannot answer yet");
    expect(await hook("cleanup", { containerId: "web-1" })).toMatchObject({
      status: 1,
      stderr: "holdfast: Cannot answer yet",
    });
    expect(daemon.seen).toHaveLength(1);
  });
});
