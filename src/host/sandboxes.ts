/**
 * The port `sandboxes` on Linux. A sandbox is reached through the directory above it, which is opened through no
 * symlink, and from then on by that descriptor and its own name.
 *
 * Other mount namespaces are not looked into here: who deletes a sandbox asks `holders` before. Removing a directory
 * on which another namespace mounts something takes that mount away there, and never what it shows.
 */
import { closeSync, promises } from "node:fs";
import { posix } from "node:path";
import { HoldfastError } from "../domain/error.ts";
import type { DirectoryIdentity } from "../domain/records.ts";
import type { Incarnation } from "../domain/units.ts";
import type { Sandbox, Sandboxes, SandboxFinding } from "../ports/sandboxes.ts";
import { diskError } from "./disk-error.ts";
import { syncDescriptor } from "./durable.ts";
import { identityOf } from "./identity.ts";
import { readMountTable } from "./mount-table.ts";
import { createPurger } from "./purge.ts";
import { locationOf, requireApart, requireDeep } from "./sandbox-apart.ts";
import { detachVolumes, isMountPoint, requireVolumesOnly } from "./sandbox-mounts.ts";
import { AT, getInodeFlags, INODE, isErrno, O, openat2, RESOLVE, statx } from "./syscalls.ts";
import { isRecordedDirectory, NO_DIRECTORY, NO_LINKS, whyUnreachable, withDescriptors } from "./walk.ts";

export interface SandboxesOptions {
  /** Absolute paths of directories that the daemon stands on: they, and what lies above them, are no sandboxes. */
  readonly foundations: readonly string[];
}

const DIRECTORY = O.RDONLY | O.DIRECTORY;
const IMMOVABLE = INODE.IMMUTABLE | INODE.APPEND;

export function createSandboxes({ foundations }: SandboxesOptions): Sandboxes {
  const purger = createPurger();
  /** The purger tells what it deletes by the last name of its path alone. */
  let last: Promise<unknown> = Promise.resolve();

  /** Throws as `examine`; what is mounted on it is left to others. */
  function examineApart(path: string, disks: readonly string[]): DirectoryIdentity {
    requireDeep(path);
    return withDescriptors((keep) => {
      const parent = keep(reach(path, () => openParent(path)));
      const fd = keep(reach(path, () => openat2(parent, posix.basename(path), { flags: DIRECTORY, resolve: CHILD })));
      const table = readMountTable("self");
      const location = locationOf(fd, path, table);
      if (location === undefined) throw refuse(path, "unsupported", "its mount is not in the mount table");
      requireApart({ path, location }, { disks, foundations, table });
      if (isImmovable(parent)) throw refuse(path, "unsupported", "the directory above it is immutable or append-only");
      return identityOf(statx(fd, "", AT.EMPTY_PATH));
    });
  }

  async function purge(sandbox: Sandbox, signal: AbortSignal | undefined): Promise<{ readonly entries: number }> {
    const { path } = sandbox;
    const parent = openIfPresent(path);
    if (parent === undefined) return { entries: 0 };
    try {
      const found = findBelow(parent, sandbox);
      if (found.state === "gone") return { entries: 0 };
      if (found.state !== "present") throw new HoldfastError("damaged", `Cannot delete ${path}: it ${found.reason}`);
      const name = posix.basename(path) as Incarnation;
      const only = sandbox.directory;
      const outcome = await purger.purge({ fd: parent, path: posix.dirname(path), only }, name, signal);
      await syncDescriptor(parent);
      return outcome;
    } catch (error) {
      throw diskError(`Cannot delete ${path}`, error);
    } finally {
      closeSync(parent);
    }
  }

  return {
    examine(path, disks) {
      const directory = examineApart(path, disks);
      const found = find({ path, directory });
      if (found.state === "present") return directory;
      throw refuse(path, "in_use", "something is mounted on it");
    },

    find,

    async usage(path) {
      const device = deviceOf(path);
      try {
        const { blocks, bavail, bsize } = await promises.statfs(path);
        return { device, totalBytes: blocks * bsize, freeBytes: bavail * bsize };
      } catch (error) {
        throw new HoldfastError("unavailable", `Cannot measure the file system of ${path}`, { cause: error });
      }
    },

    detach(sandbox, disks, { dryRun } = { dryRun: false }) {
      const { path } = sandbox;
      if (dryRun) return requireVolumesOnly(path, disks);
      // What it covers cannot be looked at before.
      if (isMountPoint(path)) detachVolumes(path, disks);
      if (find(sandbox).state !== "present") return;
      examineApart(path, disks);
      detachVolumes(path, disks);
    },

    purge(sandbox, { signal } = {}) {
      const mine = last.then(() => purge(sandbox, signal));
      last = mine.catch(() => undefined);
      return mine;
    },

    close: () => purger.close(),
  };
}

