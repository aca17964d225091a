/**
 * The engine: the one way in. A face turns its wire into these calls and the results back; it has no rules of its own.
 *
 * Every call takes the actor first, is authorised, decided in memory, committed, carried out and only then answered.
 * Nothing is answered or listed before its commit. All methods throw `HoldfastError`.
 */

import type { InstanceState } from "../domain/app-members.ts";
import type { EventFacts, EventFilter, NodeEvent } from "../domain/event.ts";
import type { JsonObject } from "../domain/json.ts";
import type { VolumeState } from "../domain/lifecycle.ts";
import type { NoteChange } from "../domain/note.ts";
import type { Actor, Operation } from "../domain/operation.ts";
import type {
  AppInstance,
  AppRecord,
  Attachment,
  Container,
  OperationRecord,
  SandboxRecord,
  Volume,
} from "../domain/records.ts";
import type { DiskResource, DiskSource, Label, Mode, Reservation } from "../domain/resource.ts";
import type {
  AgentId,
  AppId,
  BootId,
  ContainerId,
  ContainerPath,
  Incarnation,
  InstanceId,
  MilliMb,
  Role,
  VolumeId,
  WallMs,
} from "../domain/units.ts";
import type { Enforcement, VolumeUsage } from "../ports/disk.ts";
import type { ProcessRequest } from "../ports/processes.ts";

export interface Engine {
  /** False until recovery is through, and again when stopping. */
  readonly ready: boolean;
  readonly agentId: AgentId;

  /**
   * Applies a list of operations, all or nothing. With an `id` the outcome is remembered for the actor: the same list
   * again returns it and does nothing; other content under the same id is refused.
   * @throws the error of the first operation that is refused, with its `index` in the details
   */
  perform(actor: Actor, operations: readonly Operation[], options?: PerformOptions): Promise<OperationRecord>;
  /** Makes exactly these volumes present in a container's sandbox, all or nothing. Repeating it changes nothing. */
  attach(actor: Actor, request: AttachRequest): Promise<ContainerView>;
  /**
   * Gives a container engine, which mounts by itself, a volume for one borrower. Repeating it changes nothing.
   * @returns the volume; its `path` is what to mount
   * @throws `in_use` when it is exclusive and somebody else has it, whatever our books say
   */
  lend(actor: Actor, request: LendRequest): Promise<VolumeView>;
  /**
   * The borrower says it is done. That is a hint: the volume is in use until nobody is seen with it. What is not lent
   * is fine.
   */
  giveBack(actor: Actor, request: LendRequest): Promise<void>;
  /** Takes all of a container's volumes away. An unknown container is fine. */
  detach(actor: Actor, container: ContainerId, options: { readonly force: boolean }): Promise<void>;
  /**
   * Takes a mount of a volume away that no container has on record, as when the records were lost. What is not there is fine.
   * @throws `in_use` a container has it there on record; `no_such_volume`, `busy`
   */
  unmountStray(actor: Actor, mount: StrayMount): Promise<void>;
  /**
   * Makes existing directories volumes by moving them, all or none; the superuser's alone. Content, owner and modes stay.
   * With `dryRun` says what would become of each, and what stands against it.
   * @throws the refusal of the first directory that cannot be adopted, with its `index` in the details
   */
  adopt(actor: Actor, request: AdoptRequest): Promise<AdoptOutcome>;
  /**
   * Says what a volume is for, and labels it: the live one of this name, else the newest retained one. For people;
   * nothing is decided by it. Whoever may create volumes of the role may.
   * @throws `no_such_volume`
   */
  describe(actor: Actor, request: DescribeRequest): Promise<VolumeView>;
  /**
   * Makes a stateful app by Marathon's definition: its record, and reservation and volumes of every instance, or nothing.
   * @throws `invalid` with all violations, see `violationsOf`; `duplicate_app`, `insufficient`
   */
  createApp(actor: Actor, definition: JsonObject): Promise<AppView>;
  /**
   * Changes the fields that are given; makes the app when there is none, if `create` is set.
   * @throws `no_such_app`, `invalid` also for what may not change, `insufficient`
   */
  changeApp(actor: Actor, id: AppId, definition: JsonObject, options: { readonly create: boolean }): Promise<AppView>;
  /**
   * Destroys an app with all its volumes, whose content is retained.
   * @throws `no_such_app`, `in_use` while containers have volumes of it, unless a peer forces them out
   */
  deleteApp(actor: Actor, id: AppId, options: { readonly force: boolean }): Promise<void>;
  /**
   * Destroys the volumes of these instances (default: all), whose content is retained; suspended or fresh ones take the
   * place of those that the app still wants. Returns what is gone.
   * @throws `no_such_app`, `in_use`
   */
  wipeApp(actor: Actor, id: AppId, options: WipeOptions): Promise<readonly AppInstanceView[]>;
  /** The apps that the actor may view, by id. */
  apps(actor: Actor): Promise<readonly AppView[]>;
  /** @throws `no_such_app` */
  app(actor: Actor, id: AppId): Promise<AppView>;
  /**
   * Makes a volume, or a snapshot, whose content is a copy of another one's: room is taken at once, then the content is
   * copied, which goes on when the caller is gone. Asking the same again joins the copy that is under way, tells once why
   * one failed, and changes nothing behind a finished one. Reserving and creating must be allowed, and viewing the source.
   * @returns the new volume; when the caller waits no longer, with how far the copy is (`copying`)
   * @throws `no_such_volume` the source, `duplicate_volume` something else has the name, `insufficient` no room, or the
   *   content does not fit; `busy`, `damaged` the source cannot be read now; then nothing of the copy is left
   */
  copy(actor: Actor, request: CopyRequest): Promise<VolumeView>;
  /** Brings a retained volume back with its content. */
  restore(actor: Actor, request: RestoreRequest): Promise<VolumeView>;

