/** Paths to publish at, as they are on the node. */
import { lstat, realpath, rmdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { codeOf, type ErrorCode, HoldfastError } from "../../domain/error.ts";
import { CsiError } from "./status.ts";

/** Where a disk has its volumes, under whatever name: `volumes/UUID/content`. */
const INCARNATION = /^(.*\/(?:volumes|trash)\/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?:\/|$)/;
const OF_A_DISK = ["volumes", "trash", "meta"];

/** What a path with a symlink may have been refused as. */
const LED_ELSEWHERE: readonly ErrorCode[] = ["invalid", "conflict"];

export interface Targets {
  /**
   * Does work in the directory that the target lies in, without symlinks: kubelet's own root may be one. They are looked
   * for once the work has refused such a path, as `invalid` or as another one than was recorded (`conflict`), because
   * most nodes have none.
   */
  readonly inDirectoryOf: <Result>(target: string, work: (directory: string) => Promise<Result>) => Promise<Result>;
}

export function createTargets(): Targets {
  let mayHaveSymlinks = false;
  return {
    async inDirectoryOf(target, work) {
      if (mayHaveSymlinks) return work(await directoryOf(target));
      const directory = dirname(target);
      await requireNotOurs(target, directory);
      try {
        return await work(directory);
      } catch (error) {
        if (!LED_ELSEWHERE.includes(codeOf(error))) throw error;
        const resolved = await directoryOf(target);
        if (resolved === directory) throw error;
        mayHaveSymlinks = true;
        return work(resolved);
      }
    },
  };
}

/**
 * The directory that the target lies in, without symlinks.
 * @throws `invalid` for what is the node's own
 */
export async function directoryOf(target: string): Promise<string> {
  const directory = await resolved(target);
  await requireNotOurs(target, directory);
  return directory;
}

async function requireNotOurs(target: string, directory: string): Promise<void> {
  if (!(await isOurs(join(directory, basename(target))))) return;
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
