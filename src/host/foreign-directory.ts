/**
 * Directories that are not ours, reached by their paths: once, by the kernel, through no symlink. From then on the one
 * above and the name in it count.
 */
import { closeSync } from "node:fs";
import { posix } from "node:path";
import { HoldfastError } from "../domain/error.ts";
import { diskError } from "./disk-error.ts";
import { AT, isErrno, O, openat2, RESOLVE, type Stat, statx } from "./syscalls.ts";
import { NO_DIRECTORY, NO_LINKS, whyUnreachable } from "./walk.ts";

const HOW = { flags: O.RDONLY | O.DIRECTORY, resolve: NO_LINKS };

/** A directory of others, open, with the one above it. */
export interface Foreign {
  readonly path: string;
  readonly parentFd: number;
  readonly name: string;
  readonly fd: number;
  readonly stat: Stat;
}

export async function withForeign<Result>(path: string, work: (foreign: Foreign) => Promise<Result>): Promise<Result> {
  return await withParent(path, async (parentFd, name) => {
    const foreign = openForeign(path, parentFd, name);
    try {
      return await work(foreign);
    } finally {
      closeSync(foreign.fd);
    }
  });
}

export function withForeignNow<Result>(path: string, work: (foreign: Foreign) => Result): Result {
  const { parentFd, name } = openParent(path);
  try {
    const foreign = openForeign(path, parentFd, name);
    try {
      return work(foreign);
    } finally {
      closeSync(foreign.fd);
    }
  } finally {
    closeSync(parentFd);
  }
}

export async function withParent<Result>(
  path: string,
  work: (parentFd: number, name: string) => Promise<Result>,
): Promise<Result> {
  const { parentFd, name } = openParent(path);
  try {
    return await work(parentFd, name);
  } finally {
    closeSync(parentFd);
  }
}

function openParent(path: string): { readonly parentFd: number; readonly name: string } {
  const components = path.split("/").slice(1);
  if (!path.startsWith("/") || components.some((one) => one === "." || one === "..")) {
    throw refuse(path, "invalid", "expected an absolute path without . and ..");
  }
  const name = components.at(-1) ?? "";
  if (name === "") throw refuse(path, "conflict", "it is the root of everything");
  return { parentFd: reach(path, () => openat2(AT.FDCWD, posix.dirname(path), HOW)), name };
}

function openForeign(path: string, parentFd: number, name: string): Foreign {
  const fd = reach(path, () => openat2(parentFd, name, { ...HOW, resolve: NO_LINKS | RESOLVE.BENEATH }));
  const stat = statx(fd, "", AT.EMPTY_PATH);
  if (stat.mountId !== statx(parentFd, "", AT.EMPTY_PATH).mountId) {
    closeSync(fd);
    throw refuse(path, "in_use", "something is mounted on it");
  }
  return { path, parentFd, name, fd, stat };
}

function reach(path: string, open: () => number): number {
  try {
    return open();
  } catch (error) {
    if (!isErrno(error, ...NO_DIRECTORY)) throw diskError(`Cannot look at ${path}`, error);
    throw new HoldfastError("invalid", `Cannot adopt ${path}: ${whyUnreachable(path, error)}`, { cause: error });
  }
}

/** The refusal of a directory. */
export function refuse(
  path: string,
  code: "invalid" | "conflict" | "in_use" | "unsupported",
  reason: string,
  cause?: unknown,
) {
  return new HoldfastError(code, `Cannot adopt ${path}: ${reason}`, { cause });
}
