import type { NodeEvent } from "../../src/domain/event.ts";
import type { VolumeState } from "../../src/domain/lifecycle.ts";
import type { OperationRecord, Volume } from "../../src/domain/records.ts";
import { type DiskResource, ROOT_DISK } from "../../src/domain/resource.ts";
import {
  type AgentId,
  type AppId,
  type BootId,
  BYTES_PER_MB,
  type ContainerId,
  type ContainerPath,
  type Incarnation,
  type InstanceId,
  type MilliMb,
  type Principal,
  type Role,
  type VolumeId,
  type WallMs,
} from "../../src/domain/units.ts";
import type {
  AdoptOutcome,
  AppView,
  CollectOutcome,
  CollectView,
  ContainerView,
  Engine,
  EventListener,
  Mark,
  NodeStatus,
  SandboxView,
  VolumePage,
  VolumeView,
} from "../../src/engine/engine.ts";

export const AGENT_ID = "11111111-1111-4111-8111-111111111111";
export const VOLUME_UUID = "22222222-2222-4222-8222-222222222222";
export const CREATED_AT = "2026-01-02T03:04:05.678Z";

const at = Date.parse(CREATED_AT) as WallMs;
const uuid = VOLUME_UUID as Incarnation;
const ads = "ads" as Role;
const db = "db" as VolumeId;
const reservations = [{ type: "DYNAMIC", role: ads, principal: "ops" as Principal }] as const;

/** What was asked: the method, and its arguments. */
interface Call {
  readonly method: string;
  readonly args: readonly unknown[];
}

/** An engine that decides nothing: it records calls, answers with one volume of everything, and throws what it is told. */
export interface FakeEngine extends Engine {
  ready: boolean;
  readonly calls: Call[];
  /** Thrown by every method while it is set. */
  failure: unknown;
  /** Who follows now. */
  readonly followers: EventListener[];
}

export function makeFakeEngine(): FakeEngine {
  const answer = async <T>(method: string, args: readonly unknown[], value: T): Promise<T> => {
    engine.calls.push({ method, args });
    if (engine.failure !== undefined) throw engine.failure;
    return value;
  };
  const engine: FakeEngine = {
    ready: true,
    agentId: AGENT_ID as AgentId,
    calls: [],
    failure: undefined,
    followers: [],
    perform: (...args) => answer("perform", args, { ...RECORD, id: args[2]?.id ?? RECORD.id }),
    attach: (...args) => answer("attach", args, CONTAINER),
    lend: (...args) => answer("lend", args, VOLUME),
    giveBack: (...args) => answer("giveBack", args, undefined),
    detach: (...args) => answer("detach", args, undefined),
    collect: (...args) => answer("collect", args, COLLECTED),
    adopt: (...args) => answer("adopt", args, ADOPTED),
    discardSandbox: (...args) => answer("discardSandbox", args, SANDBOX),
    keepSandbox: (...args) => answer("keepSandbox", args, undefined),
    sandboxes: (...args) => answer("sandboxes", args, [SANDBOX]),
    createApp: (...args) => answer("createApp", args, APP),
    changeApp: (...args) => answer("changeApp", args, APP),
    deleteApp: (...args) => answer("deleteApp", args, undefined),
    wipeApp: (...args) => answer("wipeApp", args, APP.instances),
    apps: (...args) => answer("apps", args, [APP]),
    app: (...args) => answer("app", args, APP),
    copy: (...args) => answer("copy", args, VOLUME),
    restore: (...args) => answer("restore", args, VOLUME),
    describe: (...args) => answer("describe", args, VOLUME),
    events: (...args) => answer("events", args, { events: [EVENT], last: 17 }),
    requireEvents: () => {},
    follow: (...args) => {
      engine.calls.push({ method: "follow", args });
      if (engine.failure !== undefined) throw engine.failure;
      engine.followers.push(args[2]);
      return () => {
        const index = engine.followers.indexOf(args[2]);
        if (index >= 0) engine.followers.splice(index, 1);
      };
    },
    mark: (...args) => answer("mark", args, { ...VOLUME, volume: { ...VOLUME.volume, ...MARKED[args[1].mark] } }),
    noteFramework: (...args) => void engine.calls.push({ method: "noteFramework", args }),
    requireFramework: (...args) => void engine.calls.push({ method: "requireFramework", args }),
    resources: (...args) => {
      const disks = { closedDisks: new Set<string>(), absentDisks: new Set<string>() };
      return answer("resources", args, { agentId: engine.agentId, resources: RESOURCES, ...disks });
    },
    unmountStray: (...args) => answer("unmountStray", args, undefined),
    volumes: (...args) => answer("volumes", args, [VOLUME]),
    volumePage: (...args) => answer("volumePage", args, PAGE),
    volume: (...args) => answer("volume", args, VOLUME),
    findVolume: (...args) => answer("findVolume", args, VOLUME),
    containers: (...args) => answer("containers", args, [CONTAINER]),
    findContainer: (...args) => answer("findContainer", args, CONTAINER),
    operations: (...args) => answer("operations", args, [RECORD]),
    operation: (...args) => answer("operation", args, RECORD),
    status: (...args) => answer("status", args, STATUS),
    ping: (...args) => answer("ping", args, undefined),
    reconcile: (...args) => answer("reconcile", args, undefined),
  };
  return engine;
}