  /**
   * Protects a live volume from destruction, or pins a retained one so that it is not collected; or takes that away.
   * Repeating it changes nothing. A pinned volume is charged to unreserved disk.
   * @throws `no_such_volume`, `insufficient`
   */
  mark(actor: Actor, request: MarkRequest): Promise<VolumeView>;

  /**
   * Deletes the content of retained volumes, and sandboxes that were handed over, for good: those that are due, or the
   * named ones however young. What somebody holds stays. With `dryRun` says what would be deleted, by the disks' usage now.
   * @throws `no_such_volume`, `in_use` for a named one that is not there or not destroyed: nothing is deleted then
   */
  collect(actor: Actor, request: CollectRequest): Promise<CollectOutcome>;

  /**
   * Hands a container's directory over to garbage collection; the superuser's alone. Volumes of containers in it are
   * detached first, and none is attached there any more. Repeating it changes nothing.
   * @param path absolute, without symlinks, `.` and `..`
   * @throws `invalid`, `conflict`, `in_use` for what is no sandbox, `busy` when a process sits in a volume there
   */
  discardSandbox(actor: Actor, path: string): Promise<SandboxView>;
  /**
   * Takes it back as long as nothing of it was removed.
   * @throws `not_found` it was not handed over, `conflict` its collection has begun
   */
  keepSandbox(actor: Actor, path: string): Promise<void>;
  /** What was handed over and is not collected yet, oldest first; the superuser's alone. */
  sandboxes(actor: Actor): Promise<readonly SandboxView[]>;

  /** @throws `forbidden` when the actor may not subscribe as a framework in one of these roles, of which `*` is one */
  requireFramework(actor: Actor, roles: readonly string[]): void;
  /** Writes into the audit trail that a framework has come, or is gone for good. */
  noteFramework(actor: Actor, facts: FrameworkFacts): void;

