/** The directories of a disk, made where they are missing, checked, and held open for as long as the disk is. */
import { closeSync, constants, fchmodSync, openSync } from "node:fs";
import { HoldfastError } from "../domain/error.ts";
import { shared, syncDescriptor } from "./durable.ts";
import { PRIVATE_MODE, SCOPE } from "./incarnation.ts";
import { AT, geteuid, isErrno, mkdirat, O, openat2, statx } from "./syscalls.ts";

/** An open directory whose entries become durable with `sync`. */
export interface Place {
  readonly fd: number;
  /** The mount that it lies on. */
  readonly mountId: bigint;
  /** Whether it was made just now. */
  readonly made: boolean;
  sync(): Promise<void>;
}

export interface DiskPlaces {
  readonly root: Place;
  readonly volumes: Place;
  readonly trash: Place;
  /** `volumes/roles` */
  readonly roles: Place;
  close(): void;
}

/**
 * @throws `invalid` the root is no directory
 * @throws `conflict` something else than a directory of ours is where one belongs
 */
export async function openDiskPlaces(root: string): Promise<DiskPlaces> {
  const opened: Place[] = [];
  const keep = (place: Place): Place => {
    opened.push(place);
    return place;
  };
  const close = (): void => {
    for (const { fd } of opened) closeSync(fd);
  };
  try {
    const rootPlace = keep(openRoot(root));
    const volumes = keep(openOwn(rootPlace.fd, "volumes", root));
    const trash = keep(openOwn(rootPlace.fd, "trash", root));
    const roles = keep(openOwn(volumes.fd, "roles", `${root}/volumes`));
    if (volumes.made || trash.made) await rootPlace.sync();
    if (roles.made) await volumes.sync();
    return { root: rootPlace, volumes, trash, roles, close };
  } catch (error) {
    close();
    throw error;
  }
}

function openRoot(root: string): Place {
  try {
    return place(openSync(root, constants.O_RDONLY | constants.O_DIRECTORY), false);
  } catch (error) {
    throw new HoldfastError("invalid", `Cannot use disk ${root}: it is not a directory that can be opened`, {
      cause: error,
    });
  }
}

function openOwn(parentFd: number, name: string, parent: string): Place {
  const made = makeIfMissing(parentFd, name);
  try {
    const fd = openat2(parentFd, name, { flags: O.RDONLY | O.DIRECTORY, resolve: SCOPE });
    claimDirectory(fd, `${parent}/${name}`);
    return place(fd, made);
  } catch (error) {
    if (!isErrno(error, "ENOTDIR", "ELOOP", "EXDEV")) throw error;
    throw new HoldfastError("conflict", `Cannot use ${parent}/${name}: expected a directory on the same mount`, {
      cause: error,
    });
  }
}

function makeIfMissing(parentFd: number, name: string): boolean {
  try {
    mkdirat(parentFd, name, PRIVATE_MODE);
    return true;
  } catch (error) {
    if (isErrno(error, "EEXIST")) return false;
    throw error;
  }
}

/** Nobody else may own it or look into it: below it lie other people's files, set-user-id ones among them. */
function claimDirectory(fd: number, path: string): void {
  const { mode, uid } = statx(fd, "", AT.EMPTY_PATH);
  if (uid !== geteuid()) {
    closeSync(fd);
    throw new HoldfastError("conflict", `Cannot use ${path}: it belongs to uid ${uid}, expected ${geteuid()}`);
  }
  if ((mode & 0o7777) !== PRIVATE_MODE) fchmodSync(fd, PRIVATE_MODE);
}

function place(fd: number, made: boolean): Place {
  return { fd, mountId: statx(fd, "", AT.EMPTY_PATH).mountId, made, sync: shared(() => syncDescriptor(fd)) };
}
