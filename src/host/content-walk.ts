/**
 * Goes through a tree that others filled, and may still be changing, and hands everything in it to a visitor by
 * descriptor. Every step acts on a descriptor and one name below it, resolved by the kernel without following a symlink
 * or entering another mount, so that nobody can lead it out. What moves meanwhile may be met twice or not at all.
 *
 * Directories on the way down stay open, the deepest few. What was closed is opened again through `..` of the directory
 * below, must be the one that it was, and is read on from where it was left.
 */
import { closeSync, constants } from "node:fs";
import { HoldfastError } from "../domain/error.ts";
import { SCOPE } from "./incarnation.ts";
import { openPart, openQuietly, readOn } from "./open-directory.ts";
import { isErrno, O, openat2, RESOLVE } from "./syscalls.ts";
import { goOnAt, leaveNames, type Names, takeNames } from "./syscalls-census.ts";
import { examineOriginal, type Original } from "./syscalls-copy.ts";

/** Something that is no directory, or one that is gone into. */
export interface Met {
  /** Of a directory open for reading, else `O_PATH`. The walk closes it. */
  readonly fd: number;
  readonly name: Buffer;
  readonly found: Original;
}

/** What is done with what is met. Where a step may take long, it yields in between. */
export interface Visitor {
  /** Before a directory is read; `false` passes it by. */
  enter(directory: Met): boolean;
  /** Behind everything in it. */
  leave(directory: Met): void;
  visit(other: Met): Generator<undefined, void> | undefined;
  /** The directory at this depth, the top being 0, is far above: descriptors of it may be closed. */
  release(depth: number): void;
}

/** A directory between the top and where we are. */
interface Level {
  readonly name: Buffer;
  readonly found: Original;
  /** `undefined` while it is too far above. */
  fd: number | undefined;
  /** Those that are being gone through, as long as it is open. */
  names: Names | undefined;
  /** Where to read on in it once it is open again. */
  position: bigint;
}

const LEVELS_OPEN_MAX = 60;
/** What lies deeper is a trap: each level takes memory until it is left. */
const LEVELS_MAX = 100_000;
const PATH_CHARACTERS_MAX = 500;
/** Whoever exchanges a directory for something else as often as we look does so on purpose. */
const ATTEMPTS_MAX = 20;
const ANYTHING = O.PATH | O.NOFOLLOW;
const HERE = Buffer.from(".");
const ABOVE = Buffer.from("..");
const { S_IFDIR, S_IFMT } = constants;

/**
 * Goes through everything below an open directory, and it itself: one name between two yields. Closes everything
 * however it ends, but not `topFd`.
 * @throws `in_use` something is mounted inside, or somebody moves directories while we are deep in them
 * @throws `unsupported` some of it may not be read, or lies too deep
 * @throws whatever the visitor throws
 */
export function* walkContent(topFd: number, visitor: Visitor): Generator<undefined, void> {
  const walk = new ContentWalk(visitor);
  try {
    walk.begin(topFd);
    for (;;) {
      const met = walk.next();
      if (met === undefined) return;
      if (met !== "nothing") yield* walk.visit(met);
      yield;
    }
  } finally {
    walk.close();
  }
}

class ContentWalk {
  readonly #visitor: Visitor;
  readonly #levels: Level[] = [];

  constructor(visitor: Visitor) {
    this.#visitor = visitor;
  }

  begin(topFd: number): void {
    this.#enter(openQuietly(topFd, HERE), HERE);
  }

  /** One step; what is to be visited, `undefined` when nothing is left to do. */
  next(): Met | "nothing" | undefined {
    const level = this.#levels.at(-1);
    if (level === undefined) return undefined;
    const { fd, names } = openPart(level);
    if (names.next()) return this.#meet(fd, names) ?? "nothing";
    if (!readOn(fd, names)) this.#leave(level);
    return "nothing";
  }

  *visit(met: Met): Generator<undefined, void> {
    try {
      const steps = this.#visitor.visit(met);
      if (steps !== undefined) yield* steps;
    } catch (error) {
      throw this.#explain(error, met.name);
    } finally {
      closeSync(met.fd);
    }
  }

