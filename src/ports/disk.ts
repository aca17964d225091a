/**
 * One disk: a directory of a file system that carries volumes. A volume is `volumes/<uuid>/content`, beside it lies its
 * label; a destroyed one is the same pair under `trash/`. The names on disk are incarnations only: roles and ids are
 * never path components of anything that is acted upon.
 */
import type { DirectoryIdentity, ReservationRecord, Volume } from "../domain/records.ts";
import type { DiskSource } from "../domain/resource.ts";
import type { AgentId, Incarnation } from "../domain/units.ts";

/** A ready directory, durable before it is handed out, that no volume has used. */
export interface Spare {
  readonly uuid: Incarnation;
  readonly directory: DirectoryIdentity;
}

/** What a directory under `volumes/` or `trash/` turned out to be. */
export type Finding =
  /** Present with this identity. */
  | { readonly state: "present"; readonly directory: DirectoryIdentity }
  | { readonly state: "missing" }
  /** Something else is there: a file, a symlink, a mount point. */
  | { readonly state: "foreign"; readonly reason: string };

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

  /** `count` spares, from the pool as far as it goes. Resolves at once (without any I/O) when the pool has them. */
  take(count: number): Promise<readonly Spare[]>;
  /** Returns what a refused operation did not use. */
  giveBack(spares: readonly Spare[]): void;

  /**
   * Writes the volume's label and its symlink under `volumes/roles`, for people, tools and `rebuild`. Visible when it
   * returns, durable after `syncLabels`. A symlink that points to another incarnation is replaced.
   */
  writeLabel(volume: Volume): void;
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

  /** Absolute path of the content, for people and for the symlink backend. */
  contentPath(volume: Pick<Volume, "uuid" | "phase">): string;
  usage(): Promise<DiskUsage>;
  close(): Promise<void>;
}
