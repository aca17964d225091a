/**
 * Looks at what lies where a disk is expected, and changes nothing. What may hang is asked of the thread pool first;
 * when that has answered, the rest answers from memory.
 */
import { constants, promises } from "node:fs";
import type { DirectoryIdentity } from "../domain/records.ts";
import type { DriveSource, Look, Sight } from "../ports/drives.ts";
import { diskError, errnoOf } from "./disk-error.ts";
import { describeFileSystem } from "./file-system.ts";
import { identityOf } from "./identity.ts";
import { AT, isErrno, statx } from "./syscalls.ts";

const FAILING = "it reports an error: look at its device and the kernel's log, repair it and mount it again";
const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such directory: mount the disk there",
  ENOTDIR: "it is not a directory: mount the disk there",
  EIO: FAILING,
  EUCLEAN: FAILING,
  ENODEV: FAILING,
  ENXIO: FAILING,
};
/** The daemon's own want of something says nothing about the disk. */
const OURS = ["EMFILE", "ENFILE", "ENOMEM"];

/** @throws `unavailable` it cannot be told now */
export async function lookAtDrive({ root }: Pick<DriveSource, "root">): Promise<Look> {
  try {
    const handle = await promises.open(root, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      const isReadOnly = await refusesToWrite(handle);
      return { state: "present", ...see(handle.fd), isReadOnly };
    } finally {
      await handle.close();
    }
  } catch (error) {
    const symbol = errnoOf(error);
    if (symbol === undefined || OURS.includes(symbol)) throw diskError(`Cannot look at disk ${root}`, error);
    return { state: "absent", reason: REASONS[symbol] ?? `it cannot be opened (${symbol}): look into it` };
  }
}

/** A device that is lost is told by a sync, not by what is in memory. @throws what the device throws */
async function refusesToWrite(handle: promises.FileHandle): Promise<boolean> {
  try {
    await promises.access(`/proc/self/fd/${handle.fd}`, constants.W_OK);
    await handle.sync();
    return false;
  } catch (error) {
    if (errnoOf(error) === "EROFS") return true;
    throw error;
  }
}

function see(fd: number): Omit<Sight, "isReadOnly"> {
  const stat = statx(fd, "", AT.EMPTY_PATH);
  const { uuid } = describeFileSystem(fd);
  const directory = volumesBelow(fd);
  return {
    root: { ino: String(stat.ino), device: `${stat.devMajor}:${stat.devMinor}` },
    mountId: String(stat.mountId),
    isMountPoint: stat.mountRoot,
    ...(uuid === undefined ? {} : { fileSystemUuid: uuid }),
    ...(directory === undefined ? {} : { directory }),
  };
}

function volumesBelow(fd: number): DirectoryIdentity | undefined {
  try {
    return identityOf(statx(fd, "volumes", AT.SYMLINK_NOFOLLOW));
  } catch (error) {
    if (isErrno(error, "ENOENT")) return undefined;
    throw error;
  }
}
