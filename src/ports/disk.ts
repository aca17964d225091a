/**
 * One disk: a directory of a file system that carries volumes. A volume is `volumes/<uuid>/content`, beside it lies its
 * label; a destroyed one is the same pair under `trash/`. The names on disk are incarnations only: roles and ids are
 * never path components of anything that is acted upon.
 */
import type { DirectoryIdentity, ReservationRecord, Volume } from "../domain/records.ts";
import type { DiskSource } from "../domain/resource.ts";
import type { AgentId, Incarnation, ProjectId } from "../domain/units.ts";

/** A ready directory, durable before it is handed out, that no volume has used. */
export interface Spare {
  readonly uuid: Incarnation;
  readonly directory: DirectoryIdentity;
  /** Where project quotas hold volumes to their sizes. */
  readonly projectId?: ProjectId;
}

/** How a disk holds volumes to their sizes: by the kernel's project quotas, by btrfs's qgroups, or not at all. */
export type Enforcement =
  | { readonly by: "project-quota" | "qgroup" }
  /** A phrase for people: "project quotas are off, mount it with prjquota". */
  | { readonly by: "nothing"; readonly reason: string };

/** What a volume's content takes. */
export interface VolumeUsage {
  /** Allocated, not apparent: holes take nothing, and an inode with several names is counted once. */
  readonly usedBytes: number;
  /** With the `content` directory itself; absent where the kernel counts bytes alone, as btrfs does. */
  readonly inodes?: number;
}

/** Why the kernel does not hold a volume to its size. */
export interface Looseness {
  readonly reason: string;
  /** What makes it so again; absent where only an operator can. */
  readonly cure?: "limit" | "enlist";
}

/** What an enlisting walk found. */
export interface Enlisted extends VolumeUsage {
  /** How many files and directories were not the volume's by the kernel's books, and are now. */
  readonly wrong: number;
  /** How many could not be made so: immutable ones. */
  readonly refused: number;
}

/** What a directory under `volumes/` or `trash/` turned out to be. */
export type Finding =
  /** Present with this identity. */
  | { readonly state: "present"; readonly directory: DirectoryIdentity }
  | { readonly state: "missing" }
  /** Something else is there: a file, a symlink, a mount point. */
  | { readonly state: "foreign"; readonly reason: string };

/** What is copied from where. */
export interface CopyFrom {
  /** Where the disk lies that the original is on: this one, or another. */
  readonly diskRoot: string;
  readonly volume: Volume;
}

export interface CopyDiskOptions {
  readonly signal?: AbortSignal;
  /** Told several times a second how many bytes are there. */
  readonly onBytes?: (copiedBytes: number) => void;
}

export interface DiskUsage {
  readonly totalBytes: number;
  readonly freeBytes: number;
}

/** What the disk's own label says: with it and the volumes' labels the checkpoint can be rebuilt. */
export interface NodeLabel {
  readonly agentId: AgentId;
  readonly reservations: readonly ReservationRecord[];
}

export interface Disk {
  readonly source: DiskSource;
  /** The directory: the work root, or the root of a PATH or MOUNT disk. */
  readonly root: string;
  /** The file system's type and, where it has one, its UUID. */
  readonly fileSystem: { readonly type: string; readonly uuid?: string };

  /** Asked of the kernel when the disk was opened. */
  readonly enforcement: Enforcement;
  /** What tells this disk from another one at the same path: the `volumes` directory. */
  readonly directory: DirectoryIdentity;

  /** Names all volumes of the books, at start, before anything else: their directories and project ids are taken. */
  claim(volumes: Iterable<Volume>): void;

  /** `count` spares, from the pool as far as it goes. Resolves at once (without any I/O) when the pool has them. */
  take(count: number): Promise<readonly Spare[]>;
  /** Returns what a refused operation did not use. */
  giveBack(spares: readonly Spare[]): void;

  /**
   * Has the kernel hold a volume to its size from now on. Takes microseconds; repeating it is fine. A volume larger than
   * that already keeps what it has and gets no more. Does nothing where nothing enforces.
   * @throws `unsupported` the kernel does not know this volume by itself (see `looseness`)
   */
  limit(volume: Volume): void;
  /** Why the kernel does not hold a volume to its size; `undefined` when it does, or when nothing here does. */
  looseness(volume: Volume): Looseness | undefined;
  /** What the kernel counts for a volume, live or not, at once; `undefined` where it does not count. */
  usageOf(volume: Volume): VolumeUsage | undefined;
  /**
   * Counts what a volume takes by looking at every file, slowly and behind everybody else.
   * @throws `unavailable` interrupted, `damaged` when its directory is not there
   */
  measure(volume: Volume, options?: { readonly signal?: AbortSignal }): Promise<VolumeUsage>;
  /** A project id for a volume that has none yet; `undefined` where there are no project quotas. @throws `insufficient` */
  newProjectId(): ProjectId | undefined;
  /**
   * Looks at every file of a volume and makes it the volume's by the kernel's books: of one that was there before
   * quotas were, or whose container changed its own project id. The volume has its project id. Throws as `measure`.
   */
  enlist(volume: Volume, options?: { readonly signal?: AbortSignal }): Promise<Enlisted>;

