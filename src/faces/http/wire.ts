/**
 * The requests and responses of the `/v1` routes that every door serves, types only.
 *
 * Sizes are MB (MiB) with up to three decimals, times are ISO 8601 in UTC. A refusal has an `ErrorBody` and the status
 * that its code maps to.
 */
import type { ErrorCode } from "../../domain/error.ts";
import type { EventType } from "../../domain/event.ts";
import type { VolumeState } from "../../domain/lifecycle.ts";
import type { AttachmentPhase, MountRecord } from "../../domain/records.ts";
import type { DiskSource, Mode } from "../../domain/resource.ts";
import type { VolumeSort } from "../../engine/engine.ts";

/** Every refusal; beside code and message stand the facts that go with it (`index`, `pids`, figures). */
export interface ErrorBody {
  readonly error: {
    readonly code: ErrorCode;
    readonly message: string;
    readonly [detail: string]: string | number | readonly (string | number)[];
  };
}

/** `GET /v1/status` */
export interface StatusJson {
  readonly version: string;
  readonly agentId: string;
  readonly bootId: string;
  readonly ready: boolean;
  readonly startedAt: string;
  readonly mountBackend: "bind" | "symlink";
  readonly disks: readonly DiskJson[];
  /** How many volumes are in each state. */
  readonly volumes: Readonly<Record<VolumeState, number>>;
  readonly containers: number;
  /** Those that got volumes last, newest first; ten at most. */
  readonly latestContainers: readonly {
    readonly id: string;
    readonly runtime?: string;
    readonly since: string;
    readonly volumes: number;
  }[];
  /** What garbage collection takes, at the disks' present usage: the next five at most, and how many within a day. */
  readonly collection: {
    readonly next: readonly GcVolumeJson[];
    readonly dueWithinDay: number;
    /** How many containers' directories wait for their time. */
    readonly sandboxes: number;
  };
  /** Everything an operator must look at: one sentence each, with what to do. */
  readonly problems: readonly string[];
  /** What is good to know, and no problem: settings that wait for a restart. */
  readonly notices: readonly string[];
  readonly recovery: {
    /** When the daemon was ready. */
    readonly at: string;
    readonly durationMs: number;
    readonly adopted: number;
    readonly cleared: number;
    readonly completed: number;
    readonly damaged: number;
    readonly orphans: readonly string[];
  };
}

export interface DiskJson {
  readonly source: DiskSource;
  readonly root: string;
  readonly fileSystem: string;
  readonly totalBytes: number;
  readonly freeBytes: number;
  /** What is declared, reserved, under live volumes, and in retained ones. */
  readonly declaredMb: number;
  readonly reservedMb: number;
  readonly volumesMb: number;
  readonly retainedMb: number;
  /** What retained ones take of the disk that is not reserved, because they are pinned. */
  readonly pinnedMb: number;
  /** What the content of live volumes and of retained ones takes, as far as it is known. */
  readonly usedByVolumesBytes: number;
  readonly usedByRetainedBytes: number;
  /** What live volumes may still fill. */
  readonly promisedBytes: number;
  /** How many volumes have yet to be measured. */
  readonly unmeasured: number;
  /** What holds volumes to their sizes here; with `nothing` goes the reason. */
  readonly enforcement: { readonly by: "project-quota" | "qgroup" | "nothing"; readonly reason?: string };
}

/** `GET /v1/resources`: free disk by pool and, without `?free=true`, every live volume, in Mesos's post-refinement form. */
export interface ResourcesJson {
  readonly agentId: string;
  readonly resources: readonly object[];
}

