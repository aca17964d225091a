/**
 * What deleting a million names asks of the kernel: to list and unlink them without copying each, and to give way to
 * other threads. Rules as in `syscalls.ts`.
 */
import { constants } from "node:os";
import koffi from "koffi";
import { SystemCallError } from "./syscalls.ts";

const { EINTR } = constants.errno;

/** Room for some thirty thousand names: the more are sorted together, the closer to each other the disk is changed. */
const LARGE_BYTES = 2 ** 20;
/** For the most: many volumes may be deleted in turn, and each has a batch of its own. */
const SMALL_BYTES = 2 ** 15;
/** The longest record: with less than that left there may be more to come. */
const RECORD_BYTES_MAX = 280;

/** `getdents64`: where a record has its inode's number, its length, its type, and its name. */
const RECORD = { INODE: 0, LENGTH: 16, TYPE: 18, NAME: 19, DT_UNKNOWN: 0, DT_DIR: 4 } as const;
const DOT = 0x2e;

const libc = koffi.load(null);
const callGetdents64 = libc.func("getdents64", "long", ["int", "void *", "size_t"]);
const callUnlinkat = libc.func("unlinkat", "int", ["int", "void *", "int"]);
const callSetpriority = libc.func("setpriority", "int", ["int", "uint32_t", "int"]);

/** Made once and taken again: V8 does not see how much memory the garbage of many would be. */
const unused: NameBatch[] = [];

/** To be given back with `leaveBatch`. */
export function takeBatch(): NameBatch {
  const batch = unused.pop() ?? new NameBatch();
  batch.clear();
  return batch;
}

export function leaveBatch(batch: NameBatch): void {
  if (!batch.isLarge) unused.push(batch);
}

/**
 * Names of an open directory in the order of their inodes, one at a time: in the directory's own order a large ext4
 * directory takes a sixth longer.
 */
class NameBatch {
  #bytes = Buffer.alloc(SMALL_BYTES);
  /** Where the records begin that are still to come; the last one is next. */
  #starts: Float64Array = new Float64Array();
  #left = 0;
  #start = 0;
  /** There was not room for all of a directory's names. */
  #isFull = false;

  /** Forgets what was read, before another directory is. */
  clear(): void {
    this.#left = 0;
    this.#isFull = false;
  }

  get isLarge(): boolean {
    return this.#bytes.length > SMALL_BYTES;
  }

  /** Reads the next names of a directory. `false` when all were read. */
  fill(fd: number): boolean {
    if (this.#isFull) this.#bytes = Buffer.alloc(LARGE_BYTES);
    const length = call("getdents64", () => callGetdents64(fd, this.#bytes, this.#bytes.length));
    this.#isFull = this.#bytes.length < LARGE_BYTES && length > SMALL_BYTES - RECORD_BYTES_MAX;
    const starts: number[] = [];
    for (let at = 0; at < length; at += this.#bytes.readUInt16LE(at + RECORD.LENGTH)) {
      if (!this.#isDotOrDots(at)) starts.push(at);
    }
    this.#starts = sortDescending(starts, (at) => this.#bytes.readUInt32LE(at + RECORD.INODE));
    this.#left = starts.length;
    return length > 0;
  }

  /** Goes to the next name; `false` behind the last one, and before `fill`. */
  next(): boolean {
    if (this.#left === 0) return false;
    this.#left -= 1;
    this.#start = this.#starts[this.#left] ?? 0;
    return true;
  }

  /** `undefined` where the file system does not say. */
  get isDirectory(): boolean | undefined {
    const type = this.#bytes[this.#start + RECORD.TYPE];
    return type === RECORD.DT_UNKNOWN ? undefined : type === RECORD.DT_DIR;
  }

  /** A copy that outlives the batch. */
  get name(): Buffer {
    const begin = this.#start + RECORD.NAME;
    return Buffer.from(this.#bytes.subarray(begin, this.#bytes.indexOf(0, begin)));
  }

  /** Removes it unless it is a directory. `false` when it is still there, for whatever reason. */
  unlink(dirFd: number): boolean {
    return callUnlinkat(dirFd, this.#bytes.subarray(this.#start + RECORD.NAME), 0) === 0;
  }

  #isDotOrDots(start: number): boolean {
    const [first, second, third] = this.#bytes.subarray(start + RECORD.NAME, start + RECORD.NAME + 3);
    return first === DOT && (second === 0 || (second === DOT && third === 0));
  }
}

/** Lets other threads have the processor before the calling one; `nice` as in nice(1). */
export function lowerCpuPriority(nice: number): void {
  const PRIO_PROCESS = 0;
  // Linux keeps it for each thread; 0 is the calling one.
  call("setpriority", () => callSetpriority(PRIO_PROCESS, 0, nice));
}

/** By the low half of a key: it only has to be near, and fits with its place into one exact number. */
function sortDescending(starts: readonly number[], keyOf: (start: number) => number): Float64Array {
  const pairs = Float64Array.from(starts, (start) => keyOf(start) * LARGE_BYTES + start);
  return pairs
    .sort()
    .reverse()
    .map((pair) => pair % LARGE_BYTES);
}

function call(name: string, invoke: () => number): number {
  for (;;) {
    const result = invoke();
    if (result !== -1) return result;
    const number = koffi.errno();
    if (number !== EINTR) throw new SystemCallError(name, number, "");
  }
}
