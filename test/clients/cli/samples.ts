import type {
  ContainerJson,
  HolderJson,
  OperationsJson,
  StatusJson,
  VolumeJson,
} from "../../../src/faces/agent-socket/wire.ts";

export const RESERVATION = { type: "DYNAMIC", role: "ads" };

/** 2 GB that ads has reserved. */
export const POOL = { name: "disk", type: "SCALAR", scalar: { value: 2048 }, reservations: [RESERVATION] };

/** ads/db as an operation names it. */
export const VOLUME_RESOURCE = {
  name: "disk",
  type: "SCALAR",
  scalar: { value: 512 },
  reservations: [RESERVATION],
  disk: { persistence: { id: "db" }, volume: { mode: "RW", container_path: "data" } },
};

export const VOLUME: VolumeJson = {
  uuid: "0b7f2c1e-5d3a-4c55-9a54-1f6f0c7d2e11",
  role: "ads",
  id: "db",
  sizeMb: 512,
  usedBytes: 300 * 1024 ** 2,
  inodes: 12,
  enforced: true,
  containerPath: "data",
  shared: false,
  state: "detached",
  path: "/var/lib/holdfast/volumes/0b7f2c1e-5d3a-4c55-9a54-1f6f0c7d2e11/content",
  containers: [],
  createdAt: "2026-01-02T03:04:05.000Z",
  createdBy: "uid:0(root)",
  resource: VOLUME_RESOURCE,
};

export const CONTAINER: ContainerJson = {
  id: "web-1",
  sandbox: "/srv/web-1",
  since: "2026-01-02T03:04:05.000Z",
  by: "uid:0(root)",
  volumes: [
    { role: "ads", id: "db", uuid: VOLUME.uuid, containerPath: "data", mode: "RW", state: "attached" },
    { role: "ads", id: "old", uuid: "gone", containerPath: "old", mode: "RW", state: "lingering" },
  ],
};

/** A container whose engine mounts by itself. */
export const LENT: ContainerJson = {
  id: "docker-web",
  runtime: "docker",
  since: CONTAINER.since,
  by: CONTAINER.by,
  volumes: CONTAINER.volumes.slice(0, 1),
};

export const HOLDER: HolderJson = {
  pid: 7,
  command: "redis-server",
  cgroup: "/docker/x",
  mountPoint: "/data",
  engine: "docker",
  container: "0123456789abcdef".repeat(4),
};

export const DONE: OperationsJson = {
  id: "1",
  state: "FINISHED",
  by: "uid:0(root)",
  at: "2026-01-02T03:04:05.000Z",
  operations: [{ type: "CREATE", summary: "Done it" }],
};

export const STATUS: StatusJson = {
  version: "0.1.0",
  agentId: "8f14e45f-ceea-467f-ab3c-1d2e3f4a5b6c",
  bootId: "c9f0f895-fb98-4b91-9d1c-2b3c4d5e6f70",
  ready: true,
  startedAt: "2026-01-02T03:04:05.000Z",
  mountBackend: "bind",
  disks: [
    {
      source: { type: "ROOT" },
      root: "/var/lib/holdfast",
      fileSystem: "ext4",
      totalBytes: 10 * 1024 ** 3,
      freeBytes: 4 * 1024 ** 3,
      declaredMb: 8192,
      reservedMb: 2048,
      volumesMb: 512,
      retainedMb: 64,
      pinnedMb: 0,
      usedByVolumesBytes: 300 * 1024 ** 2,
      usedByRetainedBytes: 20 * 1024 ** 2,
      promisedBytes: 212 * 1024 ** 2,
      unmeasured: 0,
      enforcement: { by: "project-quota" },
    },
  ],
  volumes: {
    adopting: 0,
    copying: 0,
    detached: 1,
    attaching: 0,
    attached: 2,
    detaching: 0,
    lingering: 0,
    damaged: 0,
    destroying: 0,
    retained: 3,
    collecting: 0,
  },
  containers: 2,
  latestContainers: [
    { id: "web-1", since: "2026-01-02T03:04:05.000Z", volumes: 1 },
    { id: "docker-web", runtime: "docker", since: "2026-01-01T00:00:00.000Z", volumes: 2 },
  ],
  collection: {
    next: [{ uuid: VOLUME.uuid, role: "ads", id: "old", sizeMb: 64, dueAt: "2026-01-03T00:00:00.000Z" }],
    dueWithinDay: 1,
    sandboxes: 0,
  },
  problems: [],
  notices: [],
  recovery: {
    at: "2026-01-02T03:04:06.000Z",
    durationMs: 12.4,
    adopted: 2,
    cleared: 0,
    completed: 1,
    damaged: 0,
    orphans: [],
  },
};
