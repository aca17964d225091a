/**
 * The form of every record in the checkpoint, and its parser: what comes in as text leaves typed or is refused with the
 * reason. Unknown fields are refused.
 */
import {
  type AppInstance,
  type AppRecord,
  type AppVolume,
  type Attachment,
  type Container,
  type ContainerProcess,
  type Copying,
  type CopySource,
  type DirectoryIdentity,
  type DirectoryThisBoot,
  type DiskRecord,
  type InstanceVolume,
  type Loss,
  type MountRecord,
  type OperationRecord,
  operationKey,
  type PathConstraint,
  type Records,
  type ReservationRecord,
  type Residency,
  type Retirement,
  type RootDirectory,
  type SandboxRecord,
  type Table,
  type Volume,
  type VolumeNote,
  type VolumeOwner,
} from "../domain/records.ts";
import { type DiskSource, type Label, poolKey, type Reservation, sourceKey } from "../domain/resource.ts";
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
} from "../domain/units.ts";
import type { NodeLabel } from "../ports/disk.ts";
import type { NodeHeader } from "../ports/store.ts";
import { array, boolean, type Form, integer, measure, object, oneOf, optional, set, string, variants } from "./form.ts";

export type Parsed<Value> =
  | { readonly ok: true; readonly value: Value }
  | { readonly ok: false; readonly reason: string };

const ANY_TEXT = /^/;
const SOME_TEXT = /./s;
const DECIMAL = /^\d{1,20}$/;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const DEVICE = /^\d{1,10}:\d{1,10}$/;
const ABSOLUTE_PATH = /^\/[^\0]*$/;

const incarnation = string<Incarnation>(UUID);
const containerPath = string<ContainerPath>(/^(?!\.{1,2}$)[^/\0]+$/);
const role = string<Role>(/^(?!\*$)./s);
const principal = string<Principal>(SOME_TEXT);
const bootId = string<BootId>(SOME_TEXT);
const agentId = string<AgentId>(SOME_TEXT);
const wallMs = integer<WallMs>();
const milliMb = integer<MilliMb>();
const containerId = string<ContainerId>(SOME_TEXT);
const volumeId = string<VolumeId>(SOME_TEXT);
const appId = string<AppId>(/^\/./s);
const instanceId = string<InstanceId>(SOME_TEXT);

const labels = array(object<Label>({ key: string(ANY_TEXT), value: optional(string(ANY_TEXT)) }));

const source = variants<DiskSource, "type">("type", {
  ROOT: object({ type: oneOf("ROOT") }),
  PATH: object({ type: oneOf("PATH"), root: string(ABSOLUTE_PATH) }),
  MOUNT: object({ type: oneOf("MOUNT"), root: string(ABSOLUTE_PATH) }),
});

const reservations = array(
  object<Reservation>({
    type: oneOf("STATIC", "DYNAMIC"),
    role,
    principal: optional(principal),
    labels: optional(labels),
  }),
);

const reservation = object<ReservationRecord>({ source, reservations, size: milliMb });

const directory = object<DirectoryIdentity>({ ino: string(DECIMAL), birthNs: string(DECIMAL) });
const retirement = object<Retirement>({
  at: wallMs,
  bootId,
  bootTimeMs: measure(),
  agedMs: optional(measure()),
  order: optional(integer()),
});

const copySource = object<CopySource>({ role, id: volumeId, uuid: incarnation, at: wallMs });

const labelledVolume = {
  uuid: incarnation,
  role,
  id: volumeId,
  size: milliMb,
  source,
  reservations,
  containerPath,
  shared: boolean(),
  principal: optional(principal),
  createdBy: string(SOME_TEXT),
  createdAt: wallMs,
  phase: oneOf("live", "destroying", "retained", "collecting"),
  directory,
  retired: optional(retirement),
  projectId: optional(integer<ProjectId>()),
  protected: optional(set()),
  pinned: optional(set()),
  note: optional(object<VolumeNote>({ description: optional(string(ANY_TEXT)), labels: optional(labels) })),
  app: optional(object<VolumeOwner>({ id: appId, instance: instanceId })),
  copyOf: optional(copySource),
  snapshotOf: optional(copySource),
  revision: integer(),
};

const volume = object<Volume>({
  ...labelledVolume,
  firstAttachedAt: optional(wallMs),
  origin: optional(string(ABSOLUTE_PATH)),
  copying: optional(object<Copying>({ reserved: milliMb })),
});

const mount = variants<MountRecord, "backend">("backend", {
  bind: object({
    backend: oneOf("bind"),
    mountId: string(DECIMAL),
    uniqueId: boolean(),
    propagation: oneOf("shared", "private", "slave", "unbindable"),
  }),
  symlink: object({ backend: oneOf("symlink") }),
  lent: object({ backend: oneOf("lent"), atBootMs: measure(), seen: boolean() }),
});

const containerProcess = object<ContainerProcess>({
  pid: integer(),
  startTime: string(DECIMAL),
  mountNamespace: string(SOME_TEXT),
  rootfs: optional(
    object<RootDirectory>({ path: string(ABSOLUTE_PATH), ino: string(DECIMAL), device: string(DEVICE) }),
  ),
});

