/**
 * Looks at a tree that others filled, and may still be changing: counts what it takes, and, where a project is given,
 * makes it the project's. Every step acts on a descriptor and one name below it, resolved by the kernel without
 * following a symlink or entering another mount, so that nobody can lead it out. What moves meanwhile may be counted
 * twice or not at all; files that were deleted but are still open are in no directory, and not counted.
 *
 * A directory becomes the project's before it is read: from then on the kernel lets nothing into it that is not.
 * Directories on the way down stay open, the deepest few. What was closed is opened again through `..` of the directory
 * below, must be the one that it was, and is read on from where it was left.
 */
import { closeSync, constants } from "node:fs";
import { HoldfastError } from "../domain/error.ts";
import { type Enlisting, enlistDirectory, enlistFile } from "./census-enlist.ts";
import { LinkedInodes } from "./census-links.ts";
import { diskError } from "./disk-error.ts";
import { SCOPE } from "./incarnation.ts";
import { openPart, openQuietly, readOn } from "./open-directory.ts";
import { isErrno, O, openat2, RESOLVE } from "./syscalls.ts";
import { type Examined, examine, goOnAt, ITSELF, leaveNames, type Names, takeNames } from "./syscalls-census.ts";

/** What is to be looked at. */
export interface CensusOrder {
  /** An open directory that nobody but us can write to, and its path, for messages. */
  readonly parent: { readonly fd: number; readonly path: string };
  /** Where the content is below it, also ours: `<uuid>/content`. */
  readonly name: string;
  /** Whose it all shall be. */
  readonly project?: { readonly id: number };
}

export interface Tally {
  /** What is allocated, an inode with several names counted once. */
  usedBytes: number;
  /** With the content directory itself. */
  inodes: number;
  /** Directories that could not be read or lie too deep, and names that could not be examined: what they take is missing. */
  unread: number;
  /** Names that were looked at. */
  entries: number;
  /** Files and directories that were not the project's, and are now. */
  wrong: number;
  /** Files and directories of which that could not be found out or changed: they may be immutable. */
  refused: number;
  /** The path of the first refused one. */
  firstRefusal?: string;
}

/** A directory between the parent and where we are. */
interface Level {
  readonly name: Buffer;
  /** `undefined` while it is too far above. */
  fd: number | undefined;
  /** Those that are being gone through, as long as it is open. */
  names: Names | undefined;
  /** What it is. */
  identity: Examined | undefined;
  /** Where to read on in it once it is open again. */
  position: bigint;
}

const LEVELS_OPEN_MAX = 60;
/** What lies deeper is a trap: each level takes memory until it is left. */
const LEVELS_MAX = 100_000;
const PATH_CHARACTERS_MAX = 500;
const HERE = Buffer.from(".");
const ABOVE = Buffer.from("..");
const { S_IFDIR, S_IFREG } = constants;

/**
 * Goes through a volume's content: one name between two yields, so that it can be interrupted. Closes everything
 * however it ends.
 * @throws `damaged` it is not there or is something else, `in_use` somebody moves directories while we are deep in
 *   them, `unsupported` the file system has no projects, `unavailable` the disk fails
 */
export function* takeCensus(order: CensusOrder): Generator<undefined, Tally> {
  const walk = new Walk(order);
  try {
    walk.begin();
    while (walk.step()) yield;
    return walk.end();
  } catch (error) {
    throw diskError(`Cannot ${actionOn(order)}`, error);
  } finally {
    walk.close();
  }
}

/** For messages: "enlist /srv/volumes/UUID/content". */
export function actionOn({ parent, name, project }: CensusOrder): string {
  return `${project === undefined ? "measure" : "enlist"} ${parent.path}/${name}`;
}

class Walk {
  readonly #order: CensusOrder;
  readonly #levels: Level[] = [];
  readonly #linked = new LinkedInodes();
  readonly #tally: Tally = { usedBytes: 0, inodes: 0, unread: 0, entries: 0, wrong: 0, refused: 0 };

  constructor(order: CensusOrder) {
    this.#order = order;
  }

  begin(): void {
    const pathFd = openContent(this.#order);
    try {
      this.#enter(pathFd, HERE);
    } finally {
      closeSync(pathFd);
    }
  }

  /** One step; `false` when nothing is left to do. */
  step(): boolean {
    const level = this.#levels.at(-1);
    if (level === undefined) return false;
    const { fd, names } = openPart(level);
    if (names.next()) this.#look(fd, names);
    else if (!readOn(fd, names)) this.#leave(level);
    return true;
  }

  end(): Tally {
    const { usedBytes, inodes } = this.#tally;
    // Parts of files with several names may not add up to the last bit.
    return { ...this.#tally, usedBytes: Math.round(usedBytes), inodes: Math.round(inodes) };
  }

  close(): void {
    for (const { fd } of this.#levels.splice(0)) if (fd !== undefined) closeSync(fd);
  }

  /** Directories are entered, everything else is counted, whatever it turns out to be. */
  #look(fd: number, names: Names): void {
    try {
      const isDirectory = names.isDirectory || !this.#countFile(fd, names);
      if (isDirectory) this.#enter(fd, names.name);
    } catch (error) {
      if (isErrno(error, "ENOENT", "EXDEV")) return;
      if (!isErrno(error, "EACCES")) throw error;
      this.#tally.unread += 1;
    }
  }

  /** `false` when it is a directory after all. */
  #countFile(fd: number, names: Names): boolean {
    const { project } = this.#order;
    if (project !== undefined) return this.#enlistFile(fd, names.name, project.id);
    const found = examine(fd, names.forCall);
    if (found.type === S_IFDIR) return false;
    this.#count(found);
    return true;
  }

  /** Counts and opens one and the same thing, whatever has its name meanwhile. */
  #enlistFile(dirFd: number, name: Buffer, project: number): boolean {
    const fd = openat2(dirFd, name, { flags: O.PATH | O.NOFOLLOW, resolve: SCOPE & ~RESOLVE.NO_SYMLINKS });
    try {
      const found = examine(fd, ITSELF);
      if (found.type === S_IFDIR) return false;
      this.#count(found);
      if (found.type === S_IFREG) this.#note(enlistFile(fd, project), name);
      return true;
    } finally {
      closeSync(fd);
    }
  }

