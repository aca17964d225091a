/** Writes a checkpoint anew from what the labels on disk say, for a node whose checkpoint is lost. */
import { existsSync, linkSync } from "node:fs";
import { join } from "node:path";
import { codeOf, HoldfastError } from "../domain/error.ts";
import { TABLES } from "../domain/records.ts";
import type { WallMs } from "../domain/units.ts";
import type { NodeHeader, StoreContents } from "../ports/store.ts";
import { createDatabase, openDatabase, schemaVersion } from "./database.ts";
import { type CheckpointPaths, checkpointPaths } from "./files.ts";
import { createRowWriter, readHeader, writeHeader } from "./rows.ts";
import { parseHeader } from "./schema.ts";
import { explainFailure } from "./sqlite-error.ts";
import { installSuccessor, prepareSuccessor } from "./successor.ts";
import { latestVersion } from "./upgrade.ts";

export interface RebuildOptions {
  /** `<work root>/meta`. */
  readonly directory: string;
  readonly header: NodeHeader;
  readonly records: StoreContents["records"];
  /** Replaces a checkpoint that could still be read. */
  readonly replace?: boolean;
  /** Names the old file that is kept. */
  readonly at: WallMs;
}

/**
 * Puts a durable new checkpoint in place; what was there stays beside it, as `checkpoint.before-rebuild.<time>` (and
 * its log as that with `-wal`). Returns that path, `undefined` if nothing was there.
 * @throws `conflict` when a running daemon has the old one open, or it is readable and `replace` is not set
 */
export function rebuildCheckpoint(options: RebuildOptions): string | undefined {
  const paths = checkpointPaths(options.directory);
  installSuccessor(paths);
  if (isReadable(paths) && options.replace !== true) {
    const message = `Cannot rebuild the checkpoint ${paths.checkpoint}: it is there and readable, ask to replace it`;
    throw new HoldfastError("conflict", message);
  }
  try {
    const kept = keepOld(paths, options.at);
    prepareSuccessor(paths, (path) => writeCheckpoint(path, options));
    installSuccessor(paths);
    return kept;
  } catch (error) {
    throw explainFailure(error, `rebuild the checkpoint ${paths.checkpoint}`);
  }
}

function isReadable(paths: CheckpointPaths): boolean {
  try {
    const database = openDatabase(paths.checkpoint);
    try {
      return schemaVersion(database) <= latestVersion() && parseHeader(readHeader(database)).ok;
    } finally {
      database.close();
    }
  } catch (error) {
    const code = codeOf(error);
    if (code === "damaged" || code === "internal") return false;
    throw error;
  }
}

/** Second names, so that the old checkpoint is complete at every moment: the first names go to the new one. */
function keepOld(paths: CheckpointPaths, at: WallMs): string | undefined {
  const kept = join(paths.directory, `checkpoint.before-rebuild.${fileTime(at)}`);
  const names = [
    [paths.checkpoint, kept],
    [paths.log, `${kept}-wal`],
  ] as const;
  const found = names.filter(([from]) => existsSync(from));
  for (const [from, to] of found) linkSync(from, to);
  return found.length > 0 ? kept : undefined;
}

function writeCheckpoint(path: string, { header, records }: RebuildOptions): void {
  createDatabase(path, latestVersion(), (database) => {
    const writer = createRowWriter(database);
    writeHeader(writer, header);
    for (const table of TABLES) {
      for (const [key, record] of records[table]) writer.change({ table, key, value: JSON.stringify(record) });
    }
    writer.seal();
  });
}

/** `20261122T131051.123Z`, without characters that a shell minds. */
function fileTime(at: WallMs): string {
  return new Date(at).toISOString().replaceAll(/[-:]/g, "");
}
