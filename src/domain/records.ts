/**
 * What Holdfast remembers: seven kinds of record, each with a key. The checkpoint stores exactly these; a `Change` sets
 * or removes one of them, and a list of changes is what a decision is and what a transaction commits.
 */
import type { DiskSource, Label, Mode, Reservation } from "./resource.ts";
import type {
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
} from "./units.ts";

/** Dynamically reserved disk: all of it, under volumes or not. Key: `poolKey`. */
export interface ReservationRecord {
  readonly source: DiskSource;
  readonly reservations: readonly Reservation[];
  /** Greater than zero; a reservation of nothing is removed. */
  readonly size: MilliMb;
}

/**
 * What distinguishes a directory from another one that took its place. Device numbers change over reboots; inode and
 * birth time do not.
 */
export interface DirectoryIdentity {
  /** Inode number, decimal. */
  readonly ino: string;
  /** Birth time in nanoseconds since the epoch, decimal; "0" where the file system keeps none. */
  readonly birthNs: string;
}

/** Whether this is the very directory that was recorded, and not another one in its place. */
export function sameDirectory(left: DirectoryIdentity, right: DirectoryIdentity): boolean {
  return left.ino === right.ino && left.birthNs === right.birthNs;
}

/** `live` until DESTROY commits; `destroying` until its directory is in trash; then `retained` until collected. */
type VolumePhase = "live" | "destroying" | "retained" | "collecting";

/** When something was retired, such that a jump of the wall clock never makes it older than it is. */
export interface Retirement {
  readonly at: WallMs;
  readonly bootId: BootId;
  /** Time since boot, milliseconds, suspended time included. */
  readonly bootTimeMs: number;
  /** How old it was at that moment of that boot, milliseconds, when this was noted later than it happened. */
  readonly agedMs?: number;
  /** Higher than that of every volume that was retired before, whatever happened to the clocks and in how many boots. */
  readonly order?: number;
}

/** What people say about a volume; nothing is decided by it. */
export interface VolumeNote {
  readonly description?: string;
  readonly labels?: readonly Label[];
}

/** The app instance that a volume was made for; the instance's record says whether it still has it. */
export interface VolumeOwner {
  readonly id: AppId;
  readonly instance: InstanceId;
}

/** Whose content a volume's was at first, for people: it may be gone since. */
export interface CopySource {
  readonly role: Role;
  readonly id: VolumeId;
  readonly uuid: Incarnation;
  /** When the copy was begun. */
  readonly at: WallMs;
}

/** Of a volume whose content is being copied still. */
export interface Copying {
  /** What was reserved for it, and is given back should the copy fail. */
  readonly reserved: MilliMb;
}

/** One incarnation of a volume. Key: `uuid`. */
export interface Volume {
  readonly uuid: Incarnation;
  readonly role: Role;
  readonly id: VolumeId;
  readonly size: MilliMb;
  readonly source: DiskSource;
  /** The stack it lies on; `role` is its last one's. */
  readonly reservations: readonly Reservation[];
  readonly containerPath: ContainerPath;
  readonly shared: boolean;
  /** Mesos's `disk.persistence.principal`: the creator, whom `destroy_volumes` is checked against. */
  readonly principal?: Principal;
  /** Who asked, for people: a principal, or `uid:0(root)` for a peer of the agent socket. */
  readonly createdBy: string;
  readonly createdAt: WallMs;
  readonly phase: VolumePhase;
  /** Its `content` directory. */
  readonly directory: DirectoryIdentity;
  /** Set at the first attach, which also gives the empty top directory to its owner. */
  readonly firstAttachedAt?: WallMs;
  readonly retired?: Retirement;
  /** Where project quotas hold it to its size; its own until its content is gone. */
  readonly projectId?: ProjectId;
  /** DESTROY is refused until somebody takes this away. */
  readonly protected?: true;
  /** A retained one that is not collected until somebody takes this away; it is charged to unreserved disk. */
  readonly pinned?: true;
  /** The directory that is being adopted: absolute path, from the commit until the content has moved. */
  readonly origin?: string;
  /** It began as a copy. */
  readonly copyOf?: CopySource;
  /** It is a copy that nobody changes: never attached, copied from. */
  readonly snapshotOf?: CopySource;
  /** From the first commit until its content is there; what a crash leaves of such a one is thrown away. */
  readonly copying?: Copying;
  readonly note?: VolumeNote;
  readonly app?: VolumeOwner;
  /** Grows with every change that the label must show; a label with a lower one is stale. */
  readonly revision: number;
}