  /** Goes down into a directory, or counts it where that cannot be. */
  #enter(parentFd: number, name: Buffer): void {
    const fd = this.#levels.length < LEVELS_MAX ? openIfReadable(parentFd, name) : undefined;
    if (fd === undefined) this.#passBy(parentFd, name);
    else this.#begin(fd, name);
  }

  #begin(fd: number, name: Buffer): void {
    const names = takeNames();
    const level: Level = { name, fd, names, identity: undefined, position: 0n };
    // First of all, so that it is closed whatever happens.
    this.#levels.push(level);
    level.identity = examine(fd, ITSELF);
    this.#count(level.identity);
    const { project } = this.#order;
    if (project !== undefined) this.#note(enlistDirectory(fd, project.id), Buffer.alloc(0));
    this.#closeFarAbove();
  }

  /** A directory that may not be read or is too deep, or what somebody put in its place. */
  #passBy(parentFd: number, name: Buffer): void {
    const found = examine(parentFd, name === HERE ? ITSELF : Buffer.concat([name, ITSELF]));
    this.#count(found);
    if (found.type === S_IFDIR) this.#tally.unread += 1;
    if (this.#order.project !== undefined) this.#note("refused", name);
  }

  #closeFarAbove(): void {
    const level = this.#levels.at(-LEVELS_OPEN_MAX - 1);
    if (level?.fd === undefined || level.names === undefined) return;
    level.position = level.names.position;
    this.#close(level);
  }

  #leave(level: Level): void {
    const parent = this.#levels.at(-2);
    if (parent !== undefined && parent.fd === undefined) this.#openAbove(openPart(level).fd, parent);
    this.#levels.pop();
    this.#close(level);
  }

  #openAbove(belowFd: number, level: Level): void {
    const fd = openIfReadable(belowFd, ABOVE, RESOLVE.NO_XDEV | RESOLVE.NO_SYMLINKS);
    if (fd === undefined) throw this.#disturbed();
    level.fd = fd;
    if (!isSame(examine(fd, ITSELF), level.identity)) throw this.#disturbed();
    goOnAt(fd, level.position);
    level.names = takeNames();
  }

  #close(level: Level): void {
    const { fd, names } = openPart(level);
    closeSync(fd);
    leaveNames(names);
    level.fd = undefined;
    level.names = undefined;
  }

  #count(found: Examined): void {
    if (found.mountRoot) return;
    this.#tally.entries += 1;
    const part = found.nlink > 1 && found.type !== S_IFDIR ? this.#linked.partOf(found) : 1;
    this.#tally.inodes += part;
    this.#tally.usedBytes += part * found.usedBytes;
  }

  #note(enlisting: Enlisting, name: Buffer): void {
    if (enlisting === "wrong") this.#tally.wrong += 1;
    if (enlisting !== "refused") return;
    this.#tally.refused += 1;
    this.#tally.firstRefusal ??= this.#pathOf(name);
  }

  #disturbed(): HoldfastError {
    const message = `Cannot ${actionOn(this.#order)}: somebody is moving its directories`;
    return new HoldfastError("in_use", message);
  }

  /** For people: in the middle of a long one there are dots. */
  #pathOf(name: Buffer): string {
    const { parent, name: content } = this.#order;
    const below = [...this.#levels.slice(1).map((level) => level.name), name].filter(
      (part) => part.length > 0 && part !== HERE,
    );
    const path = [parent.path, content, ...below].join("/");
    if (path.length <= PATH_CHARACTERS_MAX) return path;
    return `${path.slice(0, PATH_CHARACTERS_MAX / 2)}...${path.slice(-PATH_CHARACTERS_MAX / 2)}`;
  }
}

function openContent(order: CensusOrder): number {
  try {
    return openat2(order.parent.fd, order.name, { flags: O.PATH | O.DIRECTORY, resolve: SCOPE });
  } catch (error) {
    if (!isErrno(error, "ENOENT", "ENOTDIR", "ELOOP", "EXDEV")) throw error;
    const reason = error.errno === "ENOENT" ? "it is missing" : "something else is in its place";
    throw new HoldfastError("damaged", `Cannot ${actionOn(order)}: ${reason}`, { cause: error });
  }
}

/** `undefined` when it may not be read, or is no directory (any more). */
function openIfReadable(parentFd: number, name: Buffer, resolve = SCOPE): number | undefined {
  try {
    return openQuietly(parentFd, name, resolve);
  } catch (error) {
    if (isErrno(error, "EACCES", "ENOTDIR", "ELOOP")) return undefined;
    throw error;
  }
}

function isSame(found: Examined, before: Examined | undefined): boolean {
  return found.ino === before?.ino && found.device === before.device;
}
