/** One of each kind of record, numbered, with every optional field on the odd ones. */
import {
  type AppRecord,
  type Change,
  type CopySource,
  operationKey,
  type Records,
  type Volume,
} from "../../src/domain/records.ts";
import { poolKey, type Reservation, ROOT_DISK, sourceKey } from "../../src/domain/resource.ts";
import type {
  AgentId,
  AppId,
  BootId,
  ContainerId,
  ContainerPath,
  Incarnation,
  InstanceId,
  MilliMb,
  Principal,
  ProjectId,
  Role,
  VolumeId,
  WallMs,
} from "../../src/domain/units.ts";
import type { NodeHeader } from "../../src/ports/store.ts";

export const SAMPLE_HEADER: NodeHeader = {
  agentId: "0d4b6a0e-6f0c-4f0b-9a53-1f1f2f3f4f5f" as AgentId,
  createdAt: 1_763_817_000_000 as WallMs,
};

export function sampleVolume(number: number): Volume {
  const odd = number % 2 === 1;
  return {
    uuid: sampleUuid(number),
    role: "ads" as Role,
    id: `db-${number} äö "quoted"` as VolumeId,
    size: (1_024_000 + number) as MilliMb,
    source: odd ? { type: "MOUNT", root: "/mnt/disk one" } : ROOT_DISK,
    reservations: sampleReservations(odd),
    containerPath: "data" as ContainerPath,
    shared: odd,
    createdBy: "uid:0(root)",
    createdAt: 1_763_817_000_001 as WallMs,
    phase: odd ? "retained" : "live",
    directory: { ino: String(1_000_000 + number), birthNs: "1763817000123456789" },
    revision: number,
    ...(odd && {
      principal: "ops" as Principal,
      firstAttachedAt: 1_763_817_000_002 as WallMs,
      retired: { at: 1_763_817_000_003 as WallMs, bootId: "boot" as BootId, bootTimeMs: 12.5 },
    }),
  };
}

export function sampleUuid(number: number): Incarnation {
  return `00000000-0000-4000-8000-${String(number).padStart(12, "0")}` as Incarnation;
}

export function setVolume(number: number): Change {
  const value = sampleVolume(number);
  return { table: "volumes", key: value.uuid, value };
}

export function removeVolume(number: number): Change {
  return { table: "volumes", key: sampleUuid(number), value: undefined };
}

export function setReservation(): Change {
  const value: Records["reservations"] = {
    source: { type: "PATH", root: "/srv/ä" },
    reservations: sampleReservations(true),
    size: 2_048_000 as MilliMb,
  };
  return { table: "reservations", key: poolKey(value.source, value.reservations), value };
}

export function setContainer(): Change {
  const value: Records["containers"] = {
    id: "web-1" as ContainerId,
    sandbox: "/var/lib/sandboxes/web 1",
    bootId: "boot" as BootId,
    since: 1_763_817_000_004 as WallMs,
    by: "uid:0(root)",
    attachments: [
      {
        uuid: sampleUuid(1),
        containerPath: "data" as ContainerPath,
        mode: "RW",
        phase: "attached",
        mount: { backend: "bind", mountId: "4294967396", uniqueId: true, propagation: "shared" },
        madeMountpoint: true,
      },
      {
        uuid: sampleUuid(2),
        containerPath: "logs" as ContainerPath,
        mode: "RO",
        phase: "attaching",
        madeMountpoint: false,
      },
    ],
  };
  return { table: "containers", key: value.id, value };
}

export function setOperation(): Change {
  const value: Records["operations"] = {
    id: "operation-1",
    by: "ops",
    at: 1_763_817_000_005 as WallMs,
    request: '[{"type":"CREATE"}]',
    operations: [{ type: "CREATE", summary: "created ads/db" }],
  };
  return { table: "operations", key: operationKey(value.by, value.id), value };
}

function sampleReservations(full: boolean): readonly Reservation[] {
  if (!full) return [{ type: "DYNAMIC", role: "ads" as Role }];
  return [
    { type: "STATIC", role: "org" as Role },
    {
      type: "DYNAMIC",
      role: "ads" as Role,
      principal: "ops" as Principal,
      labels: [{ key: "tier" }, { key: "zone", value: "" }],
    },
  ];
}

