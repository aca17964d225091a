/** Puts bytes where a checkpoint belongs. */
import { rmSync, writeFileSync } from "node:fs";
import { checkpointPaths } from "../../../src/store/files.ts";
import type { Generation } from "./history.ts";

/** What was there before is gone. `directory` is the `meta` of a work root that nobody has open. */
export function placeCheckpoint(directory: string, { file, log }: Generation): void {
  const paths = checkpointPaths(directory);
  for (const path of [paths.log, paths.successor, paths.draft]) rmSync(path, { force: true });
  writeFileSync(paths.checkpoint, file);
  if (log.length > 0) writeFileSync(paths.log, log);
}
