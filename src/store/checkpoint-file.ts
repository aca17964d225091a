/**
 * The open checkpoint: one SQLite connection, used synchronously inside the worker. It commits groups, keeps the log
 * short, gives up the ballast when it may, and replaces the whole file when the disk failed to sync.
 */
import { closeSync, constants, existsSync, fdatasyncSync, fstatSync, openSync, statfsSync } from "node:fs";
import type { DatabaseSync } from "node:sqlite";
import type { Table } from "../domain/records.ts";
import type { NodeHeader } from "../ports/store.ts";
import { type Ballast, createBallast } from "./ballast.ts";
import { damagedCheckpoint } from "./damaged.ts";
import { closeQuietly, copyDatabase, createDatabase, openDatabase } from "./database.ts";
import { type CheckpointPaths, checkpointPaths, syncDirectory } from "./files.ts";
import {
  createRowWriter,
  type HeaderRows,
  type Row,
  type RowChange,
  type RowWriter,
  readHeader,
  readRows,
  SEAL,
  writeHeader,
} from "./rows.ts";
import { printSeal, type Seal } from "./seal.ts";
import { isDiskFull, SqliteCode, SyncFailure, sqliteCode } from "./sqlite-error.ts";
import { installSuccessor, prepareSuccessor } from "./successor.ts";
import { latestVersion, UPGRADES, type Upgrade, upgradeDatabase } from "./upgrade.ts";

/** Changed rows and commits after which the log goes into the file; about four MiB of log. */
const LOG_ROWS_MAX = 1000;
/** What the log is grown to at once, so that a sync of it has no new length to store. */
const LOG_BYTES_MIN = 4 * 1024 * 1024;
/** Only where the disk has so many times that room. */
const ROOM_FACTOR = 16;

export interface CheckpointFileOptions {
  readonly directory: string;
  /** Makes the checkpoint if there is none. */
  readonly create?: NodeHeader | undefined;
  readonly ballastBytes: number;
  readonly upgrades?: readonly Upgrade[];
}

/** One transaction in stored form. */
export interface StoredCommit {
  readonly changes: readonly RowChange[];
  readonly durable: boolean;
  readonly releases: boolean;
  readonly labelledThrough: number | undefined;
}

export class CheckpointFile {
  readonly #paths: CheckpointPaths;
  readonly #upgrades: readonly Upgrade[];
  readonly #ballast: Ballast;
  #database: DatabaseSync;
  #writer: RowWriter;
  /** The log, open for syncing. SQLite keeps the same file until it is closed. */
  #logFd: number | undefined;
  #logRows = 0;
  #reserved = false;

