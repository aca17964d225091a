/** A container that runs already gets a volume by its process, and a containerizer's own hook serves sandboxes. */
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { execa } from "execa";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { startResident } from "../support/resident.ts";
import { HOLDFAST, holdfast, mustHoldfast, type Outcome } from "./command.ts";
import { asking, type HookScene, openScene } from "./hook-scene.ts";
import { mayMount } from "./privileges.ts";

const WITHIN_A_SECOND = { timeout: 1000, interval: 20 };
const APPENDING = "while true; do echo x >> /srv/data/file; sleep 0.05; done 2>/dev/null";

let scene: HookScene;
let socket: readonly ["--socket", string];

describe.runIf(mayMount)("a container that runs (needs root with CAP_SYS_ADMIN, and runc)", () => {
  beforeEach(open);
  afterEach(() => scene?.close());

  test("gets a volume by its pid and loses it by detach, and others see who has it", async () => {
    await scene.tool.start({ id: "app", script: APPENDING });
    const pid = await scene.tool.pidOf("app");
    const before = await scene.traces();
    const attach = ["attach", "ads/db", "--pid", String(pid), "--sandbox", "/srv", ...socket];
    expect(await mustHoldfast(...attach)).toBe(`Attached ads/db to pid-${pid} at /srv/data inside process ${pid}`);
    const file = path.join(await scene.content("db"), "file");
    await expect.poll(() => readFile(file, "utf8").catch(() => "")).toMatch(/^x\n/);
    expect(await mustHoldfast("containers", ...socket)).toContain(`pid-${pid}`);
    expect(await mustHoldfast("show", "ads/db", ...socket)).toMatch(new RegExp(`Held by +process ${pid} \\(sh\\)`));
    expect(await mustHoldfast("detach", `pid-${pid}`, ...socket)).toContain("Detached all volumes");
    expect(await scene.state("db")).toBe("detached");
    expect(await scene.traces()).toEqual(before);
  });

  test("loses it when it ends, and its number is nobody's container then", async () => {
    await scene.tool.start({ id: "app", script: APPENDING });
    const pid = await scene.tool.pidOf("app");
    await mustHoldfast("attach", "ads/db", "--pid", String(pid), ...socket);
    process.kill(pid, "SIGKILL");
    await expect.poll(() => scene.state("db"), WITHIN_A_SECOND).toBe("detached");
    expect(await scene.containers()).toEqual([]);
    const again = await holdfast("attach", "ads/db", "--pid", String(pid), ...socket);
    expect(again).toMatchObject({ status: 1, stderr: expect.stringContaining(`process ${pid}`) });
  });

  test("gets another one beside that of its hook", async () => {
    await scene.createVolume("log");
    await scene.tool.start({ id: "app", script: "exec sleep 1000", annotations: asking({ role: "ads", id: "db" }) });
    await mustHoldfast("attach", "ads/log:log", "--container", "app", ...socket);
    expect([await scene.state("db"), await scene.state("log")]).toEqual(["attached", "attached"]);
    await mustHoldfast("detach", "app", "ads/db", ...socket);
    expect([await scene.state("db"), await scene.state("log")]).toEqual(["detached", "attached"]);
  });
});

describe.runIf(mayMount)("a containerizer's own hook (needs root with CAP_SYS_ADMIN, and runc)", () => {
  let sandbox: string;
  beforeEach(async () => {
    await open();
    sandbox = path.join(scene.dir, "sandbox");
    await mkdir(sandbox);
  });
  afterEach(() => scene?.close());

  const input = (ids: readonly string[], more: object = {}) => ({
    containerId: "c1",
    sandbox,
    resources: [{ name: "cpus", type: "SCALAR", scalar: { value: 1 } }, ...ids.map(resourceOf)],
    ...more,
  });

  test("prepares, updates and cleans up exactly what the resources name", async () => {
    await scene.createVolume("log");
    const before = await scene.traces();
    const prepared = await hook("prepare", input(["db"], { user: "nobody" }));
    expect(JSON.parse(prepared.stdout)).toMatchObject({
      id: "c1",
      sandbox,
      volumes: [{ id: "db", state: "attached" }],
    });
    await writeFile(path.join(sandbox, "db/file"), "kept");
    expect((await hook("update", input(["log"]))).status).toBe(0);
    expect(await readdir(sandbox)).toEqual(["log"]);
    expect((await hook("prepare", input(["log"], { sandbox: scene.dir }))).status).toBe(1);
    const cleaned = await hook("cleanup", { containerId: "c1" });
    expect([cleaned.status, JSON.parse(cleaned.stdout)]).toEqual([0, { id: "c1", volumes: [] }]);
    expect(await readdir(sandbox)).toEqual([]);
    expect(await scene.traces()).toEqual(before);
    expect(await readFile(path.join(await scene.content("db"), "file"), "utf8")).toBe("kept");
  });

  test("attaches nothing when one volume is not there", async () => {
    const outcome = await hook("prepare", input(["db", "nix"]));
    expect(outcome).toMatchObject({
      status: 1,
      stdout: "",
      stderr: expect.stringMatching(/^holdfast: .*ads\/nix[^\n]*$/),
    });
    expect([await readdir(sandbox), await scene.state("db"), await scene.containers()]).toEqual([[], "detached", []]);
  });

  test("keeps what a process sits in at update, and leaves no mount behind at cleanup", async () => {
    await hook("prepare", input(["db"]));
    await writeFile(path.join(sandbox, "db/file"), "kept");
    const resident = await startResident(`cd ${sandbox}/db`);
    try {
      expect((await hook("update", input([]))).status).toBe(1);
      expect(await readdir(path.join(sandbox, "db"))).toEqual(["file"]);
      const cleaned = await hook("cleanup", { containerId: "c1" });
      expect(cleaned.status).toBe(0);
      expect(JSON.parse(cleaned.stdout)).toMatchObject({ id: "c1", volumes: [{ id: "db", state: "lingering" }] });
      expect(await readdir(sandbox)).toEqual([]);
      expect(await readFile(path.join(await scene.content("db"), "file"), "utf8")).toBe("kept");
    } finally {
      await resident.stop();
    }
    await expect.poll(() => scene.state("db"), { timeout: 15_000 }).toBe("detached");
  });
});

async function open(): Promise<void> {
  scene = await openScene("runc", { daemonArgs: ["--reconcile-interval", "1s"] });
  socket = ["--socket", scene.daemon.socket.socketPath];
  await scene.createVolume("db");
}

function resourceOf(id: string): object {
  const disk = { persistence: { id }, volume: { mode: "RW", container_path: id } };
  return { name: "disk", type: "SCALAR", scalar: { value: 8 }, role: "ads", disk };
}

async function hook(stage: string, body: object): Promise<Outcome> {
  const input = JSON.stringify(body);
  const { exitCode, stdout, stderr } = await execa(HOLDFAST, ["hook", stage, ...socket], { input, reject: false });
  return { status: exitCode, stdout, stderr };
}
