/**
 * What survives a crash. A transaction is a list of changes; it is there as a whole or not at all.
 */
import type { Change, Records, Table } from "../domain/records.ts";
import type { AgentId, WallMs } from "../domain/units.ts";

/** What the checkpoint says about the node itself, made when the work root is made and never changed. */
export interface NodeHeader {
  readonly agentId: AgentId;
  readonly createdAt: WallMs;
}

/** A record that is there but cannot be trusted: its checksum or its form is wrong. It harms nobody else. */
export interface DamagedRecord {
  readonly table: Table;
  readonly key: string;
  readonly reason: string;
}

export interface StoreContents {
  readonly header: NodeHeader;
  readonly records: { readonly [T in Table]: ReadonlyMap<string, Records[T]> };
  readonly damaged: readonly DamagedRecord[];
  /** Every label of a volume whose `revision` is at most this was synced to disk. */
  readonly labelledThrough: number;
}

export interface CommitOptions {
  /** Survives a power cut when it resolves. Without it: survives kill -9 only (enough for what a boot ends). */
  readonly durable: boolean;
  /** May give up the ballast when the disk is full: for changes that release something. */
  readonly releases?: boolean;
  /** Moves `labelledThrough` along with the transaction. */
  readonly labelledThrough?: number;
}

export interface Store {
  /**
   * Opens, verifies and reads everything. A checkpoint that is unreadable, empty or of a newer version is refused
   * with `damaged` and the way out (`holdfast rebuild`), never taken for an empty node.
   */
  open(): Promise<StoreContents>;
  /**
   * Commits one transaction; calls commit in the order they were made, and those that wait together share one sync.
   * @throws `disk_full` when there is no room: nothing of it is stored, and later commits may succeed
   * @throws `unavailable` when the disk failed to sync: nothing is acknowledged until a new file has proven itself
   * After a throw, what was committed is what `reload` says, not what the caller remembers.
   */
  commit(changes: readonly Change[], options: CommitOptions): Promise<void>;
  /** Reads everything again, after a failed commit. */
  reload(): Promise<StoreContents>;
  /**
   * Resolves when everything that was asked before is answered, however it was: whoever gets no answer here gets none
   * to a commit either. Stores nothing, and needs no room.
   */
  ping(): Promise<void>;
  close(): Promise<void>;
}
