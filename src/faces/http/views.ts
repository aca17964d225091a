/** The engine's views as JSON of the `/v1` routes. */

import { printResource } from "../../domain/mesos-format.ts";
import { resourceOf } from "../../domain/node.ts";
import { labelsObject } from "../../domain/note.ts";
import type { CopySource, OperationRecord, VolumeNote } from "../../domain/records.ts";
import { toMb, type WallMs } from "../../domain/units.ts";
import type {
  CollectOutcome,
  CollectView,
  ContainerView,
  HolderView,
  NodeResources,
  NodeStatus,
  SandboxView,
  VolumeView,
} from "../../engine/engine.ts";
import type {
  AttachmentJson,
  ContainerJson,
  CopySourceJson,
  DiskJson,
  GcJson,
  GcSandboxJson,
  GcVolumeJson,
  HolderJson,
  OperationsJson,
  ResourcesJson,
  StatusJson,
  VolumeJson,
} from "./wire.ts";

export function volumeJson(view: VolumeView): VolumeJson {
  const { volume, state, path, containers, dueAt, usage, useHistory, enforced, problem, holders } = view;
  const { principal, retired, source } = volume;
  return {
    uuid: volume.uuid,
    role: volume.role,
    id: volume.id,
    sizeMb: toMb(volume.size),
    ...(usage === undefined ? {} : { usedBytes: usage.usedBytes }),
    ...(usage?.inodes === undefined ? {} : { inodes: usage.inodes }),
    ...(useHistory === undefined ? {} : { useHistory: useHistory.map((point) => ({ ...point, at: iso(point.at) })) }),
    enforced,
    ...(volume.protected === undefined ? {} : { protected: volume.protected }),
    ...(volume.pinned === undefined ? {} : { pinned: volume.pinned }),
    containerPath: volume.containerPath,
    ...(principal === undefined ? {} : { principal }),
    shared: volume.shared,
    state,
    path,
    containers,
    createdAt: iso(volume.createdAt),
    createdBy: volume.createdBy,
    ...(retired === undefined ? {} : { retiredAt: iso(retired.at) }),
    ...(dueAt === undefined ? {} : { dueAt: iso(dueAt) }),
    ...(source.type === "ROOT" ? {} : { source }),
    ...(volume.copyOf === undefined ? {} : { copyOf: copySourceJson(volume.copyOf) }),
    ...(volume.snapshotOf === undefined ? {} : { snapshotOf: copySourceJson(volume.snapshotOf) }),
    ...(view.copying === undefined ? {} : { copying: view.copying }),
    ...(volume.app === undefined ? {} : { app: volume.app }),
    ...noteJson(volume.note),
    ...(problem === undefined ? {} : { problem }),
    ...(holders === undefined ? {} : { holders: holders.map(holderJson) }),
    resource: printResource(resourceOf(volume), "post"),
  };
}

function copySourceJson(source: CopySource): CopySourceJson {
  return { ...source, at: iso(source.at) };
}

function noteJson(note: VolumeNote | undefined): Pick<VolumeJson, "description" | "labels"> {
  return {
    ...(note?.description === undefined ? {} : { description: note.description }),
    ...(note?.labels === undefined ? {} : { labels: labelsObject(note.labels) }),
  };
}

export function containerJson({ container, attachments, holders }: ContainerView): ContainerJson {
  const { id, sandbox, process, runtime } = container;
  return {
    id,
    ...(sandbox === undefined ? {} : { sandbox }),
    ...(process === undefined ? {} : { pid: process.pid }),
    ...(runtime === undefined ? {} : { runtime }),
    since: iso(container.since),
    by: container.by,
    volumes: attachments.map(attachmentJson),
    ...(holders === undefined ? {} : { holders: holders.map(holderJson) }),
  };
}

export function operationsJson(record: OperationRecord, state: OperationsJson["state"] = "FINISHED"): OperationsJson {
  return { id: record.id, state, by: record.by, at: iso(record.at), operations: record.operations };
}

export function gcJson({ sandboxes, ...volumes }: CollectOutcome, dryRun: boolean): GcJson {
  const answer = outcomeJson(volumes, gcVolumeJson, dryRun);
  return sandboxes === undefined ? answer : { ...answer, sandboxes: outcomeJson(sandboxes, gcSandboxJson, dryRun) };
}

function outcomeJson<View, Json>(
  { collected, kept }: { readonly collected: readonly View[]; readonly kept: readonly View[] },
  json: (view: View) => Json,
  dryRun: boolean,
) {
  const gone = collected.map(json);
  return { ...(dryRun ? { would: gone } : { collected: gone }), kept: kept.map(json) };
}

export function gcSandboxJson({ sandbox, dueAt, reason }: SandboxView & { readonly reason?: string }): GcSandboxJson {
  return {
    path: sandbox.path,
    discardedAt: iso(sandbox.retired.at),
    ...(dueAt === undefined ? {} : { dueAt: iso(dueAt) }),
    ...(reason === undefined ? {} : { reason }),
  };
}

function gcVolumeJson({ volume, dueAt, reason }: CollectView & { readonly reason?: string }): GcVolumeJson {
  return {
    uuid: volume.uuid,
    role: volume.role,
    id: volume.id,
    sizeMb: toMb(volume.size),
    ...(volume.retired === undefined ? {} : { retiredAt: iso(volume.retired.at) }),
    ...(dueAt === undefined ? {} : { dueAt: iso(dueAt) }),
    ...(reason === undefined ? {} : { reason }),
  };
}

export function statusJson(status: NodeStatus, version: string): StatusJson {
  const { startedAt, latestContainers, collection, recovery } = status;
  return {
    version,
    ...status,
    startedAt: iso(startedAt),
    disks: status.disks.map(diskJson),
    latestContainers: latestContainers.map((container) => ({ ...container, since: iso(container.since) })),
    collection: { ...collection, next: collection.next.map(gcVolumeJson) },
    recovery: { ...recovery, at: iso(recovery.at) },
  };
}

function diskJson({ usedByVolumes, usedByRetained, promised, ...disk }: NodeStatus["disks"][number]): DiskJson {
  return {
    ...disk,
    usedByVolumesBytes: usedByVolumes,
    usedByRetainedBytes: usedByRetained,
    promisedBytes: promised,
  };
}

export function resourcesJson({ agentId, resources }: Pick<NodeResources, "agentId" | "resources">): ResourcesJson {
  return { agentId, resources: resources.map((resource) => printResource(resource, "post")) };
}

function attachmentJson({ attachment, role, id, problem }: ContainerView["attachments"][number]): AttachmentJson {
  const { mount } = attachment;
  return {
    role,
    id,
    uuid: attachment.uuid,
    containerPath: attachment.containerPath,
    mode: attachment.mode,
    state: attachment.phase,
    ...(mount?.backend === "bind" ? { propagation: mount.propagation } : {}),
    ...(problem === undefined ? {} : { problem }),
  };
}

function holderJson({ pid, command, cgroup, mountPoint, engine, container }: HolderView): HolderJson {
  return {
    pid,
    command,
    cgroup,
    mountPoint,
    ...(engine === undefined ? {} : { engine }),
    ...(container === undefined ? {} : { container }),
  };
}

function iso(at: WallMs): string {
  return new Date(at).toISOString();
}
