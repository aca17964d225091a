/**
 * The form of every record in the checkpoint, and its parser: what comes in as text leaves typed or is refused with the
 * reason. Unknown fields are refused.
 */
import {
  type Attachment,
  type Container,
  type ContainerProcess,
  type DirectoryIdentity,
  type DirectoryThisBoot,
  type DiskRecord,
  type MountRecord,
  type OperationRecord,
  operationKey,
  type Records,
  type ReservationRecord,
  type Retirement,
  type RootDirectory,
  type SandboxRecord,
  type Table,
  type Volume,
} from "../domain/records.ts";
import { type DiskSource, type Label, poolKey, type Reservation, sourceKey } from "../domain/resource.ts";
import type {
  AgentId,
  BootId,
  ContainerId,
  ContainerPath,
  Incarnation,
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
    labels: optional(array(object<Label>({ key: string(ANY_TEXT), value: optional(string(ANY_TEXT)) }))),
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

const labelledVolume = {
  uuid: incarnation,
  role,
  id: string<VolumeId>(SOME_TEXT),
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
  revision: integer(),
};

const volume = object<Volume>({
  ...labelledVolume,
  firstAttachedAt: optional(wallMs),
  origin: optional(string(ABSOLUTE_PATH)),
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
  id: string<ContainerId>(SOME_TEXT),
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

const RECORDS: { readonly [T in Table]: Form<Records[T]> } = {
  reservations: reservation,
  volumes: volume,
  containers: container,
  operations: operation,
  disks: disk,
  sandboxes: sandbox,
};

const KEYS: { readonly [T in Table]: (record: Records[T]) => string } = {
  reservations: (record) => poolKey(record.source, record.reservations),
  volumes: (record) => record.uuid,
  containers: (record) => record.id,
  operations: (record) => operationKey(record.by, record.id),
  disks: (record) => sourceKey(record.source),
  sandboxes: (record) => record.path,
};

const header = object<NodeHeader>({ agentId, createdAt: wallMs });

/**
 * What a volume's label carries: everything but `firstAttachedAt`, which would rewrite it at the first attach, and
 * `origin`, which is over when its label lies beside it.
 */
export const volumeLabel: Form<Volume> = object<Omit<Volume, "firstAttachedAt" | "origin">>(labelledVolume);

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
