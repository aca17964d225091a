import type { VolumeState } from "../../src/domain/lifecycle.ts";
import type { OperationRecord } from "../../src/domain/records.ts";
import { type DiskResource, ROOT_DISK } from "../../src/domain/resource.ts";
import type {
  AgentId,
  BootId,
  ContainerId,
  ContainerPath,
  Incarnation,
  MilliMb,
  Principal,
  Role,
  VolumeId,
  WallMs,
} from "../../src/domain/units.ts";
import type {
  CollectOutcome,
  CollectView,
  ContainerView,
  Engine,
  NodeStatus,
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
    perform: (...args) => answer("perform", args, { ...RECORD, id: args[2]?.id ?? RECORD.id }),
    attach: (...args) => answer("attach", args, CONTAINER),
    lend: (...args) => answer("lend", args, VOLUME),
    giveBack: (...args) => answer("giveBack", args, undefined),
    detach: (...args) => answer("detach", args, undefined),
    collect: (...args) => answer("collect", args, COLLECTED),
    restore: (...args) => answer("restore", args, VOLUME),
    resources: (...args) => answer("resources", args, { agentId: engine.agentId, resources: RESOURCES }),
    volumes: (...args) => answer("volumes", args, [VOLUME]),
    volume: (...args) => answer("volume", args, VOLUME),
    containers: (...args) => answer("containers", args, [CONTAINER]),
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
  disks: [],
  volumes: COUNTS,
  containers: 1,
  latestContainers: [{ id: "web-1" as ContainerId, since: at, volumes: 1 }],
  collection: { next: [RETAINED], dueWithinDay: 0 },
  problems: [],
  notices: [],
  recovery: { at, durationMs: 1, adopted: 0, cleared: 0, completed: 0, damaged: 0, orphans: [] },
};
