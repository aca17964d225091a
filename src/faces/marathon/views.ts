/** Apps and their instances as Marathon shows them. */
import { uuidOf } from "../../domain/app-id.ts";
import type { InstanceState } from "../../domain/app-members.ts";
import type { JsonObject } from "../../domain/json.ts";
import type { AppRecord } from "../../domain/records.ts";
import type { WallMs } from "../../domain/units.ts";
import type { AppInstanceView, AppView } from "../../engine/engine.ts";
import type { AppJson, TaskJson } from "../http/app-wire.ts";

/** What an instance says of the node it is on. */
export interface NodeName {
  readonly hostname: string;
  readonly agentId: string;
}

export function appJson({ app, instances }: AppView): AppJson {
  return {
    ...(JSON.parse(app.definition) as JsonObject & Pick<AppJson, "container">),
    id: app.id,
    role: app.role,
    instances: app.instances,
    residency: app.residency,
    version: iso(app.version),
    tasksStaged: 0,
    tasksRunning: instances.filter(({ state }) => state === "running").length,
    tasksHealthy: 0,
    tasksUnhealthy: 0,
    deployments: [],
  };
}

export function appWithTasksJson(view: AppView, node: NodeName): AppJson {
  return { ...appJson(view), tasks: tasksJson(view, node) };
}

export function tasksJson({ app, instances }: AppView, node: NodeName): readonly TaskJson[] {
  return instances.map((view) => taskJson(app, view, node));
}

export function taskJson(
  { id: appId, version }: Pick<AppRecord, "id" | "version">,
  view: AppInstanceView,
  { hostname, agentId }: NodeName,
): TaskJson {
  const { instance, state, containers } = view;
  const since = state === "running" ? iso(instance.startedAt ?? instance.createdAt) : undefined;
  return {
    id: instance.id,
    appId,
    host: hostname,
    slaveId: agentId,
    state: taskState(view),
    ...(since === undefined ? {} : { stagedAt: since, startedAt: since, version: iso(version) }),
    localVolumes: instance.volumes.map(({ containerPath, id }) => ({
      runSpecId: appId,
      containerPath,
      uuid: uuidOf(id),
      persistenceId: id,
    })),
    containers,
    ...(instance.suspended === true ? { suspended: true } : {}),
    ...(instance.lost === undefined ? {} : { lostSince: iso(instance.lost.since.at) }),
  };
}

export function iso(at: WallMs): string {
  return new Date(at).toISOString();
}

const STATES: Readonly<Record<Exclude<InstanceState, "waiting">, TaskJson["state"]>> = {
  running: "TASK_RUNNING",
  lost: "TASK_LOST",
  suspended: "TASK_KILLED",
};

function taskState({ state, instance }: AppInstanceView): TaskJson["state"] {
  if (state !== "waiting") return STATES[state];
  return instance.startedAt === undefined ? "TASK_STAGING" : "TASK_FINISHED";
}
