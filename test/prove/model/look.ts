/** Compares what the lists show with what the model has; the model gets to know the incarnations of new volumes. */
import { ask } from "../../faces/ask.ts";
import { dockerNameOf } from "./docker.ts";
import type { Node } from "./node.ts";
import {
  forget,
  freeMb,
  holdersOf,
  keyOf,
  type Level,
  type Model,
  type ModelVolume,
  may,
  mayBeDue,
  present,
  STATIC_ROLE,
  type Stack,
  type Who,
} from "./reference.ts";
import { credentials, type Doors } from "./send.ts";

/** What is shown, read once: two models can be compared with it. */
export interface Shown {
  readonly volumes: readonly ShownVolume[];
  readonly containers: readonly string[];
  readonly state: readonly string[];
  readonly docker: readonly string[];
  readonly operations: readonly string[];
  /** Places where something is mounted, with the incarnation that is seen there. */
  readonly mounts: readonly string[];
  readonly files: ReadonlyMap<string, number>;
  readonly viewer: Who;
}

interface ShownVolume {
  readonly uuid: string;
  /** All that the model says about it. */
  readonly line: string;
}

interface VolumeJson {
  readonly uuid: string;
  readonly role: string;
  readonly id: string;
  readonly sizeMb: number;
  readonly containerPath: string;
  readonly principal?: string;
  readonly shared: boolean;
  readonly state: string;
  readonly path: string;
  readonly containers: readonly string[];
  readonly createdBy: string;
  readonly protected?: boolean;
  readonly pinned?: boolean;
  readonly resource: ResourceJson;
}

interface ResourceJson {
  readonly scalar: { readonly value: number };
  readonly reservations?: readonly {
    readonly type: Level["type"];
    readonly role: string;
    readonly principal?: string;
    readonly labels?: { readonly labels?: readonly { readonly key: string; readonly value?: string }[] };
  }[];
  readonly disk?: { readonly persistence?: { readonly id: string } };
}

/** Reads every list, as `viewer` where the list depends on it. */
export async function look(doors: Doors, node: Node, viewer: Who): Promise<Shown> {
  const door = viewer === "root" ? doors.agent : doors.operator;
  const headers = credentials(viewer);
  const stateViewer = viewer === "root" ? credentials("ops") : headers;
  const [volumes, containers, state, docker, operations] = await Promise.all([
    read<{ volumes: readonly VolumeJson[] }>(ask(door, "/v1/volumes", { headers })),
    read<{ containers: readonly ContainerJson[] }>(ask(doors.agent, "/v1/containers")),
    read<StateJson>(ask(doors.operator, "/state", { headers: stateViewer })),
    read<{ Volumes: readonly { Name: string; Mountpoint: string }[] }>(
      ask(doors.docker, "/VolumeDriver.List", { method: "POST", body: "{}" }),
    ),
    read<{ operations: readonly { id: string; by: string }[] }>(ask(door, "/v1/operations", { headers })),
  ]);
  const resources = [...Object.values(state.reserved_resources_full).flat(), ...state.unreserved_resources_full];
  const stored = [...node.store.contents().records.volumes.values()];
  return {
    viewer,
    volumes: volumes.volumes.map((one) => ({ uuid: one.uuid, line: lineOfJson(one) })),
    containers: containers.containers.map(lineOfContainer).toSorted(),
    state: resources
      .map(
        ({ scalar, reservations, disk }) =>
          `${scalar.value} ${keyOf(stackOf(reservations))} ${disk?.persistence?.id ?? ""}`,
      )
      .toSorted(),
    docker: docker.Volumes.map(({ Name }) => Name).toSorted(),
    operations: operations.operations.map(({ id, by }) => `${by} ${id}`).toSorted(),
    mounts: node.mounter.places().map((place) => `${place} ${node.mounter.shownAt(place)}`),
    files: new Map(stored.map(({ uuid }): [string, number] => [uuid, node.disk.files(uuid)])),
  };
}

/** What differs; nothing when all is as it must be. */
export function differences(model: Model, shown: Shown): string[] {
  const { viewer } = shown;
  const found = volumeDifferences(model, shown);
  if (found.length > 0) return found;
  const isVisible = ({ role }: { readonly role: string }) => may(viewer, { role });
  compare(found, "containers", shown.containers, containersOf(model));
  compare(found, "mounts", shown.mounts, mountsOf(model));
  compare(found, "state", shown.state, stateOf(model, viewer));
  const dockerNames = present(model).filter(({ phase }) => phase === "live");
  compare(found, "docker volumes", shown.docker, dockerNames.map((one) => dockerNameOf(model, one)).toSorted());
  const outcomes = model.outcomes.filter(({ by }) => viewer === "root" || by === viewer);
  compare(found, "operations", shown.operations, outcomes.map(({ id, by }) => `${by} ${id}`).toSorted());
  for (const { uuid, files, role, id } of present(model).filter(isVisible)) {
    const there = shown.files.get(uuid ?? "");
    if (there !== files) found.push(`${role}/${id} has ${there} files, not ${files}`);
  }
  return found;
}

function compare(found: string[], what: string, shown: readonly string[], wanted: readonly string[]): void {
  if (shown.join("\n") !== wanted.join("\n")) {
    found.push(`${what} are [${shown.join(", ")}], not [${wanted.join(", ")}]`);
  }
}