/** `attaching` and `detaching` are intents, committed before the kernel is asked; `lingering` was detached by force. */
export type AttachmentPhase = "attaching" | "attached" | "detaching" | "lingering";

/** What a mount was when it was verified; with the boot id of its container it is exact. */
export type MountRecord =
  | {
      readonly backend: "bind";
      /** The kernel's mount id (the unique one where `uniqueId`), decimal. */
      readonly mountId: string;
      readonly uniqueId: boolean;
      /** Whether the sandbox lies on a shared mount, so that running containers see the volume. */
      readonly propagation: "shared" | "private" | "slave" | "unbindable";
    }
  | { readonly backend: "symlink" }
  | LentRecord;

/** A container engine was given the content's path and mounts it itself. */
export interface LentRecord {
  readonly backend: "lent";
  /** When, in milliseconds since boot. */
  readonly atBootMs: number;
  /** Whether its mount has been seen: from then on, no mount means that it is over. */
  readonly seen: boolean;
}

export interface Attachment {
  readonly uuid: Incarnation;
  readonly containerPath: ContainerPath;
  readonly mode: Mode;
  readonly phase: AttachmentPhase;
  /** Absent while `attaching`. */
  readonly mount?: MountRecord;
  /** Whether the mountpoint is ours to remove: set once we made it, also while `attaching`. */
  readonly madeMountpoint: boolean;
  /** The directory under the mount, of a container that is a process: the same path may lead elsewhere from outside. */
  readonly mountpoint?: DirectoryThisBoot;
}

/**
 * The first process of a started container. With its start time, and the boot id of the container's record, it is never
 * another process that got the same number.
 */
export interface ContainerProcess {
  readonly pid: number;
  /** Clock ticks from boot to its start, decimal. */
  readonly startTime: string;
  /** The kernel's number of its mount namespace, "unknown" where it does not tell. */
  readonly mountNamespace: string;
  /** The container's root as its runtime named it: there until the process makes it its own root, and after its end. */
  readonly rootfs?: RootDirectory;
}

/** What tells a directory from every other one, as long as the boot lasts. */
export interface DirectoryThisBoot {
  /** Inode number, decimal. */
  readonly ino: string;
  /** `MAJOR:MINOR` of its device. */
  readonly device: string;
}

/** A directory that others than we know by its path. */
export interface RootDirectory extends DirectoryThisBoot {
  /** Absolute path, as the runtime sees it. */
  readonly path: string;
}

/** A container and what is mounted for it. Key: `id`. Lives for one boot: every mount ends with it. */
export interface Container {
  readonly id: ContainerId;
  /** Absolute path of an existing directory, without symlinks; absent when the engine mounts by itself (`lent`). */
  readonly sandbox?: string;
  /** Set when the sandbox lies below this process's root, and the volumes appear in its mount namespace alone. */
  readonly process?: ContainerProcess;
  /** Who runs it, for people: `runc`, `docker`. */
  readonly runtime?: string;
  readonly bootId: BootId;
  readonly since: WallMs;
  readonly by: string;
  readonly attachments: readonly Attachment[];
}

/** Where a volume appears in a sandbox. */
export function pathIn(sandbox: string, containerPath: ContainerPath): string {
  return `${sandbox === "/" ? "" : sandbox}/${containerPath}`;
}

/** Where a container's volumes appear. */
export type Place = Pick<Container, "sandbox" | "process">;

/** Names the directory that a container's volumes appear in; `undefined` when its engine mounts by itself. */
export function placeOf({ sandbox, process }: Place): string | undefined {
  return sandbox === undefined || process === undefined ? sandbox : `${process.pid} ${process.startTime} ${sandbox}`;
}

/** A disk beside the work root's, as it was when it was first used: another one in its place is not taken for it. Key: `sourceKey`. */
export interface DiskRecord {
  readonly source: DiskSource;
  /** The file system's UUID, where it could be found out. */
  readonly fileSystemUuid?: string;
  /** Its `volumes` directory. */
  readonly directory: DirectoryIdentity;
}

