/**
 * The checkpoint as an SQLite file: making one, and opening one that has proven itself. One table for each kind of
 * record, each row with its own checksum; a `header` table for the node; `user_version` is the version of the schema.
 */
import { statSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { type ErrorCode, HoldfastError, messageOf } from "../domain/error.ts";
import { TABLES } from "../domain/records.ts";
import { damagedCheckpoint } from "./damaged.ts";
import { SqliteCode, sqliteCode } from "./sqlite-error.ts";

const OPEN_CODES: Readonly<Record<number, readonly [ErrorCode, string]>> = {
  [SqliteCode.busy]: ["conflict", "another process has it open, stop that one first"],
  [SqliteCode.readOnly]: ["unavailable", "it cannot be written, check the file system and the owner"],
  [SqliteCode.cannotOpen]: ["unavailable", "the file cannot be opened, check the directory and the owner"],
  [SqliteCode.full]: ["disk_full", "its disk is full, make room"],
};

/** Makes the tables in an empty file and lets `fill` write the first rows. Not durable until the file is synced. */
export function createDatabase(path: string, version: number, fill: (database: DatabaseSync) => void): void {
  const database = new DatabaseSync(path);
  try {
    database.exec("pragma journal_mode=memory; pragma synchronous=off; begin");
    for (const table of ["header", ...TABLES]) addTable(database, table);
    fill(database);
    database.exec(`pragma user_version=${version}; commit`);
    database.exec("pragma journal_mode=wal");
  } finally {
    database.close();
  }
}

/** Without constraints on values: one bad row must not make SQLite's check refuse the whole file. */
export function addTable(database: DatabaseSync, table: string): void {
  database.exec(`create table ${table} (key text primary key, value text, crc integer) without rowid`);
}

/**
 * Opens for this process alone, verifies the file, ready for durable commits.
 * @throws `damaged` missing, empty, not SQLite or inconsistent; `conflict` somebody else has it open
 */
export function openDatabase(path: string): DatabaseSync {
  if (sizeOf(path) === 0) throw damagedCheckpoint(path, "the file is missing or empty");
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path, { timeout: 0 });
    // The order matters: exclusive before the first access keeps the log's index in memory, in no file.
    // A commit does not sync: whoever needs it durable syncs the log itself, with the cheaper fdatasync.
    database.exec("pragma locking_mode=exclusive; pragma journal_mode=wal; pragma synchronous=normal");
    database.exec("begin exclusive; commit");
    // Checkpoints are run where their errors are seen; SQLite's automatic ones swallow a failed sync.
    database.exec("pragma wal_autocheckpoint=0; pragma journal_size_limit=16777216");
    verifyDatabase(database, path);
    return database;
  } catch (error) {
    closeQuietly(database);
    throw explainOpening(error, path);
  }
}

function verifyDatabase(database: DatabaseSync, path: string): void {
  const verdict = database.prepare("pragma quick_check(1)").get()?.["quick_check"];
  // It has several lines.
  if (verdict !== "ok") throw damagedCheckpoint(path, `SQLite's check says "${oneLine(String(verdict))}"`);
  if (schemaVersion(database) === 0) throw damagedCheckpoint(path, "it is not a checkpoint of Holdfast");
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, " ");
}

export function schemaVersion(database: DatabaseSync): number {
  return Number(database.prepare("pragma user_version").get()?.["user_version"]);
}

/** A full copy of what a read shows now, as one file without a log; not durable until it is synced. */
export function copyDatabase(database: DatabaseSync, path: string): void {
  database.prepare("vacuum into ?").run(path);
}

export function closeQuietly(database: DatabaseSync | undefined): void {
  try {
    database?.close();
  } catch {
    // Closing only gives back what a crash would leave to the next opening anyway.
  }
}

function explainOpening(error: unknown, path: string): HoldfastError {
  if (error instanceof HoldfastError) return error;
  const known = OPEN_CODES[sqliteCode(error) ?? -1];
  if (known !== undefined) {
    const [code, reason] = known;
    return new HoldfastError(code, `Cannot open the checkpoint ${path}: ${reason}`, { cause: error });
  }
  return damagedCheckpoint(path, messageOf(error), error);
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}
