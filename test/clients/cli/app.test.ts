import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { answered, type FakeDaemon, refused, run, runWith, startFakeDaemon } from "./fake-daemon.ts";
import { CONTAINER } from "./samples.ts";

const ID = "/sesame/samson";
const PATH = `/v2/apps${ID}`;
const TASK = "sesame_samson.22222222-2222-4222-8222-222222222222";
const VOLUME = "sesame_samson#data#33333333-3333-4333-8333-333333333333";
const DEPLOYED = { version: "2026-01-02T03:04:05.678Z", deploymentId: "d" };
const APP = {
  id: ID,
  role: "ads",
  instances: 2,
  residency: { taskLostBehavior: "WAIT_FOREVER", relaunchEscalationTimeoutSeconds: 3600 },
  version: "2026-01-02T03:04:05.678Z",
  tasksRunning: 1,
  tasks: [
    task(TASK, { state: "TASK_RUNNING", containers: ["web-1"] }),
    task("sesame_samson.2", { state: "TASK_LOST", lostSince: "2026-01-02T03:04:05.678Z", suspended: true }),
    task("sesame_samson.3", { state: "TASK_STAGING" }),
  ],
};

let daemon: FakeDaemon;
beforeEach(async () => {
  daemon = await startFakeDaemon();
});
afterEach(() => daemon.stop());

const holdfast = (...args: readonly string[]) => run(daemon.socket, ...args);

function task(id: string, rest: object): object {
  return { id, containers: [], localVolumes: [{ containerPath: "data", persistenceId: VOLUME }], ...rest };
}

describe("app", () => {
  test.each([
    ["no definition", ["create"]],
    ["an id that is none", ["show", "/Sesame"]],
    ["instances that are no number", ["scale", ID, "many"]],
    ["less than no instances", ["scale", ID, "-1"]],
    ["no instance to wipe", ["wipe", ID]],
  ])("with %s is wrong usage, and nothing is asked", async (_, args) => {
    expect((await holdfast("app", ...args)).status).toBe(2);
    expect(daemon.seen).toEqual([]);
  });

  test("create of a definition that is refused fails with the daemon's reason", async () => {
    daemon.replies["POST /v2/apps"] = refused(422, "invalid", "Cannot take the app: /instances got -1");
    const outcome = await runWith("{}", daemon.socket, "app", "create", "-");
    expect(outcome).toEqual({ status: 1, stdout: "", stderr: "holdfast: Cannot take the app: /instances got -1" });
  });

  test("create reads a file or the standard input, and sends it as it is", async () => {
    daemon.replies["POST /v2/apps"] = answered(APP);
    const directory = await mkdtemp(join(tmpdir(), "holdfast-app-"));
    try {
      const file = join(directory, "samson.json");
      await writeFile(file, '{"id": "a"}');
      const created = { status: 0, stdout: `Created app ${ID} with 2 instances for role ads`, stderr: "" };
      expect(await holdfast("app", "create", file)).toEqual(created);
      expect(await runWith('{"id": "b"}', daemon.socket, "app", "create", "-")).toEqual(created);
    } finally {
      await rm(directory, { recursive: true });
    }
    expect(daemon.seen.map(({ body }) => body)).toEqual([{ id: "a" }, { id: "b" }]);
  });

  test("create of a file that is not there says so in words", async () => {
    const { status, stderr } = await holdfast("app", "create", "/nowhere/samson.json");
    expect([status, stderr.startsWith("holdfast: Cannot read the definition /nowhere/samson.json: ")]).toEqual([
      1,
      true,
    ]);
    expect(daemon.seen).toEqual([]);
  });

  test("create of what is no JSON fails before anybody is asked", async () => {
    expect((await runWith("{", daemon.socket, "app", "create", "-")).stderr).toContain("it is not JSON");
    expect(daemon.seen).toEqual([]);
  });

  test("list says that there are none, else shows them", async () => {
    daemon.replies["GET /v2/apps"] = answered({ apps: [] });
    expect((await holdfast("app", "list")).stdout).toBe("No apps");
    daemon.replies["GET /v2/apps"] = answered({ apps: [APP] });
    expect((await holdfast("app", "list")).stdout).toMatch(
      /^ID +ROLE +INSTANCES +RUNNING .*\n\/sesame\/samson +ads +2 +1 /,
    );
    expect(JSON.parse((await holdfast("app", "list", "--json")).stdout)).toEqual({ apps: [APP] });
  });

  test("show says of every instance who has it, or since when it is lost", async () => {
    daemon.replies[`GET ${PATH}`] = answered({ app: APP });
    const { stdout } = await holdfast("app", "show", ID);
    expect(stdout).toContain("Instances  2, 1 running");
    expect(stdout).toMatch(new RegExp(`${TASK} +attached +web-1 +${VOLUME} +data`));
    expect(stdout).toMatch(/sesame_samson\.2 +lost since 2026-01-02T03:04:05\.678Z, suspended +-/);
    expect(stdout).toMatch(/sesame_samson\.3 +detached +-/);
  });

  test("scale names the instances alone", async () => {
    daemon.replies[`PUT ${PATH}`] = answered(DEPLOYED);
    expect((await holdfast("app", "scale", "sesame/samson", "3")).stdout).toBe(`App ${ID} has 3 instances now`);
    expect(daemon.seen).toEqual([{ line: `PUT ${PATH}`, body: { instances: 3 } }]);
  });

  test("delete asks for force only when it is told to", async () => {
    daemon.replies[`DELETE ${PATH}`] = refused(409, "in_use", "Cannot delete app: attached");
    expect((await holdfast("app", "delete", ID)).status).toBe(1);
    daemon.replies[`DELETE ${PATH}?force=true`] = answered(DEPLOYED);
    expect((await holdfast("app", "delete", ID, "--force")).stdout).toContain(`Deleted app ${ID}`);
  });

  test("wipe of an instance of another app asks for nothing", async () => {
    daemon.replies[`GET ${PATH}`] = answered({ app: APP });
    const outcome = await holdfast("app", "wipe", ID, "other.1");
    expect(outcome).toMatchObject({ status: 2, stderr: expect.stringContaining("other.1 is no instance of") });
    expect(daemon.seen).toHaveLength(1);
  });

  test("wipe names the instances", async () => {
    daemon.replies[`GET ${PATH}`] = answered({ app: APP });
    daemon.replies["POST /v2/tasks/delete?wipe=true"] = answered({ tasks: [APP.tasks[0]] });
    expect((await holdfast("app", "wipe", ID, TASK)).stdout).toBe(`Wiped 1 instance of app ${ID}`);
    expect(daemon.seen.at(-1)?.body).toEqual({ ids: [TASK] });
  });
});

describe("attach --app", () => {
  test("without an app or volumes is wrong usage", async () => {
    expect((await holdfast("attach", "--container", "c", "--sandbox", "/s")).status).toBe(2);
  });

  test("asks for the app beside what the container has, and says what it got", async () => {
    daemon.replies["GET /v1/containers"] = answered({ containers: [] });
    daemon.replies[`PUT /v1/containers/${CONTAINER.id}`] = answered(CONTAINER);
    const outcome = await holdfast("attach", "--app", ID, "--container", CONTAINER.id, "--sandbox", "/s");
    expect(outcome.stdout).toContain("Attached ads/db to");
    expect(daemon.seen.at(-1)?.body).toEqual({ sandbox: "/s", app: ID, volumes: [] });
  });
});
