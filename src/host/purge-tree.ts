/**
 * Deletes a tree that others filled, and may still be changing. Every step acts on a descriptor and one name below it,
 * resolved by the kernel without following a symlink or entering another mount, so that nobody can lead it out.
 *
 * Directories on the way down stay open, the deepest few: a tree may be deeper than descriptors reach. What was closed
 * is opened again through `..` of the directory below, and must be the one that it was.
 */
import { closeSync, fsyncSync } from "node:fs";
import { HoldfastError } from "../domain/error.ts";
import type { DirectoryIdentity } from "../domain/records.ts";
import type { Incarnation } from "../domain/units.ts";
import { diskError } from "./disk-error.ts";
import { SCOPE } from "./incarnation.ts";
import { letEnter, letRemove } from "./purge-obstacles.ts";
import { AT, type DirectoryEntry, isErrno, O, openat2, RESOLVE, type Stat, statx, unlinkat } from "./syscalls.ts";
import { leaveBatch, takeBatch } from "./syscalls-purge.ts";
import { isRecordedDirectory } from "./walk.ts";

interface Pending extends DirectoryEntry {
  /** Whether it was left once before. */
  readonly again?: true;
}

/** A directory between the trash and where we are. */
interface Level {
  readonly name: Buffer;
  /** `undefined` while it is too far above. */
  fd: number | undefined;
  /** What it was when it was closed. */
  identity?: Stat;
  /** Names that were read and not yet removed: directories, and what did not go at once. */
  pending: Pending[];
  /** Whether there is nothing left to read. */
  read: boolean;
  /** Whether it was emptied once before, or lies in one that was: what is in it was made meanwhile. */
  readonly again: boolean;
  /** Names, as latin1, that may not be removed. */
  readonly stuck: Set<string>;
}

export interface Trash {
  readonly fd: number;
  /** Its path, for messages. */
  readonly path: string;
  /** Nothing but this very directory is deleted in it, whatever else gets its name. */
  readonly only?: DirectoryIdentity;
}

const LEVELS_OPEN_MAX = 64;
/** A directory that is not empty after all is read again; somebody who keeps filling it shall not keep us for ever. */
const REPEATS_MAX = 1000;
const REMADE_MAX = 10_000;
const STUCK_MAX = 100;
const PATH_CHARACTERS_MAX = 500;

/**
 * Removes `<trash>/<uuid>` step by step: one name or one directory's listing between two yields, so that it can be
 * interrupted. Returns how many names it removed. Throws as `Disk.purge`, and closes everything however it ends.
 */
export function* purgeTree(trash: Trash, uuid: Incarnation): Generator<undefined, number> {
  const removal = new Removal(trash);
  try {
    removal.begin(uuid);
    while (removal.step()) yield;
    return removal.end();
  } catch (error) {
    throw diskError(`Cannot delete ${trash.path}/${uuid}`, error);
  } finally {
    removal.close();
  }
}

class Removal {
  readonly #trash: Trash;
  /** The first is the trash itself, which is not ours to close. */
  readonly #levels: [Level, ...Level[]];
  /** Of the deepest level: it is not left, and none entered, before they are all taken. */
  readonly #names = takeBatch();
  #entries = 0;
  #repeats = 0;
  #remade = 0;
  #stuckCount = 0;
  #firstRefusal: HoldfastError | undefined;

  constructor(trash: Trash) {
    this.#trash = trash;
    this.#levels = [newLevel(Buffer.alloc(0), trash.fd, false)];
    this.#levels[0].read = true;
  }

  begin(uuid: Incarnation): void {
    const [base] = this.#levels;
    if (!this.#enter(base, Buffer.from(uuid), false)) {
      throw new HoldfastError("damaged", `Cannot delete ${this.#trash.path}/${uuid}: it is no directory`);
    }
    const [, volume] = this.#levels;
    if (volume?.fd !== undefined && removeLabel(volume.fd)) this.#entries += 1;
  }

