/** Marathon's REST API over the operator's door, with a real engine behind it. */
import { hostname } from "node:os";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { JsonObject } from "../../../src/domain/json.ts";
import type { AppId, ContainerId } from "../../../src/domain/units.ts";
import { readJson } from "../../../src/faces/http/body.ts";
import { addMarathonRoutes } from "../../../src/faces/marathon/routes.ts";
import { persistent, SAMSON, samson } from "../../domain/app-samples.ts";
import { PEER, type Rig, startRig } from "../../engine/rig.ts";
import { type Answer, ask } from "../ask.ts";
import { OPS, openOperatorDoor, opsOnly } from "../doors.ts";

const PATH = `/v2/apps${SAMSON}`;

let rig: Rig;
let door: Awaited<ReturnType<typeof openOperatorDoor>>;
beforeEach(async () => {
  rig = await startRig();
  door = await openOperatorDoor({
    engine: rig.engine,
    authenticator: () => opsOnly,
    share: (app) =>
      addMarathonRoutes(app, { engine: rig.engine, hostname: hostname(), log: rig.log, readBody: readJson }),
  });
});
afterEach(() => door?.close());

function send(method: string, path: string, body?: unknown): Promise<Answer> {
  const headers = { authorization: OPS, ...(body === undefined ? {} : { "content-type": "application/json" }) };
  return ask(door.where, path, { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
}

const get = (path: string) => send("GET", path);
const json = <T>({ json: value }: Answer) => value as T;
const attach = (container: string) =>
  rig.engine.attach(PEER, {
    container: container as ContainerId,
    sandbox: `/sandboxes/${container}`,
    app: SAMSON as AppId,
    volumes: [],
  });

interface Task {
  readonly id: string;
  readonly state: string;
  readonly startedAt?: string;
  readonly localVolumes: readonly object[];
}

async function tasks(): Promise<readonly Task[]> {
  return json<{ tasks: readonly Task[] }>(await get(`${PATH}/tasks`)).tasks;
}

describe("/v2/apps refuses", () => {
  it("everybody without credentials, in Marathon's form", async () => {
    const answer = await ask(door.where, "/v2/apps");
    expect(answer).toMatchObject({ status: 401, json: { message: expect.any(String) } });
    expect(answer.headers["www-authenticate"]).toContain("Basic");
  });

  it("an invalid definition with 422 and every path that is wrong", async () => {
    const body = samson({ instances: -1, container: { volumes: [persistent("a/b", { size: 0 })] } });
    expect(await send("POST", "/v2/apps", body)).toMatchObject({
      status: 422,
      json: {
        message: "Object is not valid",
        details: [
          { path: "/instances", errors: ["got -1, expected 0 or more"] },
          { path: "/container/volumes(0)/containerPath", errors: ['value must not contain "/"'] },
          { path: "/container/volumes(0)/persistent/size", errors: ["got 0, expected more than 0"] },
        ],
      },
    });
    expect(json(await get("/v2/apps"))).toEqual({ apps: [] });
  });

  it("an app twice with 409, and one that is not there with 404, in Marathon's words", async () => {
    await send("POST", "/v2/apps", samson());
    expect(await send("POST", "/v2/apps", samson())).toMatchObject({
      status: 409,
      json: { message: `An app with id [${SAMSON}] already exists.` },
    });
    for (const method of ["GET", "DELETE"]) {
      const answer = await send(method, "/v2/apps/nix");
      expect(answer).toMatchObject({ status: 404, json: { message: "App '/nix' does not exist" } });
    }
  });

  it("more instances than there is disk for, and makes none", async () => {
    const answer = await send("POST", "/v2/apps", samson({ instances: 10_000 }));
    expect(answer).toMatchObject({ status: 409, json: { error: { code: "insufficient" } } });
    expect(json(await get("/v2/apps"))).toEqual({ apps: [] });
  });

  it("other volumes with 422", async () => {
    await send("POST", "/v2/apps", samson());
    const body = { container: { volumes: [persistent("data", { size: 200 })] } };
    expect(await send("PUT", PATH, body)).toMatchObject({
      status: 422,
      json: { details: [{ path: "/", errors: ["Persistent volumes can not be changed!"] }] },
    });
  });

  it("what is no JSON, a list, or is not declared as JSON", async () => {
    const headers = { authorization: OPS, "content-type": "application/json" };
    const broken = await ask(door.where, "/v2/apps", { method: "POST", headers, body: "{" });
    expect(broken).toMatchObject({ status: 400, json: { message: expect.stringContaining("it is not JSON") } });
    expect((await send("POST", "/v2/apps", [samson()])).status).toBe(400);
    const undeclared = await ask(door.where, "/v2/apps", {
      method: "POST",
      headers: { authorization: OPS },
      body: "{}",
    });
    expect(undeclared.status).toBe(415);
  });

  it("to kill, to wipe and scale at once, and to wipe what a container has", async () => {
    await send("POST", "/v2/apps", samson());
    const [task] = await tasks();
    expect((await send("DELETE", `${PATH}/tasks/${task?.id}`)).status).toBe(400);
    expect(await send("DELETE", `${PATH}/tasks/${task?.id}?wipe=true&scale=true`)).toMatchObject({
      status: 400,
      json: { message: "You cannot use scale and wipe at the same time." },
    });
    await attach("one");
    expect((await send("DELETE", `${PATH}/tasks/${task?.id}?wipe=true`)).status).toBe(409);
    expect((await send("DELETE", PATH)).status).toBe(409);
    expect(await tasks()).toHaveLength(1);
  });

  it("tasks that are nobody's, and wipes none of the others", async () => {
    await send("POST", "/v2/apps", samson());
    const before = await tasks();
    const body = { ids: [before[0]?.id, "sesame_samson.nix"] };
    expect((await send("POST", "/v2/tasks/delete?wipe=true", body)).status).toBe(404);
    expect(await tasks()).toEqual(before);
  });
});

describe("/v2/apps", () => {
  it("makes the example of Marathon's document, and shows it as Marathon does", async () => {
    const made = await send("POST", "/v2/apps", samson());
    expect(made).toMatchObject({
      status: 201,
      headers: { location: PATH },
      json: {
        id: SAMSON,
        cmd: "touch /data/file && sleep 1000",
        instances: 1,
        container: { volumes: [{ containerPath: "data", mode: "RW", persistent: { type: "root", size: 100 } }] },
        residency: { taskLostBehavior: "WAIT_FOREVER", relaunchEscalationTimeoutSeconds: 3600 },
        version: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
        tasksRunning: 0,
        deployments: [],
      },
    });
    const { app } = json<{ app: { tasks: readonly Task[] } }>(await get(PATH));
    expect(app.tasks).toEqual(await tasks());
    expect(json(await get("/v2/deployments"))).toEqual([]);
  });

  it("shows where an instance's volumes are, and no start while nobody has them", async () => {
    await send("POST", "/v2/apps", samson());
    const [waiting] = await tasks();
    const uuid = /[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/.source;
    expect(waiting).toMatchObject({
      id: expect.stringMatching(`^sesame_samson\\.${uuid}$`),
      appId: SAMSON,
      host: hostname(),
      slaveId: rig.engine.agentId,
      state: "TASK_STAGING",
      localVolumes: [
        {
          runSpecId: SAMSON,
          containerPath: "data",
          uuid: expect.stringMatching(uuid),
          persistenceId: expect.stringMatching(`^sesame_samson#data#${uuid}$`),
        },
      ],
    });
    expect(waiting).not.toHaveProperty("startedAt");
    await attach("one");
    expect(await tasks()).toMatchObject([
      { state: "TASK_RUNNING", startedAt: expect.any(String), containers: ["one"] },
    ]);
    expect(json(await get("/v2/apps"))).toMatchObject({ apps: [{ tasksRunning: 1 }] });
    await rig.detach("one" as ContainerId);
    expect((await tasks()).map(({ state }) => state)).toEqual(["TASK_FINISHED"]);
    await attach("one");
    await rig.reboot();
    expect(await rig.engine.app(PEER, SAMSON as AppId)).toMatchObject({ instances: [{ state: "lost" }] });
  });

  it("takes back what it showed, and a few fields", async () => {
    await send("POST", "/v2/apps", samson());
    const { app } = json<{ app: JsonObject }>(await get(PATH));
    const put = await send("PUT", PATH, { ...app, instances: 2 });
    expect(put).toMatchObject({ status: 200, json: { version: expect.any(String), deploymentId: expect.any(String) } });
    expect(await tasks()).toHaveLength(2);
    await send("PUT", PATH, { instances: 1 });
    expect((await tasks()).map(({ state }) => state)).toEqual(["TASK_STAGING", "TASK_KILLED"]);
  });

  it("makes an app by PUT where there is none", async () => {
    expect((await send("PUT", PATH, { ...samson(), id: undefined })).status).toBe(201);
    expect((await send("PUT", `/v2/apps/${SAMSON}`, { instances: 0 })).status).toBe(200);
  });

  it("wipes one instance, several, or all, and names what is gone", async () => {
    await send("POST", "/v2/apps", samson({ instances: 3 }));
    const [first, second] = await tasks();
    expect(await send("DELETE", `${PATH}/tasks/${first?.id}?wipe=true`)).toMatchObject({
      status: 200,
      json: { task: { id: first?.id } },
    });
    const several = await send("POST", "/v2/tasks/delete?wipe=true", { ids: [second?.id] });
    expect(several).toMatchObject({ status: 200, json: { tasks: [{ id: second?.id }] } });
    const elsewhere = await send("DELETE", `${PATH}/tasks?wipe=true&host=elsewhere.example`);
    expect(elsewhere).toMatchObject({ status: 200, json: { tasks: [] } });
    const all = json<{ tasks: readonly Task[] }>(await send("DELETE", `${PATH}/tasks?wipe=true`));
    expect(all.tasks).toHaveLength(3);
    const left = json<{ tasks: readonly Task[] }>(await get("/v2/tasks")).tasks;
    expect(left).toHaveLength(3);
    expect(left.map(({ id }) => id)).not.toContain(all.tasks[0]?.id);
  });

  it("deletes an app, whose volumes are retained", async () => {
    await send("POST", "/v2/apps", samson());
    expect(await send("DELETE", PATH)).toMatchObject({ status: 200, json: { deploymentId: expect.any(String) } });
    expect((await get(PATH)).status).toBe(404);
    expect(json(await get("/v1/volumes"))).toMatchObject({ volumes: [{ state: "retained", principal: "ops" }] });
  });
});
