/** Containers of real runtimes get their volumes by the OCI hook, and lose them however they end. */
import { once } from "node:events";
import { mkdir, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { asking, type HookScene, openScene, TOOLS } from "./hook-scene.ts";
import { mayMount } from "./privileges.ts";

const DB = { role: "ads", id: "db" };
const FOREVER = "exec sleep 1000";
/** What is promised, with an interval that does not eat it up. */
const WITHIN_A_SECOND = { timeout: 1000, interval: 20 };

const title = "the hook of %s (needs root with CAP_SYS_ADMIN, and the program)";

describe.runIf(mayMount).each(TOOLS)(title, { timeout: 60_000 }, (kind) => {
  let scene: HookScene;
  let before: object;
  beforeEach(async () => {
    scene = await openScene(kind);
    await scene.createVolume("db");
    before = await scene.traces();
  });
  afterEach(() => scene?.close());

  const db = () => scene.state("db");
  const start = (id: string, script = FOREVER) => scene.tool.start({ id, script, annotations: asking(DB) });
  const kill = async (id: string) => process.kill(await scene.tool.pidOf(id), "SIGKILL");

  /** Starts a container that must come up. */
  async function mustStart(id: string, script = FOREVER): Promise<void> {
    expect(await start(id, script)).toMatchObject({ status: 0 });
  }

  async function expectNothingLeft(): Promise<void> {
    await expect.poll(db, WITHIN_A_SECOND).toBe("detached");
    expect(await scene.containers()).toEqual([]);
    await scene.tool.clear();
    expect(await scene.traces()).toEqual(before);
  }

  test("refuses what it cannot read or find, in the runtime's own output, and leaves nothing behind", async () => {
    const cases = [
      [{ "io.holdfast.volumes": "ads/db" }, /Cannot parse annotation io\.holdfast\.volumes: it is not JSON/],
      [asking({ ...DB, path: "x" }), /Cannot parse annotation io\.holdfast\.volumes: .*unknown field/],
      [asking({ ...DB, containerPath: "var/lib" }), /one path component/],
      [asking({ role: "ads", id: "nix" }), /ads\/nix/],
      [asking(DB, { role: "ads", id: "nix" }), /ads\/nix/],
      [{ ...asking(DB), "io.holdfast.sandbox": "srv" }, /annotation io\.holdfast\.sandbox: .*absolute path/],
      [{ ...asking(DB), "io.holdfast.sandbox": "/nowhere" }, /\/nowhere/],
    ] as const;
    for (const [index, [annotations, reason]] of cases.entries()) {
      const outcome = await scene.tool.run({ id: `wrong-${index}`, script: "echo started", annotations });
      expect(outcome.status, String(reason)).not.toBe(0);
      expect(outcome.stderr).toMatch(/holdfast: Cannot /);
      expect(outcome.stderr).toMatch(reason);
      expect(outcome.stdout).not.toContain("started");
    }
    await expectNothingLeft();
  });

  test("refuses a second container what the first has, and names the first", async () => {
    await mustStart("first");
    const second = await scene.tool.run({ id: "second", script: "echo started", annotations: asking(DB) });
    expect(second.status).not.toBe(0);
    expect(second.stderr).toContain(`in use by container ${await scene.tool.idOf("first")}`);
    expect(second.stdout).not.toContain("started");
    expect(await db()).toBe("attached");
    await kill("first");
    await expectNothingLeft();
  });

  test.each([
    ["the volume's path", "/data", "/"],
    ["the sandbox", "/srv/app", "/srv/app"],
    ["a directory above the sandbox", "/opt", "/opt/app"],
  ])("refuses an image in which %s is a symlink to outside", async (_what, link, sandbox) => {
    const outside = path.join(scene.dir, "outside");
    await mkdir(path.join(outside, "app"), { recursive: true });
    await writeFile(path.join(outside, "precious"), "precious");
    const image = async (rootfs: string) => {
      await rm(path.join(rootfs, link), { recursive: true, force: true });
      await mkdir(path.dirname(path.join(rootfs, link)), { recursive: true });
      await symlink(outside, path.join(rootfs, link));
    };
    const annotations = { ...asking({ ...DB, containerPath: "data" }), "io.holdfast.sandbox": sandbox };
    const outcome = await scene.tool.run({ id: "hostile", script: "echo started", annotations, image });
    expect(outcome.status).not.toBe(0);
    expect(outcome.stderr).toMatch(/holdfast: Cannot /);
    expect(await readdir(outside)).toEqual(["app", "precious"]);
    expect(await readdir(path.join(outside, "app"))).toEqual([]);
    expect(await db()).toBe("detached");
    expect(await scene.containers()).toEqual([]);
  });

  test("says within a second that no daemon listens, and lets others start", async () => {
    await scene.daemon.kill9();
    const started = performance.now();
    const asked = await scene.tool.run({ id: "asked", script: "echo started", annotations: asking(DB) });
    expect(performance.now() - started).toBeLessThan(kind === "podman" ? 5000 : 1000);
    expect(asked.status).not.toBe(0);
    expect(asked.stderr).toContain(`holdfast: cannot reach the daemon at ${scene.daemon.socket.socketPath}`);
    const unasked = await scene.tool.run({ id: "unasked", script: "echo started" });
    expect(unasked).toMatchObject({ status: 0, stdout: "started" });
    await scene.daemon.start();
    await expectNothingLeft();
  });

  test("gives the first process its volume, and the next container what it wrote", async () => {
    await mustStart("writer", `echo one > /data/file && ${FOREVER}`);
    await expect.poll(async () => readFile(path.join(await scene.content("db"), "file"), "utf8")).toBe("one\n");
    const id = await scene.tool.idOf("writer");
    expect(await scene.containers()).toMatchObject([{ id, pid: await scene.tool.pidOf("writer"), sandbox: "/" }]);
    await kill("writer");
    const reader = await scene.tool.run({ id: "reader", script: "cat /data/file", annotations: asking(DB) });
    expect(reader).toMatchObject({ status: 0, stdout: "one" });
    await expectNothingLeft();
  });

  test("mounts into a read-only root and below a sandbox, with the mode that was asked for", async () => {
    await scene.createVolume("log");
    const outcome = await scene.tool.run({
      id: "careful",
      script: "touch /srv/data/x && ! touch /srv/logs/x && ! touch /x && echo fine",
      annotations: {
        ...asking(DB, { role: "ads", id: "log", containerPath: "logs", mode: "RO" }),
        "io.holdfast.sandbox": "/srv",
      },
      readOnlyRoot: true,
    });
    expect(outcome).toMatchObject({ status: 0, stdout: "fine" });
    await expectNothingLeft();
  });

  test("sees within a second that a container exits", async () => {
    await mustStart("exits", "sleep 0.3");
    await sleep(300);
    await expectNothingLeft();
  });

  test("sees within a second that a container is killed", async () => {
    await mustStart("killed");
    await kill("killed");
    await expectNothingLeft();
  });

  test("sees within a second that a container is deleted by force", async () => {
    await mustStart("deleted");
    await scene.tool.remove("deleted");
    await expectNothingLeft();
  });

  test("adopts a container that ran while the daemon was killed and started, and sees its end", async () => {
    await mustStart("running", "while true; do echo x >> /data/file; sleep 0.05; done");
    await scene.daemon.kill9();
    await scene.daemon.start();
    expect(await db()).toBe("attached");
    expect((await start("second")).status).not.toBe(0);
    const file = path.join(await scene.content("db"), "file");
    const size = (await readFile(file)).length;
    await expect.poll(async () => (await readFile(file)).length).toBeGreaterThan(size);
    await kill("running");
    await expectNothingLeft();
  });

  test("lets go of a container that ended while the daemon was down", async () => {
    await mustStart("running");
    const pid = await scene.tool.pidOf("running");
    await scene.daemon.kill9();
    process.kill(pid, "SIGKILL");
    await scene.daemon.start();
    await expectNothingLeft();
  });

  test("does not start a container when the daemon is killed under the hook", async () => {
    process.kill(scene.daemon.pid, "SIGSTOP");
    const starting = scene.tool.run({ id: "unlucky", script: "echo started", annotations: asking(DB) });
    await sleep(500);
    await scene.daemon.kill9();
    const outcome = await starting;
    expect(outcome.status).not.toBe(0);
    // The hook asks once more, and finds nobody.
    expect(outcome.stderr).toContain(`cannot reach the daemon at ${scene.daemon.socket.socketPath}`);
    await scene.daemon.start();
    await expectNothingLeft();
  });

  test("waits for a daemon that is held up", async () => {
    process.kill(scene.daemon.pid, "SIGSTOP");
    const starting = scene.tool.run({ id: "patient", script: "ls -d /data", annotations: asking(DB) });
    await sleep(500);
    process.kill(scene.daemon.pid, "SIGCONT");
    expect(await starting).toMatchObject({ status: 0, stdout: "/data" });
    await expectNothingLeft();
  });

  test("lets go of a container whose runtime is killed while it makes it", async () => {
    process.kill(scene.daemon.pid, "SIGSTOP");
    const child = await scene.tool.spawn({ id: "orphan", script: FOREVER, annotations: asking(DB) });
    await sleep(500);
    const ended = once(child, "exit");
    process.kill(await scene.tool.makerOf(child), "SIGKILL");
    await ended;
    process.kill(scene.daemon.pid, "SIGCONT");
    await expectNothingLeft();
  });
});
