/**
 * System calls for walks over a million names, in the form that costs least: a name stays where the kernel wrote it, and
 * of an answer only the figures are taken. What they do and refuse is as in `syscalls.ts`.
 */
import { constants } from "node:os";
import koffi from "koffi";
import { SystemCallError } from "./syscalls.ts";

/** What a name stands for, and how much that takes. */
export interface Examined {
  /** `constants.S_IFDIR` and its like, of node:fs. */
  readonly type: number;
  readonly nlink: number;
  /** A number wherever that is exact. */
  readonly ino: number | bigint;
  /** One number for the device; a subvolume of btrfs has its own. */
  readonly device: number;
  /** What is allocated for it, not its length. */
  readonly usedBytes: number;
  /** Whether this is the root of a mount. */
  readonly mountRoot: boolean;
}

/** An empty name: the descriptor itself is meant. */
export const ITSELF = Buffer.alloc(1);

const FLAGS = { SYMLINK_NOFOLLOW: 0x100, NO_AUTOMOUNT: 0x800, EMPTY_PATH: 0x1000 } as const;
const LOOK = FLAGS.SYMLINK_NOFOLLOW | FLAGS.NO_AUTOMOUNT;
/** Type, links, inode number and blocks. */
const STATX_MASK = 0x505;
/** Where `struct statx` has what, in units of 32 bits; the type in units of 16. */
const STATX = { ATTRIBUTES: 2, NLINK: 4, MODE_16: 14, INO: 8, BLOCKS: 12, MAJOR: 34, MINOR: 35 } as const;
const ATTRIBUTE_MOUNT_ROOT = 0x2000;
const TYPE_BITS = 0xf000;
const BLOCK_BYTES = 512;
const WORD = 2 ** 32;
/** The highest upper half of an inode number that a number still holds exactly. */
const UPPER_MAX = 2 ** 21;
const MINORS = 2 ** 20;

const DIRENT = { POSITION: 8, LENGTH: 16, TYPE: 18, NAME: 19, DT_DIR: 4 } as const;
const NAMES_BYTES = 32 * 1024;
const DOT = 0x2e;
const SEEK_SET = 0;

const libc = koffi.load(null);
const callStatx = libc.func("statx", "int", ["int", "const char *", "int", "uint32_t", "void *"]);
const callGetdents64 = libc.func("getdents64", "long", ["int", "void *", "size_t"]);
const callLseek = libc.func("lseek", "int64_t", ["int", "int64_t", "int"]);

// One buffer a thread, as in syscalls.ts.
const words = new Uint32Array(64);
const halves = new Uint16Array(words.buffer);

/**
 * Examines a name below an open directory without following it, or with `ITSELF` what the descriptor is open on.
 * @param name ends with a NUL; what is behind that does not matter
 */
export function examine(dirFd: number, name: Buffer): Examined {
  const flags = name === ITSELF ? FLAGS.EMPTY_PATH : LOOK;
  while (callStatx(dirFd, name, flags, STATX_MASK, words) !== 0) refuseUnlessInterrupted("statx", name);
  const upper = word(STATX.INO + 1);
  const lower = word(STATX.INO);
  return {
    type: (halves[STATX.MODE_16] ?? 0) & TYPE_BITS,
    nlink: word(STATX.NLINK),
    ino: upper < UPPER_MAX ? upper * WORD + lower : (BigInt(upper) << 32n) | BigInt(lower),
    device: word(STATX.MAJOR) * MINORS + word(STATX.MINOR),
    usedBytes: (word(STATX.BLOCKS + 1) * WORD + word(STATX.BLOCKS)) * BLOCK_BYTES,
    mountRoot: (word(STATX.ATTRIBUTES) & ATTRIBUTE_MOUNT_ROOT) !== 0,
  };
}

/** Made once and taken again: V8 does not see how much memory the garbage of many would be. */
const unused: Names[] = [];
/** What a deep tree needed at once goes. */
const UNUSED_MAX = 32;

/** To be given back with `leaveNames`. */
export function takeNames(): Names {
  const names = unused.pop() ?? new Names();
  names.clear();
  return names;
}

export function leaveNames(names: Names): void {
  if (unused.length < UNUSED_MAX) unused.push(names);
}

/** Some names of an open directory at a time, one of them the current one. */
export class Names {
  readonly #buffer = Buffer.alloc(NAMES_BYTES);
  #length = 0;
  #at = 0;
  #next = 0;

  /** Forgets what was read, before another directory is. */
  clear(): void {
    this.#length = 0;
    this.#next = 0;
  }

  /** Reads on behind the last name read. `false` when there is nothing more. */
  read(fd: number): boolean {
    this.clear();
    let length = -1;
    while (length === -1) {
      length = callGetdents64(fd, this.#buffer, this.#buffer.length);
      if (length === -1) refuseUnlessInterrupted("getdents64", ITSELF);
    }
    this.#length = length;
    return length > 0;
  }

  /** Goes to the next one of those that were read, past "." and "..". */
  next(): boolean {
    while (this.#next < this.#length) {
      this.#at = this.#next;
      this.#next += this.#buffer.readUInt16LE(this.#at + DIRENT.LENGTH);
      if (!this.#isDotOrDots()) return true;
    }
    return false;
  }

  /** The current one with its NUL, for a call: a view, with whatever lies behind it. */
  get forCall(): Buffer {
    return this.#buffer.subarray(this.#at + DIRENT.NAME, this.#next);
  }

  /** The current one, to keep. */
  get name(): Buffer {
    const start = this.#at + DIRENT.NAME;
    return Buffer.from(this.#buffer.subarray(start, this.#buffer.indexOf(0, start)));
  }

  /** Whether the current one was a directory when it was read; `false` also where the file system does not say. */
  get isDirectory(): boolean {
    return this.#buffer[this.#at + DIRENT.TYPE] === DIRENT.DT_DIR;
  }

  /** Where the directory goes on behind the current one, for `goOnAt`. */
  get position(): bigint {
    return this.#buffer.readBigInt64LE(this.#at + DIRENT.POSITION);
  }

  #isDotOrDots(): boolean {
    const start = this.#at + DIRENT.NAME;
    if (this.#buffer[start] !== DOT) return false;
    const second = this.#buffer[start + 1];
    return second === 0 || (second === DOT && this.#buffer[start + 2] === 0);
  }
}

/** Has an open directory read next what is behind a position; it may have been read to there by another descriptor. */
export function goOnAt(fd: number, position: bigint): void {
  if (Number(callLseek(fd, position, SEEK_SET)) === -1) refuseUnlessInterrupted("lseek", ITSELF);
}

function word(index: number): number {
  return words[index] ?? 0;
}

function refuseUnlessInterrupted(call: string, name: Buffer): void {
  const number = koffi.errno();
  if (number === constants.errno.EINTR) return;
  const end = name.indexOf(0);
  throw new SystemCallError(call, number, name.toString("utf8", 0, end === -1 ? name.length : end));
}