/** `GET /v1/volumes/ROLE/ID`, each segment URL-encoded, and the items of the list. */
export interface VolumeJson {
  /** The incarnation: one life of the volume, and its directory's name. */
  readonly uuid: string;
  readonly role: string;
  readonly id: string;
  readonly sizeMb: number;
  /** What its content takes on disk; absent until it is known. */
  readonly usedBytes?: number;
  /** What it took since the daemon started while containers had it, oldest first; only in the answer for one volume. */
  readonly useHistory?: readonly { readonly at: string; readonly usedBytes: number }[];
  /** In how many files and directories; absent where the kernel counts bytes alone, as btrfs does. */
  readonly inodes?: number;
  /** Whether the kernel holds it to its size. */
  readonly enforced: boolean;
  /** It is not destroyed until somebody takes this away. */
  readonly protected?: true;
  /** It is not collected until somebody takes this away. */
  readonly pinned?: true;
  readonly containerPath: string;
  /** The creator as Mesos knows it, whom `destroy_volumes` is checked against. */
  readonly principal?: string;
  readonly shared: boolean;
  readonly state: VolumeState;
  /** Absolute path of its content now. */
  readonly path: string;
  readonly containers: readonly string[];
  readonly createdAt: string;
  /** Who asked for it: a principal, or `uid:0(root)`. */
  readonly createdBy: string;
  /** When it was destroyed. */
  readonly retiredAt?: string;
  /** When its content is deleted for good, at the disk's present usage; only while it is retained. */
  readonly dueAt?: string;
  /** Absent on the work root's own disk. */
  readonly source?: DiskSource;
  /** What people say about it. */
  readonly description?: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** It began as a copy of this volume, or is a snapshot of it; that one may be gone since. */
  readonly copyOf?: CopySourceJson;
  readonly snapshotOf?: CopySourceJson;
  /** How far it is, while its content is being copied. */
  readonly copying?: { readonly copiedBytes: number; readonly totalBytes?: number };
  /** The app instance that it was made for. */
  readonly app?: { readonly id: string; readonly instance: string };
  /** What is wrong, and what to do. */
  readonly problem?: string;
  /** Who is seen with its content outside our own mount namespace; only in the answer for one volume. */
  readonly holders?: readonly HolderJson[];
  /** The volume in Mesos's post-refinement form: what DESTROY, GROW_VOLUME and SHRINK_VOLUME must name. */
  readonly resource: object;
}

/** Query of `GET /v1/volumes`. */
export interface VolumesQuery {
  readonly role?: string;
  readonly state?: VolumeState;
  readonly limit?: number;
  /** `uuid` of the volume that the last page ended with. */
  readonly after?: string;
  /** `team=ads`, or `team` with any value. */
  readonly label?: string;
}

/** Query of `GET /v1/volumes` for pages that are sorted, searched and counted: `offset` makes it one. */
export interface VolumePageQuery extends Omit<VolumesQuery, "after"> {
  /** How many come before the page. */
  readonly offset: number;
  /** Default `id`. */
  readonly sort?: VolumeSort;
  /** Default `asc`. */
  readonly order?: "asc" | "desc";
  /** Only those that were destroyed, or only those that were not. */
  readonly retired?: boolean;
  readonly app?: string;
  /** A part of `role/id` or of the description, whatever its case, or the beginning of the uuid. */
  readonly search?: string;
}

export interface VolumesJson {
  readonly volumes: readonly VolumeJson[];
  /** Of a page: how many there are in all. */
  readonly total?: number;
  /** Of a page: how many of each state there would be without `state`. */
  readonly counts?: Readonly<Partial<Record<VolumeState, number>>>;
  /** Of a page: the roles with the most volumes, whatever was asked for, with how many; 100 at most. */
  readonly roles?: Readonly<Record<string, number>>;
}

/** `PUT /v1/volumes/ROLE/ID/note`; answered with the `VolumeJson`. Absent stays as it is, `null` goes away. */
export interface NoteBody {
  readonly description?: string | null;
  /** Replace all that were there. */
  readonly labels?: Readonly<Record<string, string>> | null;
}

/**
 * Query of `GET /v1/events`. With `Accept: text/event-stream`, and of `GET /v1/events/stream`, the answer is a stream of
 * server-sent events instead: `id` is the number, `event` the type, `data` the `EventJson`; it goes on behind `after`, or
 * the header `Last-Event-ID`, or begins now.
 */
