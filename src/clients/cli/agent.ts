/** The agent socket's routes as this program uses them. The daemon is trusted to answer as its wire types say. */
import type {
  AdoptBody,
  AdoptJson,
  AppAnswerJson,
  AppJson,
  AppsJson,
  ContainerBody,
  ContainerJson,
  ContainersJson,
  CopyBody,
  DeploymentJson,
  DetachedJson,
  EventsJson,
  EventsQuery,
  GcBody,
  GcJson,
  HealthJson,
  HookIdleJson,
  MarkBody,
  NoteBody,
  OperationsBody,
  OperationsJson,
  ResourcesJson,
  RestoreBody,
  SandboxBody,
  SandboxGcBody,
  SandboxJson,
  SandboxKeptJson,
  StatusJson,
  TasksJson,
  VolumeJson,
  VolumeMark,
  VolumesJson,
  VolumesQuery,
} from "../../faces/agent-socket/wire.ts";
import { type AgentRequest, askDaemon } from "./connection.ts";
import type { VolumeName } from "./options.ts";

export interface Agent {
  ready(): Promise<HealthJson>;
  status(): Promise<StatusJson>;
  resources(): Promise<ResourcesJson>;
  volumes(query: VolumesQuery): Promise<VolumesJson>;
  volume(name: VolumeName): Promise<VolumeJson>;
  restore(body: RestoreBody): Promise<VolumeJson>;
  copy(body: CopyBody): Promise<VolumeJson>;
  describe(name: VolumeName, body: NoteBody): Promise<VolumeJson>;
  events(query: EventsQuery): Promise<EventsJson>;
  mark(mark: VolumeMark, body: MarkBody): Promise<VolumeJson>;
  adopt(body: AdoptBody): Promise<AdoptJson>;
  createApp(definition: object): Promise<AppJson>;
  changeApp(id: string, definition: object): Promise<DeploymentJson>;
  apps(): Promise<AppsJson>;
  app(id: string): Promise<AppAnswerJson>;
  deleteApp(id: string, options: { readonly force: boolean }): Promise<DeploymentJson>;
  wipeTasks(ids: readonly string[], options: { readonly force: boolean }): Promise<TasksJson>;
  gc(body: GcBody): Promise<GcJson>;
  gcSandboxes(body: SandboxGcBody): Promise<GcJson>;
  discardSandbox(body: SandboxBody): Promise<SandboxJson>;
  keepSandbox(body: SandboxBody): Promise<SandboxKeptJson>;
  perform(body: OperationsBody): Promise<OperationsJson>;
  outcome(operationId: string): Promise<OperationsJson>;
  containers(): Promise<ContainersJson>;
  attach(container: string, body: ContainerBody): Promise<ContainerJson>;
  detach(container: string, options: { readonly force: boolean }): Promise<DetachedJson>;
  /** Attaches what a container that is being created asks for, by its OCI state. */
  hook(state: object): Promise<ContainerJson | HookIdleJson>;
}

/** The daemon behind a socket; nothing is opened before the first request. */
export function openAgent(socketPath: string): Agent {
  const ask = <Answer>(method: AgentRequest["method"], path: string, body?: unknown) =>
    askDaemon(socketPath, { method, path, body }) as Promise<Answer>;
  return {
    ready: () => ask("GET", "/readyz"),
    status: () => ask("GET", "/v1/status"),
    resources: () => ask("GET", "/v1/resources"),
    volumes: (query) => ask("GET", `/v1/volumes${queryText({ ...query })}`),
    volume: (name) => ask("GET", volumePath(name)),
    describe: (name, body) => ask("PUT", `${volumePath(name)}/note`, body),
    events: (query) => ask("GET", `/v1/events${queryText({ ...query })}`),
    copy: (body) => ask("POST", "/v1/volumes/copy", body),
    restore: (body) => ask("POST", "/v1/volumes/restore", body),
    mark: (mark, body) => ask("POST", `/v1/volumes/${mark}`, body),
    adopt: (body) => ask("POST", "/v1/adopt", body),
    createApp: (definition) => ask("POST", "/v2/apps", definition),
    changeApp: (id, definition) => ask("PUT", appPath(id), definition),
    apps: () => ask("GET", "/v2/apps"),
    app: (id) => ask("GET", appPath(id)),
    deleteApp: (id, { force }) => ask("DELETE", appPath(id) + (force ? "?force=true" : "")),
    wipeTasks: (ids, { force }) => ask("POST", `/v2/tasks/delete?wipe=true${force ? "&force=true" : ""}`, { ids }),
    gc: (body) => ask("POST", "/v1/gc", body),
    gcSandboxes: (body) => ask("POST", "/v1/sandboxes/gc", body),
    discardSandbox: (body) => ask("POST", "/v1/sandboxes", body),
    keepSandbox: (body) => ask("POST", "/v1/sandboxes/keep", body),
    perform: (body) => ask("POST", "/v1/operations", body),
    outcome: (operationId) => ask("GET", `/v1/operations/${encodeURIComponent(operationId)}`),
    containers: () => ask("GET", "/v1/containers"),
    attach: (container, body) => ask("PUT", containerPath(container), body),
    detach: (container, { force }) => ask("DELETE", containerPath(container) + (force ? "?force=true" : "")),
    hook: (state) => ask("POST", "/v1/hooks/createRuntime", state),
  };
}

function volumePath({ role, id }: VolumeName): string {
  return `/v1/volumes/${encodeURIComponent(role)}/${encodeURIComponent(id)}`;
}

/** An app's id is a path. */
function appPath(id: string): string {
  return `/v2/apps/${id.split("/").filter(Boolean).map(encodeURIComponent).join("/")}`;
}

function containerPath(container: string): string {
  return `/v1/containers/${encodeURIComponent(container)}`;
}

/** `?limit=10`, or nothing. */
export function queryText(query: Readonly<Record<string, string | number | undefined>>): string {
  const known = Object.entries(query).filter(([, value]) => value !== undefined);
  const text = new URLSearchParams(known.map(([key, value]) => [key, String(value)])).toString();
  return text === "" ? "" : `?${text}`;
}