  /** The node's disk, without what the actor may not view. */
  resources(actor: Actor): Promise<NodeResources>;
  /** Live and retained volumes that the actor may view, ordered by role, id, then newest first. */
  volumes(actor: Actor, filter?: VolumeFilter): Promise<readonly VolumeView[]>;
  /** One page of the volumes that the actor may view, in the order asked for, with what there is of them in all. */
  volumePage(actor: Actor, query: VolumeQuery): Promise<VolumePage>;
  /** The live volume of this name, else the newest retained one. @throws `no_such_volume` */
  volume(actor: Actor, role: Role, id: VolumeId): Promise<VolumeView>;
  /** The live volume of this name, by the books alone: nobody is looked for who has it. `undefined` when there is none. */
  findVolume(actor: Actor, role: Role, id: VolumeId): Promise<VolumeView | undefined>;
  containers(actor: Actor): Promise<readonly ContainerView[]>;
  /** One container by the books alone; `undefined` when it has no volumes. The superuser's alone. */
  findContainer(actor: Actor, id: ContainerId): Promise<ContainerView | undefined>;
  /** Outcomes of operation lists that had an id, newest first; an actor sees its own, a peer sees all. */
  operations(actor: Actor): Promise<readonly OperationRecord[]>;
  operation(actor: Actor, id: string): Promise<OperationRecord>;
  status(actor: Actor): Promise<NodeStatus>;
  /** What happened, as far as the actor may view it and the audit trail goes back; oldest first. */
  events(actor: Actor, query: EventsQuery): Promise<EventPage>;
  /** @throws `forbidden` when events of one role are wanted, and the actor may not view it */
  requireEvents(actor: Actor, query: EventsQuery): void;
  /**
   * Tells what happens, in order and nothing twice: what comes behind `after`, else from now on. While the listener's
   * promise is open it is told nothing; what it missed by then comes later. `limit` and `before` mean nothing here.
   * @param onEnd told when nothing more comes, whoever ended it: the engine's stop does so too
   * @returns what ends it
   */
  follow(actor: Actor, query: EventsQuery, listener: EventListener, onEnd?: () => void): () => void;
  /**
   * A sign of life: resolves when the engine could decide and commit now. It waits for the checkpoint's thread like every
   * operation, and for nothing else: not for a disk of volumes, however long that takes to answer.
   * @throws `unavailable` while starting or stopping, or the checkpoint can be neither written nor read
   */
  ping(): Promise<void>;
  /** Examines every volume and attachment now, repairs what may be repaired, and says what is damaged. */
  reconcile(): Promise<void>;
}

export interface FrameworkFacts extends Pick<EventFacts, "role" | "message"> {
  readonly type: "framework-subscribed" | "framework-gone";
}

export interface PerformOptions {
  readonly id?: string;
  /** Decides and answers, changes nothing. */
  readonly dryRun?: boolean;
}

export interface AttachRequest {
  readonly container: ContainerId;
  /** Absolute path, below the process's root when there is one. */
  readonly sandbox: string;
  /** The first process of a container that is started, or being started by an OCI runtime. */
  readonly process?: ProcessRequest;
  /** Who runs the container, for people. */
  readonly runtime?: string;
  /** One free instance of it is attached, beside the volumes that are named. */
  readonly app?: AppId;
  readonly volumes: readonly {
    readonly role: Role;
    readonly id: VolumeId;
    /** Default: the volume's own. */
    readonly containerPath?: ContainerPath;
    readonly mode: Mode;
  }[];
  /** Who shall own the top of an empty volume at its first attach; default: the sandbox's owner. */
  readonly owner?: { readonly uid: number; readonly gid: number };
  /**
   * Who shall be able to use all of the content, a group's number: unless the top is the group's already and set-gid, it
   * and everything below become the group's, readable and writable as for their owners, directories set-gid. Not for `RO`.
   */
  readonly group?: number;
}