export function setDisk(): Change {
  const source = { type: "PATH", root: "/srv/ä" } as const;
  const directory = { ino: "2000001", birthNs: "1763817000123456790" };
  const value: Records["disks"] = { source, fileSystemUuid: "f0000000-0000-4000-8000-000000000001", directory };
  return { table: "disks", key: sourceKey(source), value };
}

export function setSandbox(): Change {
  const value: Records["sandboxes"] = {
    path: "/var/lib/sandboxes/web 1",
    directory: { ino: "2000002", birthNs: "1763817000123456791" },
    retired: { at: 1_763_817_000_006 as WallMs, bootId: "boot" as BootId, bootTimeMs: 13.5, agedMs: 1 },
    by: "uid:0(root)",
    collecting: true,
  };
  return { table: "sandboxes", key: value.path, value };
}

/** Volume 1 with everything that version 1 of the checkpoint did not know. */
export function setMarkedVolume(): Change {
  const value: Volume = { ...sampleVolume(1), projectId: 2_000_001 as ProjectId, pinned: true };
  return { table: "volumes", key: value.uuid, value };
}

/** Volume 2, protected, in the middle of being adopted. */
export function setAdoptedVolume(): Change {
  const value: Volume = { ...sampleVolume(2), protected: true, origin: "/srv/db" };
  return { table: "volumes", key: value.uuid, value };
}

/** Volume 2 with everything that version 2 of the checkpoint did not know. */
export function setNotedVolume(): Change {
  const note = { description: "whose is this?", labels: [{ key: "team", value: "ads" }, { key: "tier" }] };
  const app = { id: "/sesame/samson" as AppId, instance: sampleInstanceId(2) };
  const value: Volume = { ...sampleVolume(2), note, app };
  return { table: "volumes", key: value.uuid, value };
}

/** Volume 1 as a snapshot of volume 3. */
export function setSnapshot(): Change {
  const value: Volume = { ...sampleVolume(1), snapshotOf: sampleCopySource(3) };
  return { table: "volumes", key: value.uuid, value };
}

/** Volume 2 in the middle of being copied from volume 1. */
export function setCopyingVolume(): Change {
  const copying = { reserved: 1_024_002 as MilliMb };
  const value: Volume = { ...sampleVolume(2), copyOf: sampleCopySource(1), copying };
  return { table: "volumes", key: value.uuid, value };
}

function sampleCopySource(number: number): CopySource {
  const { role, id, uuid } = sampleVolume(number);
  return { role, id, uuid, at: 1_763_817_000_011 as WallMs };
}

export function setApp(): Change {
  const value: AppRecord = {
    id: "/sesame/samson" as AppId,
    role: "ads" as Role,
    instances: 1,
    volumes: [
      { containerPath: "data" as ContainerPath, size: 1_024_002 as MilliMb, type: "ROOT" },
      {
        containerPath: "logs" as ContainerPath,
        size: 1_024_000 as MilliMb,
        type: "MOUNT",
        maxSize: 4_096_000 as MilliMb,
        constraints: [{ operator: "UNLIKE", pattern: "/mnt/ä.*" }],
      },
    ],
    residency: { taskLostBehavior: "RELAUNCH_AFTER_TIMEOUT", relaunchEscalationTimeoutSeconds: 3600 },
    definition: '{"id":"/sesame/samson","cmd":"sleep 1000"}',
    members: [
      {
        id: sampleInstanceId(1),
        volumes: [],
        createdAt: 1_763_817_000_007 as WallMs,
        suspended: true,
        startedAt: 1_763_817_000_008 as WallMs,
        lost: {
          container: "web-0" as ContainerId,
          since: { at: 1_763_817_000_009 as WallMs, bootId: "boot" as BootId, bootTimeMs: 14.5 },
        },
      },
      {
        id: sampleInstanceId(2),
        volumes: [
          {
            containerPath: "data" as ContainerPath,
            id: `sesame_samson#data#${sampleUuid(2)}` as VolumeId,
            uuid: sampleUuid(2),
          },
        ],
        createdAt: 1_763_817_000_007 as WallMs,
        container: "web-1" as ContainerId,
      },
    ],
    createdBy: "ops",
    createdAt: 1_763_817_000_007 as WallMs,
    version: 1_763_817_000_010 as WallMs,
    rebuilt: true,
  };
  return { table: "apps", key: value.id, value };
}

function sampleInstanceId(number: number): InstanceId {
  return `sesame_samson.${sampleUuid(number)}` as InstanceId;
}
