/**
 * Directories that become volumes without being copied. Each is reached by its path once, through no symlink, and from
 * then on by the directory above it and its name; it is moved to `volumes/<uuid>/content`, and back when the adoption is
 * not finished. What was moved is looked at where nobody else can exchange it: another one than was wanted goes back.
 */
import { randomUUID } from "node:crypto";
import { closeSync } from "node:fs";
import { posix } from "node:path";
import { HoldfastError } from "../domain/error.ts";
import { type DirectoryIdentity, sameDirectory, type Volume } from "../domain/records.ts";
import type { DiskSource } from "../domain/resource.ts";
import type { Incarnation } from "../domain/units.ts";
import type { Disk } from "../ports/disk.ts";
import { createCensus } from "./census.ts";
import { diskError } from "./disk-error.ts";
import type { DiskPlaces, Place } from "./disk-places.ts";
import { syncAt, syncDescriptor } from "./durable.ts";
import { type Foreign, refuse, withForeign, withForeignNow, withParent } from "./foreign-directory.ts";
import { identityOf } from "./identity.ts";
import { contentOf, examineContent, examineIncarnation, PRIVATE_MODE, removeHalfMade, SCOPE } from "./incarnation.ts";
import {
  AT,
  getInodeFlags,
  INODE,
  isErrno,
  mkdirat,
  O,
  openat2,
  RENAME,
  renameat2,
  type Stat,
  statx,
} from "./syscalls.ts";

export interface AdoptionOptions {
  /** The disk's root, for messages. */
  readonly root: string;
  readonly source: DiskSource;
  readonly places: DiskPlaces;
}

/** What a disk does with directories that are not its own yet. */
export type AdoptionOfDirectories = Pick<Disk, "examineForeign" | "measureForeign" | "adopt" | "unadopt"> & {
  close(): Promise<void>;
};

const IMMOVABLE = INODE.IMMUTABLE | INODE.APPEND;
/** Where Mesos keeps the volumes of a disk whose root is ours too: `volumes/roles/<role>/<id>`. */
const STEPS_TO_ROLES = 2;

export function createAdoption({ root, source, places }: AdoptionOptions): AdoptionOfDirectories {
  const { volumes } = places;
  // Somebody waits for it, and everybody else goes first all the same: its thread is the last in the queue.
  const census = createCensus({ share: 1 });

  function examine(foreign: Foreign): DirectoryIdentity | undefined {
    requireApart(foreign);
    const { stat } = foreign;
    const here = statx(volumes.fd, "", AT.EMPTY_PATH);
    if (stat.mountId !== here.mountId || !sameDevice(stat, here)) return undefined;
    requireMovable(foreign);
    return identityOf(stat);
  }

  /** Our own directories are not anybody's to adopt, except what Mesos left among the symlinks that we keep in its manner. */
  function requireApart(foreign: Foreign): void {
    const ancestors = climb(foreign.fd);
    const at = (place: Place): number =>
      ancestors.findIndex((stat) => sameFile(stat, statx(place.fd, "", AT.EMPTY_PATH)));
    if (climb(places.root.fd).some((stat) => sameFile(stat, foreign.stat))) {
      throw refuse(foreign.path, "conflict", `disk ${root} lies in it`);
    }
    if (at(places.roles) === STEPS_TO_ROLES) return;
    const own = source.type === "ROOT" ? [places.root] : [places.volumes, places.trash];
    if (own.some((place) => at(place) >= 0)) throw refuse(foreign.path, "conflict", `it is a part of disk ${root}`);
  }

  async function moveIn(volume: Volume, { path, parentFd, name, stat }: Foreign): Promise<void> {
    const content = contentOf(volume.uuid);
    if (!sameDirectory(identityOf(stat), volume.directory)) throw refuse(path, "conflict", SWAPPED);
    makeIfMissing(volumes.fd, volume.uuid);
    try {
      renameat2(parentFd, name, volumes.fd, content, RENAME.NOREPLACE);
    } catch (error) {
      removeHalfMade(volumes.fd, volume.uuid);
      throw cannotMove(path, error);
    }
    const found = examineContent(volumes, volume.uuid);
    if (found.state !== "present" || !sameDirectory(found.directory, volume.directory)) {
      try {
        renameat2(volumes.fd, content, parentFd, name, RENAME.NOREPLACE);
      } catch (error) {
        throw refuse(path, "conflict", `${SWAPPED}, which is now ${contentPath(volume)}`, error);
      }
      removeHalfMade(volumes.fd, volume.uuid);
      throw refuse(path, "conflict", SWAPPED);
    }
    // The new name first: the old one must not be gone before the new one is safe.
    await syncAt(volumes.fd, volume.uuid, { directory: true, resolve: SCOPE });
    await volumes.sync();
    await syncDescriptor(parentFd);
  }

  async function moveBack(volume: Volume, path: string): Promise<void> {
    await withParent(path, async (parentFd, name) => {
      renameat2(volumes.fd, contentOf(volume.uuid), parentFd, name, RENAME.NOREPLACE);
    });
    await makeDurable(volume, path);
  }

  /** That it is not here, and where it is; also of an earlier attempt, which did not come that far. */
  async function makeDurable({ uuid }: Volume, path: string): Promise<void> {
    try {
      await withParent(path, (parentFd) => syncDescriptor(parentFd));
    } catch (error) {
      if (!(error instanceof HoldfastError)) throw error;
      // Its old place is gone meanwhile: there is nothing to be kept.
    }
    await syncAt(volumes.fd, uuid, { directory: true, resolve: SCOPE });
    removeHalfMade(volumes.fd, uuid);
    await volumes.sync();
  }

  function contentPath({ uuid }: Volume): string {
    return `${root}/volumes/${contentOf(uuid)}`;
  }

  return {
    examineForeign(path) {
      const directory = withForeignNow(path, examine);
      return directory && { uuid: randomUUID() as Incarnation, directory };
    },

    measureForeign: (path, options) =>
      withForeign(path, async ({ parentFd, name }) => {
        const { usedBytes, inodes } = await census.measure({ fd: parentFd, path: posix.dirname(path) }, name, options);
        return { usedBytes, inodes };
      }),

    async adopt(volume) {
      const path = originOf(volume);
      await withForeign(path, async (foreign) => {
        if (examine(foreign) === undefined) throw cannotMove(path, undefined);
        await moveIn(volume, foreign).catch((error: unknown) => {
          throw diskError(`Cannot adopt ${path}`, error);
        });
      });
    },

    async unadopt(volume) {
      const path = originOf(volume);
      const found = examineIncarnation(volumes, volume.uuid);
      if (found.state === "present" && sameDirectory(found.directory, volume.directory)) {
        await moveBack(volume, path).catch((error: unknown) => {
          throw cannotGiveBack(path, error);
        });
        return;
      }
      if (found.state !== "missing") {
        const reason = found.state === "foreign" ? found.reason : "is another directory";
        throw new HoldfastError("damaged", `Cannot give ${path} back: ${contentPath(volume)} ${reason}`);
      }
      await makeDurable(volume, path);
    },

    close: () => census.close(),
  };
}