export interface EventsQuery {
  /** `ROLE/ID` */
  readonly volume?: string;
  readonly uuid?: string;
  /** Who asked, as `by` has it. */
  readonly principal?: string;
  readonly role?: string;
  readonly app?: string;
  readonly type?: EventType;
  /** Those with a greater number, first ones first; without it the newest. */
  readonly after?: number;
  /** Those with a lower number. */
  readonly before?: number;
  /** Default 100, at most 1,000. */
  readonly limit?: number;
}

/** Oldest first. */
export interface EventsJson {
  readonly events: readonly EventJson[];
  /** The newest event's number, whoever may view that: a stream that goes on behind it misses nothing. */
  readonly last: number;
}

export interface EventJson {
  /** Grows with every event of the node, and is never used again. */
  readonly seq: number;
  readonly at: string;
  readonly type: EventType;
  /** Who asked, or `holdfast` for what the daemon did by itself. */
  readonly by: string;
  readonly role?: string;
  readonly id?: string;
  readonly uuid?: string;
  /** Of the volume as it is now; of a reservation, how much more or less it is. */
  readonly sizeMb?: number;
  readonly container?: string;
  readonly app?: string;
  readonly message?: string;
}

export type VolumeMark = "protect" | "unprotect" | "pin" | "unpin";

/**
 * `POST /v1/volumes/protect` and `unprotect` of a live volume, `pin` and `unpin` of a retained one; answered with the
 * `VolumeJson`. Of several retained ones of one name the newest.
 */
export type MarkBody =
  | { readonly role: string; readonly id: string }
  /** A certain incarnation, where several of one name are retained. */
  | { readonly uuid: string };

/** `POST /v1/volumes/restore`; answered with the `VolumeJson` that is live again. */
export type RestoreBody = MarkBody & {
  /** The id it shall have now; default: the one it had. */
  readonly as?: string;
};

/**
 * `POST /v1/volumes/copy`; answered with the `VolumeJson` of the new volume, which is `copying` when it takes longer. The
 * same body again joins a copy that is under way, and changes nothing behind a finished one.
 */
export interface CopyBody {
  readonly source: { readonly role: string; readonly id: string };
  /** Default: the source's. */
  readonly role?: string;
  readonly id: string;
  /** A snapshot is never attached; it is copied again, into a volume. */
  readonly snapshot?: boolean;
  /** Default: the source's; so are the next two. */
  readonly sizeMb?: number;
  readonly containerPath?: string;
  readonly shared?: boolean;
  /** Default: that of the source. */
  readonly disk?: DiskSource;
  /** How long the answer waits for the end; default: however long that takes. */
  readonly waitSeconds?: number;
}

/** Of what a volume is a copy, and since when. */
export interface CopySourceJson {
  readonly role: string;
  readonly id: string;
  readonly uuid: string;
  readonly at: string;
}

/** `POST /v1/gc`; answered with a `GcJson`. */
export interface GcBody {
  /** Says what would be collected, deletes nothing. */
  readonly dryRun?: boolean;
  /** These, however young, instead of what is due. */
  readonly uuids?: readonly string[];
  /** Gives up the records of these, whose disk is gone for good; deletes nothing. */
  readonly lost?: boolean;
}

/** Of the volumes that were named, or all retained ones that the caller may view. */
export interface GcJson {
  /** What was deleted for good; absent after a dry run. */
  readonly collected?: readonly GcVolumeJson[];
  /** What would be; only after a dry run. */
  readonly would?: readonly GcVolumeJson[];
  /** What stays, each with its reason. */
  readonly kept: readonly GcVolumeJson[];
  /** The same of containers' directories that were handed over, for the agent socket alone. */
  readonly sandboxes?: {
    readonly collected?: readonly GcSandboxJson[];
    readonly would?: readonly GcSandboxJson[];
    readonly kept: readonly GcSandboxJson[];
  };
}