  /** One step; `false` when nothing is left to do. */
  step(): boolean {
    const level = this.#deepest;
    while (this.#names.next()) if (this.#take(level)) return true;
    const next = level.pending.pop();
    if (next !== undefined) this.#remove(level, next);
    else if (!level.read) this.#read(level);
    else if (this.#levels.length > 1) this.#leave(level);
    else return false;
    return true;
  }

  end(): number {
    if (this.#firstRefusal !== undefined) throw this.#firstRefusal;
    return this.#entries;
  }

  close(): void {
    for (const { fd } of this.#levels.splice(1)) if (fd !== undefined) closeSync(fd);
    leaveBatch(this.#names);
  }

  get #deepest(): Level {
    return this.#levels.at(-1) ?? this.#levels[0];
  }

  #read(level: Level): void {
    this.#requireRest();
    level.read = !this.#fill(level);
  }

  /** A directory that somebody removed meanwhile has no names any more. */
  #fill(level: Level): boolean {
    try {
      return this.#names.fill(fdOf(level));
    } catch (error) {
      if (isErrno(error, "ENOENT")) return false;
      throw error;
    }
  }

  /** Nearly all are files that go at once; `false` when it is left for later. */
  #take(level: Level): boolean {
    if (level.stuck.size > 0 && level.stuck.has(keyOf(this.#names.name))) return false;
    const { isDirectory } = this.#names;
    if (isDirectory !== true && this.#names.unlink(fdOf(level))) return this.#count(level);
    level.pending.push({ name: this.#names.name, isDirectory });
    return false;
  }

  #count(parent: Level): true {
    this.#entries += 1;
    if (parent.again) this.#remade += 1;
    return true;
  }

  /** Directories are entered, everything else is removed, whatever it turns out to be. */
  #remove(level: Level, { name, isDirectory, again }: Pending): void {
    const isAgain = level.again || again === true;
    const isDone =
      isDirectory === true
        ? this.#enter(level, name, isAgain) || this.#unlink(level, name, 0)
        : this.#unlink(level, name, 0) || this.#enter(level, name, isAgain);
    if (!isDone) this.#repeat(level, name);
  }

  /** Goes down into a directory. `true` also when it is gone, `false` when it is no directory. */
  #enter(parent: Level, name: Buffer, again: boolean): boolean {
    try {
      const fd = this.#open(parent, name);
      this.#levels.push(newLevel(name, fd, again));
      if (parent === this.#levels[0]) this.#requireMeant(fd, name);
      this.#closeFarAbove();
      return true;
    } catch (error) {
      if (isErrno(error, "ENOENT")) return true;
      if (isErrno(error, "ENOTDIR", "ELOOP")) return false;
      if (isErrno(error, "EXDEV")) throw this.#mounted(name, error);
      return this.#refused(parent, name, error);
    }
  }

  /** Where others may rename it, another one may have its name, at first or by now. */
  #requireMeant(fd: number, name: Buffer): void {
    const { only, path } = this.#trash;
    if (only === undefined || isRecordedDirectory(only, statx(fd, "", AT.EMPTY_PATH))) return;
    throw new HoldfastError("damaged", `Cannot delete ${path}/${name}: it is another directory`);
  }

  #open(parent: Level, name: Buffer): number {
    const open = () => openat2(fdOf(parent), name, { flags: O.RDONLY | O.DIRECTORY, resolve: SCOPE });
    try {
      return open();
    } catch (error) {
      if (!isErrno(error, "EACCES") || !letEnter(fdOf(parent), name)) throw error;
      return open();
    }
  }

  #closeFarAbove(): void {
    const level = this.#levels.length > LEVELS_OPEN_MAX ? this.#levels.at(-LEVELS_OPEN_MAX) : undefined;
    if (level?.fd === undefined || level === this.#levels[0]) return;
    level.identity = statx(level.fd, "", AT.EMPTY_PATH);
    closeSync(level.fd);
    level.fd = undefined;
    // It will be read from the beginning, and deep trees shall not pile up names.
    level.pending = [];
    level.read = false;
  }

  /** Removes a directory that should be empty now, and is where we were before. */
  #leave(level: Level): void {
    const parent = this.#levels.at(-2) ?? this.#levels[0];
    parent.fd ??= this.#openAbove(level, parent);
    this.#levels.pop();
    closeSync(fdOf(level));
    if (level.stuck.size > 0) parent.stuck.add(keyOf(level.name));
    else if (!this.#unlink(parent, level.name, AT.REMOVEDIR)) this.#repeat(parent, level.name);
  }

  #openAbove(level: Level, parent: Level): number {
    const fd = openat2(fdOf(level), "..", {
      flags: O.RDONLY | O.DIRECTORY,
      resolve: RESOLVE.NO_XDEV | RESOLVE.NO_SYMLINKS,
    });
    if (isSame(statx(fd, "", AT.EMPTY_PATH), parent.identity)) return fd;
    closeSync(fd);
    throw this.#disturbed("somebody is moving its directories");
  }

  /** Removes a name. `true` also when it is gone, `false` when it is another kind of thing, or a directory with content. */
  #unlink(parent: Level, name: Buffer, flags: number): boolean {
    try {
      this.#unlinkAnyway(fdOf(parent), name, flags);
      return this.#count(parent);
    } catch (error) {
      if (isErrno(error, "ENOENT")) return true;
      if (isErrno(error, "EISDIR", "ENOTDIR", "ENOTEMPTY", "EEXIST")) return false;
      if (isErrno(error, "EBUSY")) throw this.#mounted(name, error);
      return this.#refused(parent, name, error);
    }
  }

  #unlinkAnyway(parentFd: number, name: Buffer, flags: number): void {
    try {
      unlinkat(parentFd, name, flags);
    } catch (error) {
      if (!isErrno(error, "EPERM", "EACCES") || !letRemove(parentFd, name)) throw error;
      unlinkat(parentFd, name, flags);
    }
  }

