/**
 * Owner, mode, extended attributes with access lists, and times, in the order in which none undoes another: a change of
 * owner takes set-id bits and capabilities away, a list changes the mode, and everything changes times.
 */
import { chmodSync, constants, fchmodSync, fchownSync } from "node:fs";
import { HoldfastError } from "../domain/error.ts";
import { AT, fchownat, isErrno } from "./syscalls.ts";
import { getAttribute, listAttributes, type Original, setAttribute, setTimes, setTimesAt } from "./syscalls-copy.ts";

const PERMISSIONS = 0o7777;
const { S_IFLNK, S_IFMT } = constants;
/** The kernel's own business where a security module labels files: it may refuse to have it set. */
const SELINUX = "security.selinux";

/** Gives an open copy what the original has. */
export function copyAttributes(fromFd: number, toFd: number, { mode, uid, gid, times }: Original): void {
  fchownSync(toFd, uid, gid);
  fchmodSync(toFd, mode & PERMISSIONS);
  copyExtended(fromFd, toFd);
  setTimes(toFd, times);
}

/** The same of what nobody opens, by the name of the copy, where nobody else is. */
export function copyAttributesAt(fromFd: number, dirFd: number, name: Buffer, original: Original): void {
  const { mode, uid, gid, times } = original;
  const path = Buffer.concat([Buffer.from(`/proc/self/fd/${dirFd}/`), name]);
  fchownat(dirFd, name, uid, gid, AT.SYMLINK_NOFOLLOW);
  if ((mode & S_IFMT) !== S_IFLNK) chmodSync(path, mode & PERMISSIONS);
  copyExtended(`/proc/self/fd/${fromFd}`, path);
  setTimesAt(dirFd, name, times);
}

function copyExtended(from: number | string, to: number | Buffer): void {
  for (const name of listAttributes(from)) {
    try {
      setAttribute(to, name, getAttribute(from, name));
    } catch (error) {
      if (isErrno(error, "ENODATA") || name.toString() === SELINUX) continue;
      if (!isErrno(error, "ENOTSUP", "EOPNOTSUPP", "EPERM")) throw error;
      const message = `Cannot copy the attribute ${name.toString()}: ${error.errno}`;
      throw new HoldfastError("unsupported", message, { cause: error });
    }
  }
}
