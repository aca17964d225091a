/**
 * `/v2/apps`: Marathon's REST API for stateful apps, on one node. What Marathon does later, in a deployment, is done here
 * when it is answered: reservations and volumes of all instances are there, or nothing is.
 *
 * There are no tasks: a container becomes one by attaching the app's volumes, and stays its runtime's to end.
 */
import { randomUUID } from "node:crypto";
import type { FastifyInstance, FastifyRequest } from "fastify";
import { HoldfastError } from "../../domain/error.ts";
import { type JsonObject, parseObject } from "../../domain/json.ts";
import type { Actor } from "../../domain/operation.ts";
import type { AppId, InstanceId } from "../../domain/units.ts";
import type { AppInstanceView, Engine } from "../../engine/engine.ts";
import type { Log } from "../../ports/log.ts";
import type { AppAnswerJson, AppJson, AppsJson, DeploymentJson, TaskJson, TasksJson } from "../http/app-wire.ts";
import { sendError } from "../http/errors.ts";
import { MARATHON_FORM } from "./errors.ts";
import { parseAddress, parseForce, parseTaskIds, parseWipe, type TaskQuery } from "./requests.ts";
import { appJson, appWithTasksJson, iso, type NodeName, taskJson, tasksJson } from "./views.ts";

export interface MarathonOptions {
  readonly engine: Engine;
  readonly hostname: string;
  readonly log: Log;
  /** Reads a JSON body as the door wants it declared. */
  readonly readBody: (request: FastifyRequest) => unknown;
}

interface Address {
  readonly Params: { readonly "*": string };
}

export function addMarathonRoutes(app: FastifyInstance, options: MarathonOptions): void {
  void app.register(async (scope: FastifyInstance) => {
    const answer = { log: options.log, form: MARATHON_FORM };
    scope.setErrorHandler((error, request, reply) => sendError(error, request, reply, answer));
    addApps(scope, options);
    addApp(scope, options);
    addTasks(scope, options);
  });
}

function addApps(scope: FastifyInstance, { engine, readBody }: MarathonOptions): void {
  scope.get("/v2/apps", async ({ actor }): Promise<AppsJson> => ({ apps: (await engine.apps(actor)).map(appJson) }));

  scope.post("/v2/apps", async (request, reply): Promise<AppJson> => {
    const made = await engine.createApp(request.actor, parseBody(readBody(request)));
    reply.code(201).header("location", `/v2/apps${made.app.id}`);
    return appJson(made);
  });

  scope.get("/v2/deployments", () => []);
}

function addApp(scope: FastifyInstance, { engine, hostname, readBody }: MarathonOptions): void {
  const node = { hostname, agentId: engine.agentId };

  scope.get<Address>("/v2/apps/*", async ({ actor, params }): Promise<AppAnswerJson | TasksJson> => {
    const { app: id, about, task } = parseAddress(params["*"]);
    if (task !== undefined) throw notTaken("GET");
    const view = await engine.app(actor, id);
    return about === "tasks" ? { tasks: tasksJson(view, node) } : { app: appWithTasksJson(view, node) };
  });

  scope.put<Address>("/v2/apps/*", async (request, reply): Promise<DeploymentJson> => {
    const id = parseAppAddress(request.params["*"], "PUT");
    const body = parseBody(readBody(request as FastifyRequest));
    const { app } = await engine.changeApp(request.actor, id, body, { create: true });
    // Every change makes the version later.
    if (app.version === app.createdAt) reply.code(201);
    return deployment(iso(app.version));
  });

  scope.delete<Address>("/v2/apps/*", async (request): Promise<DeploymentJson | TasksJson | { task: TaskJson }> => {
    const { actor, params } = request;
    const { app: id, about, task } = parseAddress(params["*"]);
    if (about === "app") {
      await engine.deleteApp(actor, id, { force: parseForce(request as FastifyRequest) });
      return deployment(new Date().toISOString());
    }
    const wanted = { ...parseWipe(request as FastifyRequest), ...(task === undefined ? {} : { instances: [task] }) };
    const wiped = await wipe(engine, actor, id, wanted, node);
    const [only] = wiped;
    return task === undefined || only === undefined ? { tasks: wiped } : { task: only };
  });
}

function addTasks(scope: FastifyInstance, { engine, hostname, readBody }: MarathonOptions): void {
  const node = { hostname, agentId: engine.agentId };

  scope.get(
    "/v2/tasks",
    async ({ actor }): Promise<TasksJson> => ({
      tasks: (await engine.apps(actor)).flatMap((view) => tasksJson(view, node)),
    }),
  );

  scope.post("/v2/tasks/delete", async (request): Promise<TasksJson> => {
    const query = parseWipe(request);
    const byApp = await ownersOf(engine, request.actor, parseTaskIds(readBody(request)));
    const wiped: TaskJson[] = [];
    for (const [id, instances] of byApp) {
      wiped.push(...(await wipe(engine, request.actor, id, { ...query, instances }, node)));
    }
    return { tasks: wiped };
  });
}

/** @throws `no_such_app` for the first id that no app has: nothing is wiped then */
async function ownersOf(
  engine: Engine,
  actor: Actor,
  ids: readonly InstanceId[],
): Promise<ReadonlyMap<AppId, readonly InstanceId[]>> {
  const apps = await engine.apps(actor);
  const owners = new Map(apps.flatMap(({ app, instances }) => instances.map(({ instance }) => [instance.id, app.id])));
  const owned = [...new Set(ids)].map((id) => {
    const owner = owners.get(id);
    if (owner === undefined) throw new HoldfastError("no_such_app", `Task '${id}' does not exist`);
    return { id, owner };
  });
  const groups = Map.groupBy(owned, ({ owner }) => owner);
  return new Map([...groups].map(([owner, group]) => [owner, group.map(({ id }) => id)]));
}

async function wipe(
  engine: Engine,
  actor: Actor,
  id: AppId,
  { host, ...options }: TaskQuery & { readonly instances?: readonly InstanceId[] },
  node: NodeName,
): Promise<readonly TaskJson[]> {
  const { app } = await engine.app(actor, id);
  if (host !== undefined && host !== node.hostname) return [];
  const wiped: readonly AppInstanceView[] = await engine.wipeApp(actor, id, options);
  return wiped.map((view) => taskJson(app, view, node));
}

function parseAppAddress(rest: string, method: string): AppId {
  const { app, about } = parseAddress(rest);
  if (about !== "app") throw notTaken(method);
  return app;
}

function parseBody(body: unknown): JsonObject {
  return parseObject(body, "the body");
}

function deployment(version: string): DeploymentJson {
  return { version, deploymentId: randomUUID() };
}

function notTaken(method: string): HoldfastError {
  return new HoldfastError("method_not_allowed", `Cannot ${method} this address`);
}