const VOLUME: VolumeView = {
  volume: {
    uuid,
    role: ads,
    id: db,
    size: 512_000 as MilliMb,
    source: { type: "PATH", root: "/data" },
    reservations,
    containerPath: "data" as ContainerPath,
    shared: false,
    principal: "ops" as Principal,
    createdBy: "ops",
    createdAt: at,
    phase: "live",
    directory: { ino: "7", birthNs: "0" },
    revision: 1,
  },
  state: "attached",
  path: `/data/volumes/${VOLUME_UUID}/content`,
  containers: ["web-1" as ContainerId],
  usage: { usedBytes: 300 * BYTES_PER_MB, inodes: 12 },
  enforced: true,
};

export const PAGE: VolumePage = {
  volumes: [VOLUME],
  total: 7,
  counts: { attached: 1, detached: 6 },
  roles: [[ads, 7]],
};

export const EVENT: NodeEvent = {
  seq: 17,
  at,
  type: "attached",
  by: "ops",
  role: ads,
  id: db,
  uuid,
  size: 512_000 as MilliMb,
  container: "web-1" as ContainerId,
  app: "/web" as AppId,
  message: "at data",
};

const APP: AppView = {
  app: {
    id: "/sesame/samson" as AppId,
    role: ads,
    instances: 1,
    volumes: [{ containerPath: "data" as ContainerPath, size: 512_000 as MilliMb, type: "PATH" }],
    residency: { taskLostBehavior: "WAIT_FOREVER", relaunchEscalationTimeoutSeconds: 3600 },
    definition: '{"id":"/sesame/samson","cmd":"sleep 1000"}',
    members: [],
    createdBy: "ops",
    createdAt: at,
    version: at,
  },
  instances: [
    {
      instance: {
        id: `sesame_samson.${VOLUME_UUID}` as InstanceId,
        volumes: [
          { containerPath: "data" as ContainerPath, id: `sesame_samson#data#${VOLUME_UUID}` as VolumeId, uuid },
        ],
        createdAt: at,
        container: "web-1" as ContainerId,
        startedAt: at,
      },
      state: "running",
      containers: ["web-1" as ContainerId],
    },
  ],
};

const MARKED: Readonly<Record<Mark, Partial<Volume>>> = {
  protect: { protected: true },
  unprotect: {},
  pin: { pinned: true },
  unpin: {},
};

