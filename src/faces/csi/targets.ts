/** Paths to publish at, as they are on the node. */
import { lstat, realpath, rmdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { HoldfastError } from "../../domain/error.ts";
import { CsiError } from "./status.ts";

/** Where a disk has its volumes, under whatever name: `volumes/UUID/content`. */
const INCARNATION = /^(.*\/(?:volumes|trash)\/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?:\/|$)/;
const OF_A_DISK = ["volumes", "trash", "meta"];

/**
 * The directory that the target lies in, without symlinks: kubelet's own root may be one.
 * @throws `invalid` for what is the node's own
 */
export async function directoryOf(target: string): Promise<string> {
  const directory = await resolved(target);
  if (!(await isOurs(join(directory, basename(target))))) return directory;
  throw new HoldfastError("invalid", `Cannot publish at ${target}: volumes themselves are kept there`);
}

/** An empty directory at a target is of no use to anybody, whoever made it; anything else there is not to be removed. */
export async function removeLeftover(target: string): Promise<void> {
  try {
    const path = join(await realpath(dirname(target)), basename(target));
    if (!(await isOurs(path))) await rmdir(path);
  } catch {
    // It is gone, or is something else.
  }
}

async function resolved(target: string): Promise<string> {
  const directory = dirname(target);
  try {
    return await realpath(directory);
  } catch (cause) {
    throw new CsiError("FAILED_PRECONDITION", `Cannot publish at ${target}: ${directory} is not there`, { cause });
  }
}

/** Whether a disk keeps its volumes in it, or it is one of them. */
async function isOurs(path: string): Promise<boolean> {
  const incarnation = INCARNATION.exec(path)?.[1];
  if (incarnation !== undefined) return isThere(join(incarnation, "content"));
  if (!OF_A_DISK.includes(basename(path))) return false;
  const disk = dirname(path);
  return (await isThere(join(disk, "volumes"))) && (await isThere(join(disk, "trash")));
}

async function isThere(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  );
}