export interface GcSandboxJson {
  /** Absolute path. */
  readonly path: string;
  /** When it was handed over. */
  readonly discardedAt: string;
  /** When it is collected by itself, at the present usage of its file system; absent while that cannot be told. */
  readonly dueAt?: string;
  /** Why it stays. */
  readonly reason?: string;
}

export interface GcVolumeJson {
  readonly uuid: string;
  readonly role: string;
  readonly id: string;
  readonly sizeMb: number;
  /** When it was destroyed. */
  readonly retiredAt?: string;
  /** When it is collected by itself, at the disk's present usage; absent while it is pinned. */
  readonly dueAt?: string;
  /** Why it stays. */
  readonly reason?: string;
}

/** One operation in the shape of Mesos's `Offer.Operation`; resources in any of Mesos's three forms. */
export type OperationBody =
  | {
      readonly type: "RESERVE";
      readonly reserve: { readonly source?: readonly object[]; readonly resources: readonly object[] };
    }
  | { readonly type: "UNRESERVE"; readonly unreserve: { readonly resources: readonly object[] } }
  | { readonly type: "CREATE"; readonly create: { readonly volumes: readonly object[] } }
  | { readonly type: "DESTROY"; readonly destroy: { readonly volumes: readonly object[] } }
  | { readonly type: "GROW_VOLUME"; readonly grow_volume: { readonly volume: object; readonly addition: object } }
  | {
      readonly type: "SHRINK_VOLUME";
      readonly shrink_volume: { readonly volume: object; readonly subtract: { readonly value: number } };
    };

/** `POST /v1/operations`: one atomic list; answered with an `OperationsJson`. */
export interface OperationsBody {
  /** The same id with the same content again answers with the first outcome and does nothing. */
  readonly id?: string;
  readonly operations: readonly OperationBody[];
  /** Decides and answers, changes nothing. */
  readonly dryRun?: boolean;
}

/** `POST /v1/operations`, `GET /v1/operations/ID` and the items of the list. */
export interface OperationsJson {
  readonly id: string;
  /** `DRY_RUN`: it would be done. */
  readonly state: "FINISHED" | "DRY_RUN";
  readonly by: string;
  readonly at: string;
  readonly operations: readonly { readonly type: string; readonly summary: string }[];
}

/** `GET /v1/operations` */
export interface OperationsListJson {
  readonly operations: readonly OperationsJson[];
}

/** An item of `GET /v1/containers`. */
export interface ContainerJson {
  readonly id: string;
  /** Absent when the container's engine was given the volumes' paths and mounts them itself. */
  readonly sandbox?: string;
  /** The container's first process: the sandbox is a path below its root, and the volumes are in its namespace. */
  readonly pid?: number;
  /** Who runs it: `runc`, `docker`. */
  readonly runtime?: string;
  readonly since: string;
  readonly by: string;
  readonly volumes: readonly AttachmentJson[];
  /** Of a container without a sandbox: who is seen with its volumes. */
  readonly holders?: readonly HolderJson[];
}

/** Somebody who has a volume, as the kernel sees it. */
export interface HolderJson {
  /** 0 when no process shows it, only a mount namespace. */
  readonly pid: number;
  readonly command: string;
  readonly cgroup: string;
  /** Where it is mounted, as they see it. */
  readonly mountPoint: string;
  /** Container engine and container, as far as the control group tells. */
  readonly engine?: string;
  readonly container?: string;
}

export interface AttachmentJson {
  readonly role: string;
  readonly id: string;
  readonly uuid: string;
  readonly containerPath: string;
  readonly mode: Mode;
  readonly state: AttachmentPhase;
  /** Of the sandbox's mount: on a `private` one, containers that run already do not see the volume. */
  readonly propagation?: Extract<MountRecord, { readonly backend: "bind" }>["propagation"];
  readonly problem?: string;
}

export interface ContainersJson {
  readonly containers: readonly ContainerJson[];
}

/** `GET /healthz` and `GET /readyz` */
export interface HealthJson {
  readonly status: "ok";
}
