/** Where a path leads, also when nothing is there yet. */
import { realpathSync } from "node:fs";
import { basename, dirname, join } from "node:path";

/** An absolute path without symlinks, as far as it exists. What cannot be resolved stays as it is. */
export function realPathOf(path: string): string {
  try {
    return realpathSync.native(path);
  } catch {
    return dirname(path) === path ? path : join(realPathOf(dirname(path)), basename(path));
  }
}
