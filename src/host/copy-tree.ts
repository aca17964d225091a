/**
 * Copies a tree that others filled, and may still be changing, into an empty directory that nobody else can reach:
 * owner, mode, times, extended attributes, names of one file, holes; symlinks as symlinks, and nodes as nodes, which are
 * never opened. A directory gets what is its own when everything in it is there.
 */
import { closeSync, constants } from "node:fs";
import { HoldfastError } from "../domain/error.ts";
import { type Met, type Visitor, walkContent } from "./content-walk.ts";
import { copyAttributes, copyAttributesAt } from "./copy-attributes.ts";
import { copyBytes, openToRead, type Ways } from "./copy-file.ts";
import { CopiedLinks } from "./copy-links.ts";
import { SCOPE } from "./incarnation.ts";
import { isErrno, mkdirat, O, openat2, RESOLVE, symlinkat } from "./syscalls.ts";
import { mknodat, type Original, readOpenLink, syncFileSystem } from "./syscalls-copy.ts";

/** Two open directories, to be kept open until the end. */
export interface TreeOrder {
  readonly from: number;
  readonly to: number;
  /** What it may take where nothing else holds it to its size, bytes. */
  readonly maxBytes?: number;
}

/** How far it is. */
export interface CopyTally {
  /** As it is allocated in the original, a file with several names counted once. */
  bytes: number;
  names: number;
}

const PRIVATE_MODE = 0o700;
const NEW_FILE = O.WRONLY | O.CREAT | O.EXCL;
const DIRECTORY = O.RDONLY | O.DIRECTORY;
const ABOVE = Buffer.from("..");
const { S_IFLNK, S_IFMT, S_IFREG } = constants;

/**
 * A little between two yields, so that it can be interrupted. What is there at the end is durable.
 * @throws `insufficient` it takes more than it may; otherwise as `walkContent`, and whatever the kernel says
 */
export function* copyTree(order: TreeOrder, tally: CopyTally): Generator<undefined, void> {
  const copy = new TreeCopy(order, tally);
  try {
    yield* walkContent(order.from, copy);
  } finally {
    copy.close();
  }
  syncFileSystem(order.to);
}

class TreeCopy implements Visitor {
  readonly #order: TreeOrder;
  readonly #tally: CopyTally;
  readonly #links: CopiedLinks;
  readonly #ways: Ways = { clones: true, ranges: true };
  /** The copies of the directories from the top down; `undefined` while one is too far above. */
  readonly #open: (number | undefined)[] = [];
  readonly #path: Buffer[] = [];

  constructor(order: TreeOrder, tally: CopyTally) {
    this.#order = order;
    this.#tally = tally;
    this.#links = new CopiedLinks(order.to);
  }

  enter({ name, found }: Met): boolean {
    if (this.#open.length === 0) this.#open.push(openat2(this.#order.to, ".", { flags: DIRECTORY, resolve: SCOPE }));
    else if (!this.#make(name)) return false;
    this.#count(found, found.usedBytes);
    return true;
  }

  /** `false` when the name was met before: what had it was moved away meanwhile. */
  #make(name: Buffer): boolean {
    const parent = this.#here;
    if (unlessThere(() => mkdirat(parent, name, PRIVATE_MODE)) === "there") return false;
    this.#open.push(openat2(parent, name, { flags: DIRECTORY, resolve: SCOPE }));
    this.#path.push(name);
    return true;
  }

  leave({ fd, found }: Met): void {
    const here = this.#here;
    copyAttributes(fd, here, found);
    const above = this.#open.length - 2;
    if (above >= 0 && this.#open[above] === undefined) {
      // Nobody but us moves anything here.
      this.#open[above] = openat2(here, ABOVE, { flags: DIRECTORY, resolve: RESOLVE.NO_XDEV | RESOLVE.NO_SYMLINKS });
    }
    this.#open.pop();
    this.#path.pop();
    closeSync(here);
  }

  release(depth: number): void {
    const fd = this.#open[depth];
    this.#open[depth] = undefined;
    if (fd !== undefined) closeSync(fd);
  }

  *visit(met: Met): Generator<undefined, void> {
    const { found, name } = met;
    if (this.#links.has(found) && this.#link(met)) return;
    if ((found.mode & S_IFMT) === S_IFREG) yield* this.#copyFile(met);
    else this.#copyOther(met);
    this.#links.remember(found, [...this.#path, name]);
  }

  close(): void {
    for (const fd of this.#open.splice(0)) if (fd !== undefined) closeSync(fd);
  }

  /** `false` when the file system gives it no more names. */
  #link({ found, name }: Met): boolean {
    try {
      unlessThere(() => this.#links.link(found, this.#here, name));
      this.#tally.names += 1;
      return true;
    } catch (error) {
      if (isErrno(error, "EMLINK")) return false;
      throw error;
    }
  }

  *#copyFile({ fd: pathFd, found, name }: Met): Generator<undefined, void> {
    const from = openToRead(pathFd);
    let to: number | undefined;
    try {
      to = openNew(this.#here, name);
      if (to === undefined) return;
      let counted = 0;
      yield* copyBytes({ from, to, ways: this.#ways }, found, (bytes) => {
        counted += bytes;
        this.#addBytes(bytes);
      });
      copyAttributes(from, to, found);
      this.#count(found, found.usedBytes - counted);
    } finally {
      closeSync(from);
      if (to !== undefined) closeSync(to);
    }
  }

  #copyOther({ fd, found, name }: Met): void {
    const dirFd = this.#here;
    const made = unlessThere(() => {
      if ((found.mode & S_IFMT) === S_IFLNK) symlinkat(readOpenLink(fd), dirFd, name);
      else mknodat(dirFd, name, found);
    });
    if (made === "there") return;
    copyAttributesAt(fd, dirFd, name, found);
    this.#count(found, found.usedBytes);
  }

  #count(_found: Original, bytes: number): void {
    this.#tally.names += 1;
    this.#addBytes(bytes);
  }

  #addBytes(bytes: number): void {
    this.#tally.bytes += bytes;
    const { maxBytes } = this.#order;
    if (maxBytes === undefined || this.#tally.bytes <= maxBytes) return;
    throw new HoldfastError("insufficient", "Cannot copy all of the content: it takes more than the size of the copy");
  }

  get #here(): number {
    const fd = this.#open.at(-1);
    if (fd === undefined) throw new Error("A directory is used that was closed");
    return fd;
  }
}

function openNew(dirFd: number, name: Buffer): number | undefined {
  try {
    return openat2(dirFd, name, { flags: NEW_FILE, mode: 0o600, resolve: SCOPE });
  } catch (error) {
    if (isErrno(error, "EEXIST")) return undefined;
    throw error;
  }
}

/** A name that was met before is not made again: what had it then was moved away meanwhile. */
function unlessThere(make: () => void): "made" | "there" {
  try {
    make();
    return "made";
  } catch (error) {
    if (isErrno(error, "EEXIST")) return "there";
    throw error;
  }
}
