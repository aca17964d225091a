/** Small files below an open directory, written whole. */
import { closeSync, constants, fstatSync, readFileSync, writeSync } from "node:fs";
import { syncAt, syncDescriptor } from "./durable.ts";
import { SCOPE } from "./incarnation.ts";
import { isErrno, O, openat2, renameat2, unlinkat } from "./syscalls.ts";

const FILE_MODE = 0o600;

/** Makes a file that must not exist yet. Not durable; a crash may leave a part of it. */
export function createFile(dirFd: number, path: string, bytes: Buffer): void {
  writeFile(dirFd, path, O.EXCL, bytes);
}

/** Replaces a file, or makes it, at once. Not durable. */
export function replaceFile(dirFd: number, path: string, bytes: Buffer): void {
  const draft = draftOf(path);
  writeFile(dirFd, draft, constants.O_TRUNC, bytes);
  renameat2(dirFd, draft, dirFd, path, 0);
}

/** Replaces a file of an open directory, or makes it, such that after a power cut it is the old one or this one. */
export async function replaceFileDurably(dirFd: number, name: string, bytes: Buffer): Promise<void> {
  const draft = draftOf(name);
  writeFile(dirFd, draft, constants.O_TRUNC, bytes);
  await syncAt(dirFd, draft, { directory: false, resolve: SCOPE });
  renameat2(dirFd, draft, dirFd, name, 0);
  await syncDescriptor(dirFd);
}

/** A file that is no longer than that; `undefined` for anything else, or nothing. */
export function readSmallFile(dirFd: number, path: string, bytesMax: number): Buffer | undefined {
  let fd: number;
  try {
    fd = openat2(dirFd, path, { flags: constants.O_RDONLY | constants.O_NONBLOCK, resolve: SCOPE });
  } catch {
    return undefined;
  }
  try {
    const stat = fstatSync(fd);
    return stat.isFile() && stat.size <= bytesMax ? readFileSync(fd) : undefined;
  } finally {
    closeSync(fd);
  }
}

export function removeIfPresent(dirFd: number, path: string): void {
  try {
    unlinkat(dirFd, path, 0);
  } catch (error) {
    if (!isErrno(error, "ENOENT")) throw error;
  }
}

function writeFile(dirFd: number, path: string, flag: number, bytes: Buffer): void {
  const fd = openat2(dirFd, path, { flags: O.CREAT | O.WRONLY | flag, mode: FILE_MODE, resolve: SCOPE });
  try {
    for (let written = 0; written < bytes.length; ) written += writeSync(fd, bytes, written);
  } catch (error) {
    removeIfPresent(dirFd, path);
    throw error;
  } finally {
    closeSync(fd);
  }
}

function draftOf(path: string): string {
  return `${path}.new`;
}
