/** Brings an older checkpoint to the schema of this version; a full copy of the old one stays beside it. */
import { renameSync } from "node:fs";
import { join } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { HoldfastError } from "../domain/error.ts";
import { damagedCheckpoint } from "./damaged.ts";
import { addTable, copyDatabase, schemaVersion } from "./database.ts";
import { type CheckpointPaths, makePrivateFile, syncDirectory, syncFile } from "./files.ts";
import { SqliteCode, sqliteCode } from "./sqlite-error.ts";

/** Changes tables and rows from one version to the next; runs inside a transaction. */
export type Upgrade = (database: DatabaseSync) => void;

/** The first leads from version 1 to version 2, and so on: a new schema is a new line here. */
export const UPGRADES: readonly Upgrade[] = [
  (database) => {
    for (const table of ["disks", "sandboxes"]) addTable(database, table);
  },
  (database) => addTable(database, "apps"),
  // Volumes may be copies and snapshots from here on; no row changes, but an older program would refuse such a record.
  () => {},
];

/** The schema version that these upgrades lead to. */
export function latestVersion(upgrades: readonly Upgrade[] = UPGRADES): number {
  return upgrades.length + 1;
}

/**
 * All upgrades happen in one transaction, after `checkpoint.v<N>` is durable; putting that back undoes them.
 * @throws `damaged` for a checkpoint of a newer version, or of one that is not its own
 */
export function upgradeDatabase(
  database: DatabaseSync,
  paths: CheckpointPaths,
  upgrades: readonly Upgrade[] = UPGRADES,
): void {
  const version = schemaVersion(database);
  const latest = latestVersion(upgrades);
  if (version > latest) {
    const versions = `it has schema version ${version} and this program knows ${latest}`;
    const message = `Cannot open the checkpoint ${paths.checkpoint}: ${versions}, start the newer program or run holdfast rebuild`;
    throw new HoldfastError("damaged", message);
  }
  if (version === latest) return;
  if (version < 1) throw notItsVersion(paths, version);
  keepCopy(database, paths, version);
  database.exec("begin");
  try {
    for (const upgrade of upgrades.slice(version - 1)) upgrade(database);
    database.exec(`pragma user_version=${latest}; commit`);
  } catch (cause) {
    if (database.isTransaction) database.exec("rollback");
    if (sqliteCode(cause) === SqliteCode.error) throw notItsVersion(paths, version, cause);
    const message = `Cannot upgrade the checkpoint ${paths.checkpoint} from version ${version} to ${latest}: nothing changed`;
    throw new HoldfastError("unavailable", message, { cause });
  }
}

/** As it is after a flipped bit of the version: a table that shall be made is there. */
function notItsVersion({ checkpoint }: CheckpointPaths, version: number, cause?: unknown): HoldfastError {
  return damagedCheckpoint(checkpoint, `its tables are not those of its schema version ${version}`, cause);
}

function keepCopy(database: DatabaseSync, paths: CheckpointPaths, version: number): void {
  makePrivateFile(paths.draft);
  copyDatabase(database, paths.draft);
  syncFile(paths.draft);
  renameSync(paths.draft, join(paths.directory, `checkpoint.v${version}`));
  syncDirectory(paths.directory);
}