/** What shall be a copy of what. */
/** A volume that is mounted for nobody, and where. */
export interface StrayMount {
  readonly role: Role;
  readonly id: VolumeId;
  /** Absolute, without symlinks. */
  readonly sandbox: string;
  readonly containerPath: ContainerPath;
}

export interface CopyRequest {
  readonly source: { readonly role: Role; readonly id: VolumeId };
  readonly role: Role;
  readonly id: VolumeId;
  /** A snapshot is never attached; it is copied again, into a volume. */
  readonly snapshot: boolean;
  /** Default: the source's. */
  readonly size?: MilliMb;
  readonly containerPath?: ContainerPath;
  readonly shared?: boolean;
  /** The disk that it shall lie on; default: the source's. */
  readonly disk?: DiskSource;
  /** The stack that it shall lie on, what is missing there is reserved; default: what its role has free, else one of its own. */
  readonly reservations?: readonly Reservation[];
  /** How long the caller waits for the end, milliseconds; default: however long that takes. */
  readonly waitMs?: number;
}

/** How far a copy is. */
export interface CopyProgress {
  readonly copiedBytes: number;
  /** What the source takes, as far as that is known. */
  readonly totalBytes?: number;
}

/** An app with its instances, in the order they were made. */
export interface AppView {
  readonly app: AppRecord;
  readonly instances: readonly AppInstanceView[];
}

export interface AppInstanceView {
  readonly instance: AppInstance;
  readonly state: InstanceState;
  /** Who has a volume of it. */
  readonly containers: readonly ContainerId[];
}

export interface WipeOptions {
  /** A peer's: takes them away from the containers that have them. */
  readonly force: boolean;
  readonly instances?: readonly InstanceId[];
}

export interface LendRequest {
  /** The engine's own name for what it wants the volume for. */
  readonly borrower: ContainerId;
  readonly role: Role;
  readonly id: VolumeId;
  /** The engine, for people. */
  readonly runtime: string;
}

export interface DescribeRequest extends NoteChange {
  readonly role: Role;
  readonly id: VolumeId;
}

export interface EventsQuery extends EventFilter {
  /** Those with a greater number, first ones first; without it the newest ones. */
  readonly after?: number;
  /** Those with a lower number. */
  readonly before?: number;
  /** Default 100, at most 1,000. */
  readonly limit?: number;
}

export interface EventPage {
  readonly events: readonly NodeEvent[];
  /** The number of the newest event when it was looked, whoever may view it: where to follow on from. */
  readonly last: number;
}

export type EventListener = (event: NodeEvent) => void | Promise<void>;

export type RestoreRequest = (
  | { readonly role: Role; readonly id: VolumeId; readonly uuid?: undefined }
  | { readonly uuid: Incarnation }
) & {
  /** The id it shall have now; default: the one it had. */
  readonly as?: VolumeId;
};

export interface AdoptRequest {
  readonly adoptions: readonly Adoption[];
  readonly dryRun: boolean;
}

export interface Adoption {
  /** Absolute path, without symlinks, `.` and `..`. */
  readonly directory: string;
  readonly role: Role;
  readonly id: VolumeId;
  /** Default: what the content takes, in whole MB; of a MOUNT disk, all of it. */
  readonly size?: MilliMb;
  /** Default: `data`. */
  readonly containerPath?: ContainerPath;
}

export interface AdoptView extends Adoption {
  /** What its content takes, as far as it could be looked at. */
  readonly usage?: VolumeUsage;
  /** The disk that it lies on. */
  readonly source?: DiskSource;
  /** The volume that it is now. */
  readonly uuid?: Incarnation;
  /** Of a dry run: why it would be refused, one sentence. */
  readonly obstacle?: string;
}

/** In the order of the request. */
export interface AdoptOutcome {
  readonly adoptions: readonly AdoptView[];
}

export type Mark = "protect" | "unprotect" | "pin" | "unpin";