  /**
   * Writes the volume's label and its symlink under `volumes/roles`, for people, tools and `rebuild`. Visible when it
   * returns, durable after `syncLabels`. A symlink that points to another incarnation is replaced.
   */
  writeLabel(volume: Volume): void;
  /** The revision that the volume's label has; `undefined` when there is none, or none that can be read. */
  labelRevision(volume: Volume): number | undefined;
  /** Makes labels and symlinks durable; labels of directories that are gone are skipped. */
  syncLabels(uuids: readonly Incarnation[]): Promise<void>;
  /** Replaces the disk's own label, durable. */
  writeNodeLabel(label: NodeLabel): Promise<void>;

  /** What is in the place of this live volume. */
  examine(uuid: Incarnation): Finding;
  /** What is in the place of this destroyed volume. */
  examineTrash(uuid: Incarnation): Finding;
  /**
   * Every incarnation under `volumes/` (spares excepted) and under `trash/` that is not known: orphans. One that looks
   * like a spare, without label and content, becomes one; so every volume of the books must be known.
   */
  list(isKnown: (uuid: Incarnation) => boolean): Promise<{
    readonly volumes: readonly Incarnation[];
    readonly trash: readonly Incarnation[];
  }>;

  /**
   * Moves a volume to trash: one durable rename. Repeating it is fine. Removes the symlink when it points here.
   * @throws `in_use` when the kernel will not let go of it, `damaged` when neither place has the directory
   */
  drop(volume: Volume): Promise<void>;
  /** The way back: one durable rename, and its symlink again. Repeating it is fine. */
  restore(volume: Volume): Promise<void>;

  /**
   * Deletes a destroyed volume for good, all that lies in its place under `trash/`, durable. Nobody may hold it any
   * more. Follows no symlink, enters no other mount, opens nothing but directories and files; names may be any bytes, and
   * a tree may be as deep as it likes. What was begun is gone on with by calling again; nothing there is fine.
   * @returns how many names were removed
   * @throws `in_use` something is mounted inside (nothing of it was touched; the message says where), or somebody keeps
   *   making new files
   * @throws `unsupported` some of it may not be removed; the rest is gone
   * @throws `damaged` what has its name is no directory
   * @throws `unavailable` interrupted by the signal, or the disk fails
   */
  purge(uuid: Incarnation, options?: { readonly signal?: AbortSignal }): Promise<{ readonly entries: number }>;

  /**
   * What a directory that is no volume would be as one, under a new name; `undefined` when it would have to be copied,
   * because it lies on another file system or behind another mount.
   * @param path absolute
   * @throws `invalid` there is no such directory, or a symlink is in its path (the message says where)
   * @throws `conflict` it is a part of the disk itself, or has the disk in it
   * @throws `in_use` something is mounted on it
   * @throws `unsupported` it may not be moved: it, or the directory above it, is immutable
   */
  examineForeign(path: string): Pick<Spare, "uuid" | "directory"> | undefined;
  /** Counts what such a directory takes, as `measure`. Throws as that and as `examineForeign`. */
  measureForeign(path: string, options?: { readonly signal?: AbortSignal }): Promise<VolumeUsage>;
  /**
   * Moves the directory at the volume's `origin` here as its content: one durable rename. Nobody is asked whether it is
   * in use. Afterwards nobody comes in by its old path any more.
   * @throws `conflict` it is not the recorded directory any more, and stays where it is; otherwise as `examineForeign`
   */
  adopt(volume: Volume): Promise<void>;
  /**
   * The way back, durable. Repeating it is fine, and so is what never came here.
   * @throws `conflict` its old place is taken, or cannot be reached any more
   * @throws `damaged` something else is in the place of the content
   */
  unadopt(volume: Volume): Promise<void>;

  /**
   * Fills the empty content of a volume, which nobody can reach yet, with a copy of a live volume's: owners, modes,
   * times, extended attributes, names of one file, holes. At once and as of one moment where the file system can, else
   * file by file, as each is found. Durable, and held to the volume's size from the beginning.
   * @returns the content as it is now: it may be another directory
   * @throws `insufficient` it does not fit into the volume's size, or the disk is full
   * @throws `in_use` something is mounted in the original, or somebody moves directories in it
   * @throws `unsupported` some of it may not be read or made, `damaged` the original is not the recorded directory,
   *   `unavailable` interrupted, or the disk fails; what is there then is to be discarded
   */
  copy(volume: Volume, from: CopyFrom, options?: CopyDiskOptions): Promise<DirectoryIdentity>;
  /**
   * Moves what there is of a volume that is being copied to trash, whichever directory it is by now: one durable
   * rename. Repeating it is fine, and so is nothing there.
   */
  discardCopy(volume: Volume): Promise<void>;
  /**
   * Makes all content of a live volume readable and writable for a group. At once when the top says that it is so; what
   * was interrupted is gone on with by calling again.
   * @throws `unsupported` some of it may not be changed, `damaged` it is not the recorded directory; otherwise as `copy`
   */
  giveToGroup(volume: Volume, group: number, options?: { readonly signal?: AbortSignal }): Promise<void>;

  /** Absolute path of the content, for people and for the symlink backend. */
  contentPath(volume: Pick<Volume, "uuid" | "phase">): string;
  usage(): Promise<DiskUsage>;
  close(): Promise<void>;
}
