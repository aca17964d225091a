/** Giving a new volume to the user of its container. */
import { opendirSync } from "node:fs";
import type { MountRequest } from "../ports/mounter.ts";
import { readProcessFile } from "./container-namespace.ts";
import type { Place } from "./place.ts";
import { AT, fchownat, isErrno, statx } from "./syscalls.ts";

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** Whom a volume at this place shall belong to, in the ids that files have on disk. */
export function ownerAt(place: Place, wanted: MountRequest["owner"], action: string): Owner | undefined {
  if (wanted !== "sandbox") return wanted;
  const { uid, gid } = statx(place.directory, "", AT.EMPTY_PATH);
  const { namespace } = place;
  if (namespace?.owner === undefined) return { uid, gid };
  // The mount maps ids: on disk they are the container's own.
  return {
    uid: insideId(readProcessFile(namespace, "uid_map", action), uid),
    gid: insideId(readProcessFile(namespace, "gid_map", action), gid),
  };
}

/**
 * Gives the top of a volume to an owner, if it is empty; who may be anybody. Without an owner does nothing.
 * @returns false when it would have to change hands and the kernel does not let us
 */
export function giveToOwner(contentFd: number, wanted: Owner | undefined): boolean {
  if (wanted === undefined) return true;
  const present = statx(contentFd, "", AT.EMPTY_PATH);
  if (present.uid === wanted.uid && present.gid === wanted.gid) return true;
  if (!isEmpty(contentFd)) return true;
  try {
    fchownat(contentFd, "", wanted.uid, wanted.gid, AT.EMPTY_PATH);
    return true;
  } catch (error) {
    if (isErrno(error, "EPERM", "EINVAL")) return false;
    throw error;
  }
}

/**
 * What an id of ours is called in a user namespace, by its map of `INSIDE OUTSIDE COUNT` lines. Its root stands for
 * those that it does not know: they are nobody there.
 */
export function insideId(map: string, id: number): number {
  for (const line of map.split("\n")) {
    const [inside = 0, outside = 0, count = 0] = line.trim().split(/\s+/).map(Number);
    if (id >= outside && id < outside + count) return inside + id - outside;
  }
  return 0;
}

function isEmpty(fd: number): boolean {
  // A volume may hold millions of names: one is enough to know.
  const directory = opendirSync(`/proc/self/fd/${fd}`, { bufferSize: 1 });
  try {
    return directory.readSync() === null;
  } finally {
    directory.closeSync();
  }
}
