/**
 * The bytes of one file: shared with the original where the file system can, else copied by the kernel, else by us.
 * What is a hole stays one. A file that changes meanwhile is copied as it is found, as far as it went at first.
 */
import { constants, ftruncateSync, readSync, writeSync } from "node:fs";
import { AT, isErrno, O, openat2 } from "./syscalls.ts";
import { cloneFile, copyFileRange, type Original, seekData, seekHole } from "./syscalls-copy.ts";

/** Between two looks at whether it shall go on. */
const STEP_BYTES = 8 * 2 ** 20;
const BUFFER_BYTES = 2 ** 20;
/** No file here can share blocks with one there. */
const NEVER = ["EOPNOTSUPP", "ENOTSUP", "ENOTTY", "ENOSYS", "EXDEV"];
/** This one cannot. */
const NOT_THIS_ONE = ["EINVAL", "ETXTBSY", "EPERM"];

/** What was found out about two trees. */
export interface Ways {
  /** Whether files may share their blocks. */
  clones: boolean;
  /** Whether the kernel copies from one to the other. */
  ranges: boolean;
}

interface Files {
  readonly from: number;
  readonly to: number;
  readonly ways: Ways;
}

/** Opens a regular file for reading that is known by an `O_PATH` descriptor: what has its name now may be another one. */
export function openToRead(pathFd: number): number {
  const flags = O.RDONLY | O.NONBLOCK | constants.O_NOCTTY;
  try {
    return openat2(AT.FDCWD, `/proc/self/fd/${pathFd}`, { flags: flags | constants.O_NOATIME });
  } catch (error) {
    if (!isErrno(error, "EPERM")) throw error;
    return openat2(AT.FDCWD, `/proc/self/fd/${pathFd}`, { flags });
  }
}

/** Fills an empty file; tells `onBytes` how far it is. */
export function* copyBytes(
  files: Files,
  { size, usedBytes }: Original,
  onBytes: (bytes: number) => void,
): Generator<undefined, void> {
  if (size === 0 || clone(files)) return;
  // Where more is allocated than its length there are no holes, or they do not matter.
  const isDense = usedBytes >= size;
  let at = 0;
  while (at < size) {
    const begin = isDense ? at : seekData(files.from, at);
    if (begin === undefined || begin >= size) break;
    const end = isDense ? size : Math.min(seekHole(files.from, begin), size);
    at = yield* copyRange(files, { begin, end }, onBytes);
    // It is shorter by now.
    if (at < end) return;
  }
  if (at < size) ftruncateSync(files.to, size);
}

function clone({ from, to, ways }: Files): boolean {
  if (!ways.clones) return false;
  try {
    cloneFile(from, to);
    return true;
  } catch (error) {
    if (isErrno(error, ...NEVER)) ways.clones = false;
    else if (!isErrno(error, ...NOT_THIS_ONE)) throw error;
    return false;
  }
}

/** Returns how far it came: to the end, unless the file ends before. */
function* copyRange(
  files: Files,
  { begin, end }: { readonly begin: number; readonly end: number },
  onBytes: (bytes: number) => void,
): Generator<undefined, number> {
  let at = begin;
  while (at < end) {
    const bytes = copySome(files, { at, length: Math.min(end - at, STEP_BYTES) });
    if (bytes === 0) return at;
    at += bytes;
    onBytes(bytes);
    if (at < end) yield;
  }
  return at;
}

function copySome(files: Files, range: { readonly at: number; readonly length: number }): number {
  if (files.ways.ranges) {
    try {
      return copyFileRange(files.from, files.to, range);
    } catch (error) {
      if (!isErrno(error, ...NEVER, "EINVAL")) throw error;
      files.ways.ranges = false;
    }
  }
  return readAndWrite(files, range);
}

let buffer: Buffer | undefined;

function readAndWrite({ from, to }: Files, { at, length }: { readonly at: number; readonly length: number }): number {
  buffer ??= Buffer.alloc(BUFFER_BYTES);
  const read = readSync(from, buffer, 0, Math.min(length, BUFFER_BYTES), at);
  for (let written = 0; written < read; ) {
    written += writeSync(to, buffer, written, read - written, at + written);
  }
  return read;
}