  #repeat(level: Level, name: Buffer): void {
    this.#repeats += 1;
    this.#requireRest();
    level.pending.push({ name, isDirectory: true, again: true });
  }

  #requireRest(): void {
    if (this.#repeats <= REPEATS_MAX && this.#remade <= REMADE_MAX) return;
    throw this.#disturbed("somebody keeps making new files");
  }

  /** What may not be removed is left, and the rest goes: it is the space that counts. */
  #refused(level: Level, name: Buffer, error: unknown): true {
    if (!isErrno(error, "EPERM", "EACCES")) throw diskError(`Cannot delete ${this.#pathOf(name)}`, error);
    level.stuck.add(keyOf(name));
    this.#stuckCount += 1;
    this.#firstRefusal ??= new HoldfastError(
      "unsupported",
      `Cannot delete ${this.#pathOf(name)}: ${error.errno}, it may be immutable (chattr -i) and CAP_LINUX_IMMUTABLE missing`,
      { cause: error },
    );
    if (this.#stuckCount >= STUCK_MAX) throw this.#firstRefusal;
    return true;
  }

  #mounted(name: Buffer, cause: unknown): HoldfastError {
    const place = this.#pathOf(name);
    return new HoldfastError("in_use", `Cannot delete ${place}: something is mounted there, unmount it first`, {
      cause,
    });
  }

  #disturbed(reason: string): HoldfastError {
    return new HoldfastError("in_use", `Cannot delete ${this.#pathOf()}: ${reason}`);
  }

  /** For people: in the middle of a long one there are dots. */
  #pathOf(name?: Buffer): string {
    const names = this.#levels.slice(1).map((level) => level.name);
    const path = [this.#trash.path, ...(name === undefined ? names : [...names, name])].join("/");
    if (path.length <= PATH_CHARACTERS_MAX) return path;
    return `${path.slice(0, PATH_CHARACTERS_MAX / 2)}...${path.slice(-PATH_CHARACTERS_MAX / 2)}`;
  }
}

/** First, durably: half of a content shall not be found and taken for a volume. Says whether there was one. */
function removeLabel(volumeFd: number): boolean {
  try {
    unlinkat(volumeFd, "label", 0);
  } catch {
    // The walk comes by it once more.
    return false;
  }
  fsyncSync(volumeFd);
  return true;
}

function newLevel(name: Buffer, fd: number, again: boolean): Level {
  return { name, fd, pending: [], read: false, again, stuck: new Set() };
}

function fdOf({ fd }: Level): number {
  if (fd === undefined) throw new Error("A directory is used that was closed");
  return fd;
}

function isSame(found: Stat, before: Stat | undefined): boolean {
  return (
    found.ino === before?.ino &&
    found.mountId === before.mountId &&
    found.devMajor === before.devMajor &&
    found.devMinor === before.devMinor
  );
}

/** One character a byte, so that no two names become one. */
function keyOf(name: Buffer): string {
  return name.toString("latin1");
}