/** Something may be mounted on it. */
const CHILD = NO_LINKS | RESOLVE.BENEATH;

function openParent(path: string): number {
  return openat2(AT.FDCWD, posix.dirname(path), { flags: DIRECTORY, resolve: NO_LINKS });
}

function openIfPresent(path: string): number | undefined {
  try {
    return openParent(path);
  } catch (error) {
    if (isErrno(error, "ENOENT")) return undefined;
    throw diskError(`Cannot reach ${path}`, error);
  }
}

function find(sandbox: Sandbox): SandboxFinding {
  try {
    return withDescriptors((keep) => findBelow(keep(openParent(sandbox.path)), sandbox));
  } catch (error) {
    if (!isErrno(error, ...NO_DIRECTORY)) throw diskError(`Cannot look at ${sandbox.path}`, error);
    return { state: "unreachable", reason: `${posix.dirname(sandbox.path)}: ${whyUnreachable(sandbox.path, error)}` };
  }
}

function findBelow(
  parent: number,
  { path, directory }: Sandbox,
): Exclude<SandboxFinding, { readonly state: "unreachable" }> {
  try {
    return withDescriptors((keep) => {
      const fd = keep(openat2(parent, posix.basename(path), { flags: O.PATH | O.DIRECTORY, resolve: CHILD }));
      const stat = statx(fd, "", AT.EMPTY_PATH);
      if (stat.mountId !== statx(parent, "", AT.EMPTY_PATH).mountId) return foreign("is a mount point");
      return isRecordedDirectory(directory, stat) ? { state: "present" } : foreign("is another directory");
    });
  } catch (error) {
    if (isErrno(error, "ENOENT")) return { state: "gone" };
    if (isErrno(error, "ELOOP")) return foreign("is a symlink");
    if (isErrno(error, "ENOTDIR")) return foreign("is no directory");
    throw error;
  }
}

function foreign(reason: string): { readonly state: "foreign"; readonly reason: string } {
  return { state: "foreign", reason };
}

function deviceOf(path: string): string {
  try {
    return withDescriptors((keep) => {
      const fd = keep(openat2(AT.FDCWD, path, { flags: O.PATH | O.DIRECTORY }));
      const { devMajor, devMinor } = statx(fd, "", AT.EMPTY_PATH);
      return `${devMajor}:${devMinor}`;
    });
  } catch (error) {
    throw new HoldfastError("unavailable", `Cannot measure the file system of ${path}`, { cause: error });
  }
}

function isImmovable(fd: number): boolean {
  try {
    return (getInodeFlags(fd) & IMMOVABLE) !== 0;
  } catch {
    // The file system has no flags.
    return false;
  }
}

function reach(path: string, open: () => number): number {
  try {
    return open();
  } catch (error) {
    if (!isErrno(error, ...NO_DIRECTORY)) throw diskError(`Cannot look at ${path}`, error);
    throw refuse(path, "invalid", whyUnreachable(path, error), error);
  }
}

function refuse(
  path: string,
  code: "invalid" | "in_use" | "unsupported",
  reason: string,
  cause?: unknown,
): HoldfastError {
  return new HoldfastError(code, `Cannot hand ${path} over: ${reason}`, { cause });
}