export type MarkRequest = (
  | { readonly role: Role; readonly id: VolumeId; readonly uuid?: undefined }
  | { readonly uuid: Incarnation }
) & { readonly mark: Mark };

export interface CollectRequest {
  readonly dryRun: boolean;
  readonly uuids?: readonly Incarnation[];
  /** Directories that were handed over, by path; a peer's alone. */
  readonly sandboxes?: readonly string[];
  /** The named ones are given up, because their disk is gone for good: nothing is deleted. */
  readonly lost?: boolean;
}

/** A directory that was handed over. */
export interface SandboxView {
  readonly sandbox: SandboxRecord;
  /** When it is collected by itself, at the present usage of its file system; `undefined` while that cannot be told. */
  readonly dueAt: WallMs | undefined;
  /** Why it could not be collected. */
  readonly problem?: string;
}

export interface CollectView {
  readonly volume: Volume;
  /** When it is collected by itself, at the disk's present usage; `undefined` while it is pinned. */
  readonly dueAt: WallMs | undefined;
}

/** Of the volumes that were asked for, or all retained ones that the actor may view. */
export interface CollectOutcome {
  /** What is gone, or would be. */
  readonly collected: readonly CollectView[];
  readonly kept: readonly (CollectView & { readonly reason: string })[];
  /** The same of sandboxes, for a peer that named some, or nothing at all. */
  readonly sandboxes?: {
    readonly collected: readonly SandboxView[];
    readonly kept: readonly (SandboxView & { readonly reason: string })[];
  };
}

export interface VolumeFilter {
  readonly role?: Role;
  readonly state?: VolumeState;
  /** A label without a value stands for every value. */
  readonly label?: Label;
  readonly limit?: number;
  /** Continues behind the incarnation that the last page ended with. */
  readonly after?: Incarnation;
  /** Continues behind all volumes of this name, whether there is any. */
  readonly behind?: { readonly role: Role; readonly id: VolumeId };
  /** Which records are wanted at all; it must be quick, and know nothing but the record. */
  readonly where?: (volume: Volume) => boolean;
}

/** By what a page of volumes is ordered, `role` being role and id; what is equal in it stays in that order. */
export type VolumeSort =
  | "id"
  | "role"
  | "size"
  | "state"
  | "containerPath"
  | "used"
  | "createdAt"
  | "retiredAt"
  | "dueAt";

export interface VolumeQuery {
  readonly role?: Role;
  readonly state?: VolumeState;
  /** Only those that were destroyed, or only those that were not. */
  readonly retired?: boolean;
  readonly app?: AppId;
  /** A label without a value stands for every value. */
  readonly label?: Label;
  /** A part of `role/id` or of the description, whatever its case, or the beginning of the incarnation. */
  readonly search?: string;
  readonly sort: VolumeSort;
  readonly order: "asc" | "desc";
  /** How many come before the page. */
  readonly offset: number;
  readonly limit: number;
}

export interface VolumePage {
  readonly volumes: readonly VolumeView[];
  /** How many the query finds. */
  readonly total: number;
  /** How many of each state it would find without `state`; none is absent. */
  readonly counts: Readonly<Partial<Record<VolumeState, number>>>;
  /** The roles that have the most volumes, whatever the query asks, with how many; 100 at most. */
  readonly roles: readonly (readonly [role: Role, volumes: number])[];
}

export interface VolumeView {
  readonly volume: Volume;
  readonly state: VolumeState;
  /** Absolute path of its content now; empty while its disk is not there. */
  readonly path: string;
  readonly containers: readonly ContainerId[];
  /** When a retained volume is collected by itself, at the disk's present usage. */
  readonly dueAt?: WallMs;
  /** What its content takes, as far as that is known by now. */
  readonly usage?: VolumeUsage;
  /** Whether the kernel holds it to its size. */
  readonly enforced: boolean;
  /** How far its copy is, while its content is being copied. */
  readonly copying?: CopyProgress;
  /** Why it is `damaged` or what fails about it, and what to do. */
  readonly problem?: string;
  /** What it took since the daemon started while containers had it, oldest first; only of a single volume. */
  readonly useHistory?: readonly { readonly at: WallMs; readonly usedBytes: number }[];
  /** Who is seen with its content in another mount namespace now; only of a single volume. */
  readonly holders?: readonly HolderView[];
}

