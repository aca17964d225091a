/** Files with several names: the first one is copied, the others become names of the copy. */
import { closeSync } from "node:fs";
import { SCOPE } from "./incarnation.ts";
import { O, openat2, RESOLVE } from "./syscalls.ts";
import { linkOpen, type Original } from "./syscalls-copy.ts";

interface Copied {
  /** Where it is below the top of the copy, one name after the other. */
  readonly path: readonly Buffer[];
  /** How many names are yet to be met, as far as they are in the tree. */
  left: number;
}

/** What the kernel takes at once, with some room. */
const PATH_BYTES_MAX = 4000;
/** Some 300 MB; those beyond it become files of their own. */
const REMEMBERED_MAX = 1_000_000;
const SEPARATOR = Buffer.from("/");

export class CopiedLinks {
  readonly #topFd: number;
  readonly #copied = new Map<string, Copied>();

  constructor(topFd: number) {
    this.#topFd = topFd;
  }

  /** Whether it was copied under an earlier name. */
  has({ key }: Original): boolean {
    return this.#copied.has(key);
  }

  remember({ key, nlink }: Original, path: readonly Buffer[]): void {
    if (nlink > 1 && this.#copied.size < REMEMBERED_MAX) this.#copied.set(key, { path, left: nlink - 1 });
  }

  /** Gives the copy one more name. */
  link({ key }: Original, dirFd: number, name: Buffer): void {
    const copied = this.#copied.get(key);
    if (copied === undefined) throw new Error("What is linked was not copied");
    const fd = this.#open(copied.path);
    try {
      linkOpen(fd, dirFd, name);
    } finally {
      closeSync(fd);
    }
    copied.left -= 1;
    if (copied.left <= 0) this.#copied.delete(key);
  }

  /** Nobody else is in the copy, so that the way there is as it was made. */
  #open(path: readonly Buffer[]): number {
    const pieces = inPieces(path);
    let dirFd = this.#topFd;
    for (const [index, piece] of pieces.entries()) {
      const isLast = index === pieces.length - 1;
      const flags = isLast ? O.PATH | O.NOFOLLOW : O.PATH | O.DIRECTORY;
      try {
        const fd = openat2(dirFd, piece, { flags, resolve: SCOPE & ~(isLast ? RESOLVE.NO_SYMLINKS : 0) });
        if (isLast) return fd;
        if (dirFd !== this.#topFd) closeSync(dirFd);
        dirFd = fd;
      } finally {
        if (isLast && dirFd !== this.#topFd) closeSync(dirFd);
      }
    }
    throw new Error("A file has no path");
  }
}

/** Each short enough for one call. */
function inPieces(path: readonly Buffer[]): readonly Buffer[] {
  const pieces: Buffer[] = [];
  let parts: Buffer[] = [];
  let bytes = 0;
  for (const part of path) {
    if (bytes + part.length + 1 > PATH_BYTES_MAX) {
      pieces.push(Buffer.concat(parts.slice(0, -1)));
      parts = [];
      bytes = 0;
    }
    parts.push(part, SEPARATOR);
    bytes += part.length + 1;
  }
  pieces.push(Buffer.concat(parts.slice(0, -1)));
  return pieces;
}