const container = object<Container>({
  id: containerId,
  sandbox: optional(string(ABSOLUTE_PATH)),
  process: optional(containerProcess),
  runtime: optional(string(SOME_TEXT)),
  bootId,
  since: wallMs,
  by: string(SOME_TEXT),
  attachments: array(
    object<Attachment>({
      uuid: incarnation,
      containerPath,
      mode: oneOf("RW", "RO"),
      phase: oneOf("attaching", "attached", "detaching", "lingering"),
      mount: optional(mount),
      madeMountpoint: boolean(),
      mountpoint: optional(object<DirectoryThisBoot>({ ino: string(DECIMAL), device: string(DEVICE) })),
    }),
  ),
});

const operation = object<OperationRecord>({
  id: string(SOME_TEXT),
  by: string(SOME_TEXT),
  at: wallMs,
  request: string(ANY_TEXT),
  operations: array(object({ type: string(ANY_TEXT), summary: string(ANY_TEXT) })),
});

const disk = object<DiskRecord>({ source, fileSystemUuid: optional(string(SOME_TEXT)), directory });

const sandbox = object<SandboxRecord>({
  path: string(ABSOLUTE_PATH),
  directory,
  retired: retirement,
  by: string(SOME_TEXT),
  collecting: optional(set()),
});

const appVolume = object<AppVolume>({
  containerPath,
  size: milliMb,
  type: oneOf("ROOT", "PATH", "MOUNT"),
  maxSize: optional(milliMb),
  constraints: optional(
    array(object<PathConstraint>({ operator: oneOf("LIKE", "UNLIKE"), pattern: string(ANY_TEXT) })),
  ),
});

const appInstance = object<AppInstance>({
  id: instanceId,
  volumes: array(object<InstanceVolume>({ containerPath, id: volumeId, uuid: incarnation })),
  createdAt: wallMs,
  suspended: optional(set()),
  container: optional(containerId),
  startedAt: optional(wallMs),
  lost: optional(object<Loss>({ container: containerId, since: retirement })),
});

const app = object<AppRecord>({
  id: appId,
  role,
  instances: integer(),
  volumes: array(appVolume),
  residency: object<Residency>({
    taskLostBehavior: oneOf("WAIT_FOREVER", "RELAUNCH_AFTER_TIMEOUT"),
    relaunchEscalationTimeoutSeconds: integer(),
  }),
  definition: string(SOME_TEXT),
  members: array(appInstance),
  createdBy: string(SOME_TEXT),
  createdAt: wallMs,
  version: wallMs,
  rebuilt: optional(set()),
});

const RECORDS: { readonly [T in Table]: Form<Records[T]> } = {
  reservations: reservation,
  volumes: volume,
  containers: container,
  operations: operation,
  disks: disk,
  sandboxes: sandbox,
  apps: app,
};

const KEYS: { readonly [T in Table]: (record: Records[T]) => string } = {
  reservations: (record) => poolKey(record.source, record.reservations),
  volumes: (record) => record.uuid,
  containers: (record) => record.id,
  operations: (record) => operationKey(record.by, record.id),
  disks: (record) => sourceKey(record.source),
  sandboxes: (record) => record.path,
  apps: (record) => record.id,
};

const header = object<NodeHeader>({ agentId, createdAt: wallMs });

/**
 * What a volume's label carries: everything but `firstAttachedAt`, which would rewrite it at the first attach, and
 * `origin` and `copying`, which are over when its label lies beside it.
 */
export const volumeLabel: Form<Volume> = object<Omit<Volume, "firstAttachedAt" | "origin" | "copying">>(labelledVolume);

export const nodeLabel = object<NodeLabel>({ agentId, reservations: array(reservation) });

export function parseRecord<T extends Table>(table: T, json: string): Parsed<Records[T]> {
  return parseText<Records[T]>(RECORDS[table], json);
}

/** The key that a record belongs under. */
export function keyOf<T extends Table>(table: T, record: Records[T]): string {
  return KEYS[table](record);
}

/** The header's rows, as they are stored: text by name. */
export function parseHeader(rows: ReadonlyMap<string, string>): Parsed<NodeHeader> {
  return check(header, { agentId: rows.get("agentId"), createdAt: toNumber(rows.get("createdAt")) });
}

/** Zero when it is lost: then labels are only written once more. */
export function parseLabelledThrough(rows: ReadonlyMap<string, string>): number {
  const revision = toNumber(rows.get("labelledThrough"));
  return integer()(revision) === undefined ? (revision as number) : 0;
}

/** Parses JSON strictly; never throws. */
export function parseText<Value>(form: Form<Value>, json: string): Parsed<Value> {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    return { ok: false, reason: "it is not JSON" };
  }
  return check(form, value);
}

function check<Value>(form: Form<Value>, value: unknown): Parsed<Value> {
  const reason = form(value);
  return reason === undefined ? { ok: true, value: value as Value } : { ok: false, reason };
}

function toNumber(text: string | undefined): number | undefined {
  return text === undefined ? undefined : Number(text);
}