  close(): void {
    for (const { fd } of this.#levels.splice(0)) if (fd !== undefined) closeSync(fd);
  }

  /** Directories are gone into; what else it is, the caller visits. What has vanished is none of it any more. */
  #meet(dirFd: number, names: Names): Met | undefined {
    const { name } = names;
    try {
      for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt += 1) {
        const isDirectory = attempt === 1 ? names.isDirectory : undefined;
        const met = this.#meetAs(dirFd, name, isDirectory);
        if (met !== "changed") return met;
      }
    } catch (error) {
      if (isErrno(error, "ENOENT")) return undefined;
      throw this.#explain(error, name);
    }
    throw this.#refuse("in_use", name, "somebody keeps exchanging what is");
  }

  /** `changed` when something else had its name a moment later. */
  #meetAs(dirFd: number, name: Buffer, isDirectory: boolean | undefined): Met | "changed" | undefined {
    if (isDirectory !== true) {
      const met = meetOther(dirFd, name);
      if (met !== "directory") return met;
    }
    let fd: number;
    try {
      fd = openQuietly(dirFd, name);
    } catch (error) {
      if (isErrno(error, "ENOTDIR", "ELOOP")) return "changed";
      throw error;
    }
    this.#enter(fd, name);
    return undefined;
  }

  /** Takes charge of the descriptor. */
  #enter(fd: number, name: Buffer): void {
    let isEntered = false;
    try {
      if (this.#levels.length >= LEVELS_MAX) throw this.#refuse("unsupported", name, "directories lie too deep");
      const found = examineOriginal(fd);
      if (!this.#visitor.enter({ fd, name, found })) return;
      const names = takeNames();
      this.#levels.push({ name, found, fd, names, position: 0n });
      isEntered = true;
    } finally {
      if (!isEntered) closeSync(fd);
    }
    this.#closeFarAbove();
  }

  #closeFarAbove(): void {
    const depth = this.#levels.length - LEVELS_OPEN_MAX - 1;
    const level = this.#levels[depth];
    if (level?.fd === undefined || level.names === undefined) return;
    level.position = level.names.position;
    this.#close(level);
    this.#visitor.release(depth);
  }

  #leave(level: Level): void {
    const { fd } = openPart(level);
    const { name, found } = level;
    try {
      this.#visitor.leave({ fd, name, found });
    } catch (error) {
      this.#levels.pop();
      closeSync(fd);
      throw this.#explain(error, name);
    }
    const parent = this.#levels.at(-2);
    if (parent !== undefined && parent.fd === undefined) this.#openAbove(fd, parent);
    this.#levels.pop();
    this.#close(level);
  }

  #openAbove(belowFd: number, level: Level): void {
    try {
      level.fd = openQuietly(belowFd, ABOVE, RESOLVE.NO_XDEV | RESOLVE.NO_SYMLINKS);
    } catch (error) {
      if (!isErrno(error, "EACCES", "ENOENT", "ENOTDIR", "EXDEV")) throw error;
      throw this.#refuse("in_use", level.name, "somebody is moving its directories");
    }
    if (examineOriginal(level.fd).key !== level.found.key) {
      throw this.#refuse("in_use", level.name, "somebody is moving its directories");
    }
    goOnAt(level.fd, level.position);
    level.names = takeNames();
  }

  #close(level: Level): void {
    const { fd, names } = openPart(level);
    closeSync(fd);
    leaveNames(names);
    level.fd = undefined;
    level.names = undefined;
  }

  /** Names what an operator can do something about. */
  #explain(error: unknown, name: Buffer): unknown {
    if (isErrno(error, "EXDEV")) return this.#refuse("in_use", name, "something is mounted");
    if (isErrno(error, "EACCES", "EPERM"))
      return this.#refuse("unsupported", name, `the kernel refuses it (${error.errno})`);
    return error;
  }

  #refuse(code: "in_use" | "unsupported", name: Buffer, reason: string): HoldfastError {
    return new HoldfastError(code, `Cannot go through the content: ${reason} at ${this.#pathOf(name)}`);
  }

  /** For people: in the middle of a long one there are dots. */
  #pathOf(name: Buffer): string {
    const path = [...this.#levels.slice(1).map((level) => level.name), name].join("/");
    if (path.length <= PATH_CHARACTERS_MAX) return path;
    return `${path.slice(0, PATH_CHARACTERS_MAX / 2)}...${path.slice(-PATH_CHARACTERS_MAX / 2)}`;
  }
}

function meetOther(dirFd: number, name: Buffer): Met | "directory" {
  const fd = openat2(dirFd, name, { flags: ANYTHING, resolve: SCOPE & ~RESOLVE.NO_SYMLINKS });
  let isMet = false;
  try {
    const found = examineOriginal(fd);
    isMet = (found.mode & S_IFMT) !== S_IFDIR;
    return isMet ? { fd, name, found } : "directory";
  } finally {
    if (!isMet) closeSync(fd);
  }
}
