/** Directories of content that are read a part at a time, by descriptor. */
import { constants } from "node:fs";
import { SCOPE } from "./incarnation.ts";
import { isErrno, O, openat2 } from "./syscalls.ts";
import type { Names } from "./syscalls-census.ts";

const DIRECTORY = O.RDONLY | O.DIRECTORY;

/** Absent while it is closed, to be opened again. */
interface Reading {
  readonly fd: number | undefined;
  readonly names: Names | undefined;
}

/** Without leaving a trace of having read it, where that is ours to decide. */
export function openQuietly(parentFd: number, name: Buffer, resolve = SCOPE): number {
  try {
    return openat2(parentFd, name, { flags: DIRECTORY | constants.O_NOATIME, resolve });
  } catch (error) {
    if (!isErrno(error, "EPERM")) throw error;
    return openat2(parentFd, name, { flags: DIRECTORY, resolve });
  }
}

/** `false` at the end, also of a directory that was removed. */
export function readOn(fd: number, names: Names): boolean {
  try {
    return names.read(fd);
  } catch (error) {
    if (isErrno(error, "ENOENT")) return false;
    throw error;
  }
}

export function openPart({ fd, names }: Reading): { readonly fd: number; readonly names: Names } {
  if (fd === undefined || names === undefined) throw new Error("A directory is used that was closed");
  return { fd, names };
}
