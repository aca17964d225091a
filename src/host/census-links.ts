/**
 * Which files with several names were counted already. What is remembered has a limit, because content may consist of
 * such files; those beyond it are counted a part at each name, which adds up to one if all their names are found.
 */
import type { Examined } from "./syscalls-census.ts";

/** Some 40 MB. */
const REMEMBERED_MAX = 1_000_000;

export class LinkedInodes {
  readonly #max: number;
  /** Inode numbers by device. */
  readonly #seen = new Map<number, Set<number | bigint>>();
  #size = 0;

  constructor(max = REMEMBERED_MAX) {
    this.#max = max;
  }

  /** Which part of a file to count at this name of it: 1 at the first, 0 at the others. */
  partOf({ device, ino, nlink }: Pick<Examined, "device" | "ino" | "nlink">): number {
    const seen = this.#seenOn(device);
    if (seen.has(ino)) return 0;
    if (this.#size >= this.#max) return 1 / nlink;
    seen.add(ino);
    this.#size += 1;
    return 1;
  }

  #seenOn(device: number): Set<number | bigint> {
    const seen = this.#seen.get(device) ?? new Set();
    this.#seen.set(device, seen);
    return seen;
  }
}