const RETAINED: CollectView = {
  volume: {
    ...VOLUME.volume,
    phase: "retained",
    retired: { at, bootId: "boot" as BootId, bootTimeMs: 1 },
  },
  dueAt: (at + 604_800_000) as WallMs,
};

const COLLECTED: CollectOutcome = { collected: [RETAINED], kept: [{ ...RETAINED, reason: "its time has not come" }] };

const SANDBOX: SandboxView = {
  sandbox: {
    path: "/srv/sandboxes/web-1",
    directory: { ino: "9", birthNs: "0" },
    retired: { at, bootId: "boot" as BootId, bootTimeMs: 1 },
    by: "uid:0(root)",
  },
  dueAt: (at + 604_800_000) as WallMs,
};

const ADOPTED: AdoptOutcome = {
  adoptions: [
    {
      directory: "/srv/db",
      role: ads,
      id: db,
      containerPath: "data" as ContainerPath,
      size: 512_000 as MilliMb,
      usage: { usedBytes: 1_000_000, inodes: 7 },
      source: ROOT_DISK,
      uuid,
    },
  ],
};

const CONTAINER: ContainerView = {
  container: {
    id: "web-1" as ContainerId,
    sandbox: "/sandbox",
    bootId: "boot" as BootId,
    since: at,
    by: "uid:0(root)",
    attachments: [],
  },
  attachments: [
    {
      role: ads,
      id: db,
      attachment: {
        uuid,
        containerPath: "data" as ContainerPath,
        mode: "RW",
        phase: "attached",
        mount: { backend: "bind", mountId: "9", uniqueId: true, propagation: "private" },
        madeMountpoint: true,
      },
    },
  ],
};

const RESOURCES: readonly DiskResource[] = [
  { size: 7_680_000 as MilliMb, source: ROOT_DISK, reservations: [] },
  { size: 1_536_500 as MilliMb, source: ROOT_DISK, reservations },
  {
    size: 512_000 as MilliMb,
    source: ROOT_DISK,
    reservations,
    volume: {
      id: db,
      principal: "ops" as Principal,
      containerPath: "data" as ContainerPath,
      mode: "RW",
      shared: false,
    },
  },
];

const RECORD: OperationRecord = {
  id: "op-1",
  by: "ops",
  at,
  request: "[]",
  operations: [{ type: "CREATE", summary: "ads/db, 512 MB" }],
};

const COUNTS: Readonly<Record<VolumeState, number>> = {
  adopting: 0,
  copying: 0,
  detached: 0,
  attaching: 0,
  attached: 1,
  detaching: 0,
  lingering: 0,
  damaged: 0,
  destroying: 0,
  retained: 0,
  collecting: 0,
};

const STATUS: NodeStatus = {
  agentId: AGENT_ID as AgentId,
  bootId: "boot" as BootId,
  ready: true,
  startedAt: at,
  mountBackend: "bind",
  disks: [
    {
      source: { type: "PATH", root: "/data" },
      root: "/data",
      fileSystem: "xfs",
      totalBytes: 10_240 * BYTES_PER_MB,
      freeBytes: 4_096 * BYTES_PER_MB,
      declaredMb: 8_192,
      reservedMb: 2_048,
      volumesMb: 512,
      retainedMb: 64,
      pinnedMb: 0,
      usedByVolumes: 300 * BYTES_PER_MB,
      usedByRetained: 20 * BYTES_PER_MB,
      promised: 212 * BYTES_PER_MB,
      unmeasured: 0,
      enforcement: { by: "project-quota" },
    },
  ],
  volumes: COUNTS,
  containers: 1,
  latestContainers: [{ id: "web-1" as ContainerId, since: at, volumes: 1 }],
  collection: { next: [RETAINED], dueWithinDay: 0, sandboxes: 0 },
  problems: [],
  notices: [],
  recovery: { at, durationMs: 1, adopted: 0, cleared: 0, completed: 0, damaged: 0, orphans: [] },
};
