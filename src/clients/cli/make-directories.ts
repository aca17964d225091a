import { chmodSync, mkdirSync, statSync } from "node:fs";
import { dirname } from "node:path";

/**
 * Makes a directory and what is missing above it, all of this mode whatever the umask is. An existing one stays as it is.
 *
 * Not Node's own `recursive`, which tries for ever where a parent is there and nothing can be made in it: below /proc.
 */
export function makeDirectories(path: string, mode: number): void {
  if (isDirectory(path)) return;
  const parent = dirname(path);
  if (parent !== path) makeDirectories(parent, mode);
  try {
    mkdirSync(path, { mode });
    // The umask may have taken bits away.
    chmodSync(path, mode);
  } catch (error) {
    // Somebody else was quicker.
    if (!isDirectory(path)) throw error;
  }
}

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}