/** Volumes that were just created are recognised by everything else that is known of them. */
function volumeDifferences(model: Model, { volumes, viewer }: Shown): string[] {
  const visible = () => present(model).filter(({ role }) => may(viewer, { role }));
  const unknown = volumes.filter(({ uuid }) => !present(model).some((one) => one.uuid === uuid));
  for (const one of visible().filter(({ uuid }) => uuid === undefined)) {
    const index = unknown.findIndex(({ uuid, line }) => line === lineOf(model, { ...one, uuid }, one));
    const [match] = index < 0 ? [] : unknown.splice(index, 1);
    if (match !== undefined) one.uuid = match.uuid;
  }
  // What is due may be gone by now.
  for (const one of visible()) {
    const isShown = one.uuid === undefined || volumes.some(({ uuid }) => uuid === one.uuid);
    if (!isShown && mayBeDue(model, one)) forget(model, one);
  }
  const found: string[] = [];
  const shown = volumes.map(({ line }) => line).toSorted();
  compare(
    found,
    "volumes",
    shown,
    visible()
      .map((one) => lineOf(model, one, one))
      .toSorted(),
  );
  return found;
}

function lineOf(model: Model, volume: ModelVolume, own: ModelVolume): string {
  const { uuid, role, id, sizeMb, path, principal, shared, createdBy, stack, phase } = volume;
  const holders = holdersOf(model, own);
  const states = holders.flatMap(({ attachments }) =>
    attachments.filter((one) => model.volumes[one.volume] === own).map(({ state }) => state),
  );
  const liveState = states.includes("attached") ? "attached" : (states[0] ?? "detached");
  const directory = phase === "live" ? "volumes" : "trash";
  const marks = `${volume.protected === true ? " protected" : ""}${volume.pinned === true ? " pinned" : ""}`;
  return [
    `${role}/${id} ${uuid} ${sizeMb} ${path} ${principal} ${shared} ${createdBy}`,
    `${phase === "live" ? liveState : phase}${marks} /memory/${directory}/${uuid}/content`,
    holders.map((one) => one.id).toSorted(),
    keyOf(stack),
  ].join(" ");
}

function lineOfJson(volume: VolumeJson): string {
  const { uuid, role, id, sizeMb, containerPath, principal, shared, createdBy, state, path, containers } = volume;
  const marks = `${volume.protected === true ? " protected" : ""}${volume.pinned === true ? " pinned" : ""}`;
  return [
    `${role}/${id} ${uuid} ${sizeMb} ${containerPath} ${principal} ${shared} ${createdBy}`,
    `${state}${marks} ${path}`,
    containers.toSorted(),
    keyOf(stackOf(volume.resource.reservations)),
  ].join(" ");
}

function stackOf(reservations: ResourceJson["reservations"] = []): Stack {
  return reservations.map(({ type, role, principal, labels }) => {
    const label = labels?.labels?.[0]?.value;
    return { type, role, ...(principal === undefined ? {} : { principal }), ...(label === undefined ? {} : { label }) };
  });
}

interface ContainerJson {
  readonly id: string;
  readonly sandbox?: string;
  readonly pid?: number;
  readonly volumes: readonly { uuid: string; containerPath: string; mode: string; state: string; problem?: string }[];
}

interface StateJson {
  readonly reserved_resources_full: Readonly<Record<string, readonly ResourceJson[]>>;
  readonly unreserved_resources_full: readonly ResourceJson[];
}

function lineOfContainer({ id, sandbox, pid, volumes }: ContainerJson): string {
  const list = volumes.map((one) => `${one.uuid} ${one.containerPath} ${one.mode} ${one.state} ${one.problem ?? ""}`);
  return `${id} ${sandbox} ${pid}: ${list.toSorted()}`;
}

function containersOf(model: Model): string[] {
  return model.containers
    .map(({ id, sandbox, process, attachments }) => {
      const list = attachments.map(
        ({ volume, path, mode, state }) => `${model.volumes[volume]?.uuid} ${path} ${mode} ${state} `,
      );
      return `${id} ${sandbox} ${process?.pid}: ${list.toSorted()}`;
    })
    .toSorted();
}

/** Exactly one mount for what is attached, none for anything else. */
function mountsOf(model: Model): string[] {
  return model.containers
    .flatMap(({ sandbox, process, attachments }) =>
      attachments
        .filter(({ state }) => state === "attached" && sandbox !== undefined)
        .map(({ volume, path }) => {
          const namespace = process === undefined ? "" : `[${process.start}]`;
          return `${namespace}${sandbox}/${path} ${model.volumes[volume]?.uuid}`;
        }),
    )
    .toSorted();
}

function stateOf(model: Model, viewer: Who): string[] {
  const pools: Stack[] = [[], [{ type: "STATIC", role: STATIC_ROLE }], ...model.reservations.map(({ stack }) => stack)];
  const role = (stack: Stack) => stack.at(-1)?.role;
  const isVisible = (stack: Stack) => stack.length === 0 || may(viewer, { role: role(stack) ?? "" });
  const free = pools
    .filter((stack) => freeMb(model, stack) > 0)
    .map((stack) => `${freeMb(model, stack)} ${keyOf(stack)} `);
  const volumes = present(model).filter(({ phase }) => phase === "live");
  return [
    ...free.filter((_, index) => isVisible(pools.filter((stack) => freeMb(model, stack) > 0)[index] ?? [])),
    ...volumes
      .filter(({ stack }) => isVisible(stack))
      .map(({ id, sizeMb, stack }) => `${sizeMb} ${keyOf(stack)} ${id}`),
  ].toSorted();
}

async function read<Body>(answer: ReturnType<typeof ask>): Promise<Body> {
  const { status, json, text } = await answer;
  if (status !== 200) throw new Error(`A list is answered with ${status}: ${text}`);
  return (json ?? JSON.parse(text)) as Body;
}
