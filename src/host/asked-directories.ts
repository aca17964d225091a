/**
 * Directories that somebody asks about, which are no volumes: found again by where they lie on their file system, as
 * mount tables put it, and by their inodes. However many they are, a look-up takes as many steps as a path has.
 */
import { closeSync, readlinkSync } from "node:fs";
import { dirname, posix } from "node:path";
import { HoldfastError } from "../domain/error.ts";
import { climb, deviceText } from "./holding-processes.ts";
import { findMount, tableIdOf } from "./mount-table.ts";
import { AT, O, openat2, RESOLVE, type Stat } from "./syscalls.ts";

/** A directory that is asked about. */
export interface Asked {
  readonly directory: string;
  /** The directories above it, and their paths, upwards. */
  readonly above: readonly { readonly path: string; readonly stat: Stat }[];
}

/** A mount; paths have one character a byte. */
export interface Mount {
  readonly id: string;
  readonly parentId: string;
  readonly device: string;
  readonly root: string;
  readonly mountPoint: string;
}

export interface AskedDirectories {
  readonly all: readonly Asked[];
  /** Their devices, as `deviceText` writes them. */
  readonly devices: ReadonlySet<string>;
  /** Those of one device. */
  near(stat: Stat): readonly Asked[];
  /** Those that a place is, or lies in. @param device `major:minor` as mount tables have it */
  holding(device: string, place: string): readonly Asked[];
  /** Those that are among these. */
  among(stats: readonly Stat[]): readonly Asked[];
}

/** @throws `unavailable` when one of them is not there, or its mount not in our mount table */
export function askFor(directories: readonly string[]): AskedDirectories {
  const all: Asked[] = [];
  const byDevice = new Map<string, Asked[]>();
  const byInode = new Map<string, Asked>();
  const byPlace = new Map<string, Asked>();
  for (const directory of directories) {
    const { asked, stat, place } = ask(directory);
    all.push(asked);
    byDevice.set(deviceText(stat), [...(byDevice.get(deviceText(stat)) ?? []), asked]);
    byInode.set(inodeText(stat), asked);
    byPlace.set(place, asked);
  }
  return {
    all,
    devices: new Set(byDevice.keys()),
    near: (stat) => byDevice.get(deviceText(stat)) ?? [],
    holding: (device, place) => pathsUp(place).flatMap((path) => byPlace.get(`${device} ${path}`) ?? []),
    among: (stats) => stats.flatMap((stat) => byInode.get(inodeText(stat)) ?? []),
  };
}

/**
 * What comes behind a directory in a path that it is or leads to, `undefined` for any other path. Paths of mount tables
 * have one character a byte.
 */
export function below(directory: string, path: string): string | undefined {
  if (directory === "/") return path;
  if (path === directory) return "/";
  return path.startsWith(`${directory}/`) ? path.slice(directory.length) : undefined;
}

/** One character a byte, as mount tables are read. */
export function bytesOf(path: string): string {
  return Buffer.from(path).toString("latin1");
}

function ask(directory: string): { readonly asked: Asked; readonly stat: Stat; readonly place: string } {
  const fd = open(directory);
  try {
    const mount = findMount(tableIdOf(fd));
    // The disk's own root may have been given with symlinks in its path.
    const path =
      mount && below(mount.mountPoint.toString("latin1"), bytesOf(readlinkSync(`/proc/thread-self/fd/${fd}`)));
    if (mount === undefined || path === undefined) throw cannotFind(directory, "its mount is not in the mount table");
    const [stat, ...higher] = climb(`/proc/thread-self/fd/${fd}`) ?? [];
    if (stat === undefined) throw cannotFind(directory, "it cannot be looked at");
    const paths = pathsUp(directory).slice(1);
    const above = higher.map((one, index) => ({ path: paths[index] ?? "/", stat: one }));
    const place = `${mount.device} ${posix.join(mount.root.toString("latin1"), path)}`;
    return { asked: { directory, above }, stat, place };
  } finally {
    closeSync(fd);
  }
}

function open(directory: string): number {
  try {
    const how = { flags: O.PATH | O.DIRECTORY, resolve: RESOLVE.NO_MAGICLINKS };
    return openat2(AT.FDCWD, directory, how);
  } catch (error) {
    throw cannotFind(directory, "it cannot be opened", error);
  }
}

/** A path and those above it, up to `/`. */
function pathsUp(path: string): readonly string[] {
  const paths = [path];
  for (let at = path; at !== dirname(at); at = dirname(at)) paths.push(dirname(at));
  return paths;
}

function inodeText(stat: Stat): string {
  return `${deviceText(stat)} ${stat.ino}`;
}

function cannotFind(directory: string, reason: string, cause?: unknown): HoldfastError {
  return new HoldfastError("unavailable", `Cannot find out who has ${directory}: ${reason}`, { cause });
}