/** Somebody who has a volume, as the kernel sees it. */
export interface HolderView {
  /** Process id, 0 when no process shows it. */
  readonly pid: number;
  readonly command: string;
  readonly cgroup: string;
  /** Where it is mounted, as they see it. */
  readonly mountPoint: string;
  /** Container engine and container, as far as the control group tells. */
  readonly engine?: string;
  readonly container?: string;
}

export interface ContainerView {
  readonly container: Container;
  /** Of a container whose engine mounts by itself: who is seen with its volumes. */
  readonly holders?: readonly HolderView[];
  readonly attachments: readonly {
    readonly attachment: Attachment;
    readonly role: Role;
    readonly id: VolumeId;
    /** What is wrong with the mount, and what to do. */
    readonly problem?: string;
  }[];
}

export interface NodeResources {
  readonly agentId: AgentId;
  /** Free disk by pool and every live volume, in canonical form. */
  readonly resources: readonly DiskResource[];
  /** By `sourceKey`: disks that take no new reservations, and among them those that are not there. */
  readonly closedDisks: ReadonlySet<string>;
  readonly absentDisks: ReadonlySet<string>;
}

export interface NodeStatus {
  readonly agentId: AgentId;
  readonly bootId: BootId;
  readonly ready: boolean;
  readonly startedAt: WallMs;
  readonly mountBackend: "bind" | "symlink";
  readonly disks: readonly {
    readonly source: DiskSource;
    readonly root: string;
    readonly fileSystem: string;
    readonly totalBytes: number;
    readonly freeBytes: number;
    /** MB declared, reserved (static and dynamic), under live volumes, and in retained ones. */
    readonly declaredMb: number;
    readonly reservedMb: number;
    readonly volumesMb: number;
    readonly retainedMb: number;
    /** Of the retained ones, what is pinned: it is taken from unreserved disk. */
    readonly pinnedMb: number;
    /** Bytes that live volumes and retained ones take, and that live ones may still fill; as far as it is known. */
    readonly usedByVolumes: number;
    readonly usedByRetained: number;
    readonly promised: number;
    /** Volumes whose usage has yet to be measured. */
    readonly unmeasured: number;
    readonly enforcement: Enforcement;
  }[];
  readonly volumes: Readonly<Record<VolumeState, number>>;
  readonly containers: number;
  /** The containers that got volumes last, newest first; ten at most. */
  readonly latestContainers: readonly {
    readonly id: ContainerId;
    readonly runtime?: string;
    readonly since: WallMs;
    /** How many volumes it has. */
    readonly volumes: number;
  }[];
  /** What garbage collection takes of what the actor may view, at the disks' present usage. */
  readonly collection: {
    /** The first ones, five at most. */
    readonly next: readonly CollectView[];
    /** How many are due within a day from now. */
    readonly dueWithinDay: number;
    /** How many sandboxes were handed over and wait for their time. */
    readonly sandboxes: number;
  };
  /** Everything an operator must look at: one sentence each, with what to do. */
  readonly problems: readonly string[];
  /** What is good to know, and no problem. */
  readonly notices: readonly string[];
  readonly recovery: {
    /** When the daemon was ready. */
    readonly at: WallMs;
    readonly durationMs: number;
    readonly adopted: number;
    readonly cleared: number;
    readonly completed: number;
    readonly damaged: number;
    readonly orphans: readonly string[];
  };
}