  /**
   * Opens the checkpoint, or makes it at the first start, or brings it to this version.
   * @throws `damaged` with the way out; `conflict` when another process has it open
   */
  constructor(options: CheckpointFileOptions) {
    this.#paths = checkpointPaths(options.directory);
    this.#upgrades = options.upgrades ?? UPGRADES;
    installSuccessor(this.#paths);
    if (options.create !== undefined) makeFirst(this.#paths, options.create, latestVersion(this.#upgrades));
    [this.#database, this.#writer] = this.#open();
    this.#ballast = createBallast(this.#paths.ballast, options.ballastBytes, () => performance.now());
    this.#ballast.restore();
  }

  get path(): string {
    return this.#paths.checkpoint;
  }

  header(): HeaderRows {
    return readHeader(this.#database);
  }

  rows(table: Table): Generator<Row> {
    return readRows(this.#database, table);
  }

  /** Takes the rows for all there are: where they were never sealed, or some are known to be damaged. Waits for room. */
  reseal(seal: Seal): void {
    try {
      this.#writer.header(SEAL, printSeal(seal));
    } catch (error) {
      if (!isDiskFull(error)) throw error;
    }
  }

  /**
   * Commits all or nothing; durable if one of them is. Throws SQLite's error, after which nothing is stored, or
   * `SyncFailure`, after which it may or may not be: then `replace` is due.
   */
  commit(group: readonly StoredCommit[]): { readonly gaveUpBallast: boolean } {
    try {
      this.#transaction(group);
      return { gaveUpBallast: false };
    } catch (error) {
      const mayGiveUp = isDiskFull(error) && group.some((commit) => commit.releases);
      if (!mayGiveUp || !this.#ballast.giveUp()) throw error;
      this.#transaction(group);
      return { gaveUpBallast: true };
    }
  }

  /**
   * Moves the log into the file when it has grown, and brings the ballast back; for after the answers are out.
   * A full disk is no error here. Throws SQLite's error when the disk failed, then `replace` is due.
   */
  maintain(): { readonly restoredBallast: boolean } {
    if (!this.#reserved) this.#reserveLog();
    if (this.#logRows >= LOG_ROWS_MAX) this.compactLog();
    return { restoredBallast: this.#ballast.restore() };
  }

  /** Moves the log into the file: the log is then written anew from its start, which needs no room. */
  compactLog(): void {
    moveLog(this.#database);
    this.#logRows = 0;
  }

  /**
   * After a failed sync nothing that SQLite acknowledges on this file can be believed: what a read shows now goes into
   * a new file, which takes its place and proves itself with one durable commit. Throws whatever is in the way.
   */
  replace(): void {
    try {
      this.#prepareCopy();
    } catch (error) {
      if (!isDiskFull(error) || !this.#ballast.giveUp()) throw error;
      this.#prepareCopy();
    }
    this.#closeLog();
    closeQuietly(this.#database);
    installSuccessor(this.#paths);
    [this.#database, this.#writer] = this.#open();
    this.#transaction([{ changes: [], durable: true, releases: false, labelledThrough: undefined }]);
  }

  close(): void {
    this.#closeLog();
    this.#database.close();
  }

  /**
   * Grows a short log, once, by commits of nothing that are then moved into the file: from then on it is overwritten
   * from its start.
   */
  #reserveLog(): void {
    this.#reserved = true;
    const { bavail, bsize } = statfsSync(this.#paths.directory);
    if (bavail * bsize < LOG_BYTES_MIN * ROOM_FACTOR) return;
    while (fstatSync(this.#log()).size < LOG_BYTES_MIN) {
      for (let count = 0; count < 100; count += 1) this.#writer.header("touched", String(process.hrtime.bigint()));
    }
    this.compactLog();
  }

  #prepareCopy(): void {
    prepareSuccessor(this.#paths, (path) => copyDatabase(this.#database, path));
  }

  #open(): [DatabaseSync, RowWriter] {
    const database = openDatabase(this.#paths.checkpoint);
    try {
      // SQLite syncs the name of its new log too, but ignores when that fails.
      syncDirectory(this.#paths.directory);
      // A log that was found may never have reached the disk: what is copied into the file does.
      moveLog(database);
      upgradeDatabase(database, this.#paths, this.#upgrades);
      return [database, createRowWriter(database)];
    } catch (error) {
      closeQuietly(database);
      throw sqliteCode(error) === SqliteCode.error
        ? damagedCheckpoint(this.#paths.checkpoint, "a table is missing")
        : error;
    }
  }

  #transaction(group: readonly StoredCommit[]): void {
    this.#database.exec("begin immediate");
    this.#writer.begin();
    try {
      this.#write(group);
      this.#writer.seal();
      this.#database.exec("commit");
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec("rollback");
      throw error;
    }
    // Covers the commits before it that were not synced as well.
    if (group.some((commit) => commit.durable)) this.#syncLog();
  }

  #syncLog(): void {
    try {
      fdatasyncSync(this.#log());
    } catch (error) {
      throw new SyncFailure(error);
    }
  }

  #log(): number {
    this.#logFd ??= openSync(this.#paths.log, constants.O_RDWR);
    return this.#logFd;
  }

  #closeLog(): void {
    if (this.#logFd !== undefined) closeSync(this.#logFd);
    this.#logFd = undefined;
  }

  #write(group: readonly StoredCommit[]): void {
    for (const { changes, labelledThrough } of group) {
      for (const change of changes) this.#writer.change(change);
      if (labelledThrough !== undefined) this.#writer.header("labelledThrough", String(labelledThrough));
      this.#logRows += changes.length + 1;
    }
  }
}

/** Moves the log into the file, both synced. False when there is no room, which harms nothing. */
function moveLog(database: DatabaseSync): boolean {
  try {
    database.exec("pragma wal_checkpoint(passive)");
    return true;
  } catch (error) {
    if (isDiskFull(error)) return false;
    throw error;
  }
}

/** The first checkpoint of a node. A log without its checkpoint means that there was one: that is no first start. */
function makeFirst(paths: CheckpointPaths, header: NodeHeader, version: number): void {
  if (existsSync(paths.checkpoint)) return;
  if (existsSync(paths.log)) throw damagedCheckpoint(paths.checkpoint, "the file is missing but its log is there");
  prepareSuccessor(paths, (path) =>
    createDatabase(path, version, (database) => writeHeader(createRowWriter(database), header)),
  );
  installSuccessor(paths);
}
