/** The work root: where the checkpoint and the node's own disk live. Made, or checked, before anything is opened. */
import { closeSync, constants, fsyncSync, mkdirSync, openSync, statfsSync } from "node:fs";
import { dirname, isAbsolute, resolve } from "node:path";
import { type ErrorCode, HoldfastError } from "../domain/error.ts";
import { errnoOf } from "./disk-error.ts";
import { describeFileSystem, type FileSystem, whyVolatile } from "./file-system.ts";
import { PRIVATE_MODE } from "./incarnation.ts";
import { AT, geteuid, statx } from "./syscalls.ts";

const WRITABLE_BY_OTHERS = 0o022;

export interface WorkRootOptions {
  /** For development and tests: takes a file system that does not outlive a reboot, or is not this node's own. */
  readonly allowVolatile?: boolean;
}

export interface WorkRoot {
  /** Without a trailing slash or dots. */
  readonly path: string;
  readonly fileSystem: FileSystem;
}

/**
 * Makes the work root with its `meta` (0700), or checks that one is ours and nobody else can write there.
 * @throws `invalid` the path is not absolute, or something else than a directory
 * @throws `conflict` somebody else owns it or may write there
 * @throws `unsupported` its file system cannot keep what is promised
 */
export function prepareWorkRoot(path: string, options: WorkRootOptions = {}): WorkRoot {
  if (!isAbsolute(path)) throw refusal("invalid", path, "expected an absolute path");
  const root = resolve(path);
  makeDirectory(root);
  const fd = openDirectory(root);
  try {
    requireOwn(fd, root);
    const fileSystem = describeFileSystem(fd);
    const reason = options.allowVolatile === true ? undefined : whyVolatile(fileSystem.type);
    if (reason !== undefined) throw refusal("unsupported", root, `it is on ${fileSystem.type}, and ${reason}`);
    makeDirectory(`${root}/meta`);
    return { path: root, fileSystem };
  } finally {
    closeSync(fd);
  }
}

/**
 * The disk that a node has when nobody declared it, whole MB: Mesos's rule, everything but 5 GB of a file system of
 * 10 GB and more, half of a smaller one.
 */
export function detectDiskMb(directory: string): number {
  const GB = 1024 ** 3;
  const { blocks, bsize } = statfsSync(directory);
  const totalBytes = blocks * bsize;
  return Math.floor((totalBytes >= 10 * GB ? totalBytes - 5 * GB : totalBytes / 2) / 1024 ** 2);
}

/** Makes a directory and what lies above it, durable. An existing one is fine. */
function makeDirectory(path: string): void {
  try {
    const first = mkdirSync(path, { recursive: true, mode: PRIVATE_MODE });
    if (first === undefined) return;
    for (let made = path; made.length >= first.length; made = dirname(made)) syncDirectory(dirname(made));
  } catch (error) {
    throw refusal("invalid", path, reasonOf(error), error);
  }
}

function syncDirectory(path: string): void {
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function openDirectory(root: string): number {
  try {
    return openSync(root, constants.O_RDONLY | constants.O_DIRECTORY);
  } catch (error) {
    throw refusal("invalid", root, reasonOf(error), error);
  }
}

function requireOwn(fd: number, root: string): void {
  const { uid, mode } = statx(fd, "", AT.EMPTY_PATH);
  if (uid !== geteuid()) throw refusal("conflict", root, `it belongs to uid ${uid}, expected ${geteuid()}`);
  if ((mode & WRITABLE_BY_OTHERS) !== 0) throw refusal("conflict", root, "others may write there, expected mode 0700");
}

function reasonOf(error: unknown): string {
  const symbol = errnoOf(error);
  return symbol === "EEXIST" || symbol === "ENOTDIR" ? "it is not a directory" : `it cannot be opened (${symbol})`;
}

function refusal(code: ErrorCode, root: string, reason: string, cause?: unknown): HoldfastError {
  return new HoldfastError(code, `Cannot use work root ${root}: ${reason}`, { cause });
}