/** A container's directory that nobody needs any more, handed over for collection. Key: `path`. */
export interface SandboxRecord {
  /** Absolute path without symlinks. */
  readonly path: string;
  readonly directory: DirectoryIdentity;
  readonly retired: Retirement;
  /** Who handed it over. */
  readonly by: string;
  /** Set, durably, before the first name is removed. */
  readonly collecting?: true;
}

/** What became of an operation list that had an id. Key: `operationKey(by, id)`. */
export interface OperationRecord {
  readonly id: string;
  /** The principal (or peer) that chose the id. */
  readonly by: string;
  readonly at: WallMs;
  /** The operations in wire form, as they were asked for: the same id with other content is refused. */
  readonly request: string;
  /** One summary for each operation. */
  readonly operations: readonly { readonly type: string; readonly summary: string }[];
}

/** A persistent volume that every instance of an app has. */
export interface AppVolume {
  readonly containerPath: ContainerPath;
  readonly size: MilliMb;
  readonly type: DiskSource["type"];
  /** A whole file system that is larger than this is not taken. */
  readonly maxSize?: MilliMb;
  /** All must hold for the root of the disk. */
  readonly constraints?: readonly PathConstraint[];
}

/** `LIKE`: the disk's root matches the regular expression as a whole; `UNLIKE`: it does not. */
export interface PathConstraint {
  readonly operator: "LIKE" | "UNLIKE";
  readonly pattern: string;
}

/** What an instance has under one of its app's container paths. */
export interface InstanceVolume {
  readonly containerPath: ContainerPath;
  /** Marathon's `sesame_samson#data#<uuid>`, in the app's role. */
  readonly id: VolumeId;
  readonly uuid: Incarnation;
}

/** A container of an app vanished although nobody detached it. */
export interface Loss {
  readonly container: ContainerId;
  readonly since: Retirement;
}

/** One set of an app's volumes, and the container that has it. */
export interface AppInstance {
  readonly id: InstanceId;
  readonly volumes: readonly InstanceVolume[];
  readonly createdAt: WallMs;
  /** Kept and not used: the app was scaled down, or another instance took the place of this lost one. */
  readonly suspended?: true;
  /** Who has it; its attachments are in the container's own record. */
  readonly container?: ContainerId;
  /** When a container got it last. */
  readonly startedAt?: WallMs;
  /** Until the next container gets it, or it is suspended. */
  readonly lost?: Loss;
}

/** What becomes of a lost instance: `WAIT_FOREVER` for its next container, or another one may take its place. */
export interface Residency {
  readonly taskLostBehavior: "WAIT_FOREVER" | "RELAUNCH_AFTER_TIMEOUT";
  readonly relaunchEscalationTimeoutSeconds: number;
}

/** A stateful app: its definition, and the volumes that it has. Key: `id`. */
export interface AppRecord {
  readonly id: AppId;
  readonly role: Role;
  /** How many containers may have volumes at a time; more members are kept, suspended. */
  readonly instances: number;
  /** Never changes. */
  readonly volumes: readonly AppVolume[];
  readonly residency: Residency;
  /** Marathon's definition as it is shown, JSON, also with what does not concern volumes. */
  readonly definition: string;
  /** In the order they were made. */
  readonly members: readonly AppInstance[];
  /** Who asked, for people. */
  readonly createdBy: string;
  readonly createdAt: WallMs;
  /** Marathon's `version`: when the definition changed last; grows with every change. */
  readonly version: WallMs;
  /** Only what its volumes' labels said is known: the next definition fills in the rest. */
  readonly rebuilt?: true;
}

/** All records by table name: the shape of the checkpoint. */
export interface Records {
  readonly reservations: ReservationRecord;
  readonly volumes: Volume;
  readonly containers: Container;
  readonly operations: OperationRecord;
  readonly disks: DiskRecord;
  readonly sandboxes: SandboxRecord;
  readonly apps: AppRecord;
}

export type Table = keyof Records;
export const TABLES = [
  "reservations",
  "volumes",
  "containers",
  "operations",
  "disks",
  "sandboxes",
  "apps",
] as const satisfies readonly Table[];

/** Sets (`value`) or removes (`undefined`) one record. */
export type Change = {
  [T in Table]: { readonly table: T; readonly key: string; readonly value: Records[T] | undefined };
}[Table];

export function operationKey(by: string, id: string): string {
  return JSON.stringify([by, id]);
}