/** A directory and all above it, upwards. */
function climb(start: number): readonly Stat[] {
  const climbed: Stat[] = [];
  let fd = openat2(start, ".", { flags: O.PATH | O.DIRECTORY });
  try {
    for (;;) {
      const here = statx(fd, "", AT.EMPTY_PATH);
      const below = climbed.at(-1);
      if (below !== undefined && sameFile(below, here) && below.mountId === here.mountId) return climbed;
      climbed.push(here);
      const parentFd = openat2(fd, "..", { flags: O.PATH | O.DIRECTORY });
      closeSync(fd);
      fd = parentFd;
    }
  } finally {
    closeSync(fd);
  }
}

function requireMovable({ path, fd, parentFd }: Foreign): void {
  if (isImmovable(fd)) throw refuse(path, "unsupported", "it is immutable or append-only, see chattr");
  if (isImmovable(parentFd)) throw refuse(path, "unsupported", "the directory above it is immutable or append-only");
}

function isImmovable(fd: number): boolean {
  try {
    return (getInodeFlags(fd) & IMMOVABLE) !== 0;
  } catch {
    // The file system has no flags.
    return false;
  }
}

function makeIfMissing(parentFd: number, name: string): void {
  try {
    mkdirat(parentFd, name, PRIVATE_MODE);
  } catch (error) {
    if (!isErrno(error, "EEXIST")) throw error;
  }
}

const SWAPPED = "something else is in its place since it was looked at";

function originOf({ origin, uuid }: Volume): string {
  if (origin === undefined) throw new Error(`Volume ${uuid} is not being adopted`);
  return origin;
}

function cannotMove(path: string, cause: unknown): unknown {
  if (cause === undefined || isErrno(cause, "EXDEV")) {
    return refuse(path, "unsupported", "it would have to be copied", cause);
  }
  if (isErrno(cause, "ENOENT")) return refuse(path, "conflict", SWAPPED, cause);
  return isErrno(cause, "EPERM", "EACCES") ? refuse(path, "unsupported", "it may not be moved", cause) : cause;
}

function cannotGiveBack(path: string, cause: unknown): HoldfastError {
  const reason = isErrno(cause, "EEXIST") ? "something else has its name now" : "its old place cannot be reached";
  const isExpected = cause instanceof HoldfastError || isErrno(cause, "EEXIST", "ENOENT", "EXDEV");
  if (!isExpected) return diskError(`Cannot give ${path} back`, cause);
  return new HoldfastError("conflict", `Cannot give ${path} back: ${reason}`, { cause });
}

function sameDevice(left: Stat, right: Stat): boolean {
  return left.devMajor === right.devMajor && left.devMinor === right.devMinor;
}

function sameFile(left: Stat, right: Stat): boolean {
  return left.ino === right.ino && sameDevice(left, right);
}
