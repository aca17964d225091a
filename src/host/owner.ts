/** Giving a new volume to the user of its container. */
import { opendirSync } from "node:fs";
import type { MountRequest } from "../ports/mounter.ts";
import { AT, fchownat, isErrno, statx } from "./syscalls.ts";

/**
 * Gives the top of a volume to the requested owner, if it is empty; who may be anybody. Without an owner does nothing.
 * @returns false when it would have to change hands and the kernel does not let us
 */
export function giveToOwner(contentFd: number, sandboxFd: number, owner: MountRequest["owner"]): boolean {
  if (owner === undefined) return true;
  const wanted = owner === "sandbox" ? statx(sandboxFd, "", AT.EMPTY_PATH) : owner;
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

function isEmpty(fd: number): boolean {
  // A volume may hold millions of names: one is enough to know.
  const directory = opendirSync(`/proc/self/fd/${fd}`, { bufferSize: 1 });
  try {
    return directory.readSync() === null;
  } finally {
    directory.closeSync();
  }
}
