/**
 * Whether a directory may be deleted as a sandbox. A path says little about what it shows: through a bind mount it may
 * lead into a volume. So directories are compared by where they lie on their file systems.
 */
import { realpathSync } from "node:fs";
import { posix } from "node:path";
import { HoldfastError } from "../domain/error.ts";
import { liesIn } from "../domain/sandboxes.ts";
import { incarnationsIn } from "./content-path.ts";
import { type MountEntry, tableIdOf } from "./mount-table.ts";
import { AT, O, openat2 } from "./syscalls.ts";
import { withDescriptors } from "./walk.ts";

/** A directory of a file system, however it is mounted; one character a byte. */
export interface Location {
  /** `major:minor` as mount tables have it. */
  readonly device: string;
  readonly place: string;
}

/** Names in the path of a directory that may go: what lies directly below the root belongs to the whole machine. */
const NAMES_MIN = 2;

/** @throws `invalid` */
export function requireDeep(path: string): void {
  const names = path.split("/").slice(1);
  if (!path.startsWith("/") || names.some((name) => name === "" || name === "." || name === "..")) {
    if (path !== "/") throw refuse(path, "invalid", "expected an absolute path in its shortest form");
  }
  if (names.length >= NAMES_MIN && path !== "/") return;
  throw refuse(path, "invalid", "it belongs to the whole machine");
}

/**
 * @param disks the roots of all disks, there or not
 * @param foundations what the daemon stands on
 * @throws `conflict`
 */
export function requireApart(
  { path, location }: { readonly path: string; readonly location: Location },
  { disks, foundations, table }: Surroundings,
): void {
  if (incarnationsIn(location.place).length > 0) throw refuse(path, "conflict", "it lies in a volume's content");
  for (const disk of disks) {
    const real = realPathOf(disk);
    const there = locate(real, table);
    if (liesIn(path, real) || (there !== undefined && contains(there, location))) {
      throw refuse(path, "conflict", `it is a part of disk ${disk}`);
    }
    if (liesIn(real, path) || (there !== undefined && contains(location, there))) {
      throw refuse(path, "conflict", `disk ${disk} lies in it`);
    }
  }
  for (const foundation of foundations) {
    if (liesIn(realPathOf(foundation), path)) throw refuse(path, "conflict", `${foundation} is needed by the daemon`);
  }
}

export interface Surroundings {
  readonly disks: readonly string[];
  readonly foundations: readonly string[];
  readonly table: readonly MountEntry[];
}

/** Where an open directory lies; `undefined` when its mount is not in the table. */
export function locationOf(fd: number, path: string, table: readonly MountEntry[]): Location | undefined {
  const id = tableIdOf(fd);
  const mount = table.find(({ mountId }) => mountId === id);
  const below = mount && pathBelow(bytesOf(mount.mountPoint), bytesOf(Buffer.from(path)));
  if (mount === undefined || below === undefined) return undefined;
  return { device: mount.device, place: posix.join(bytesOf(mount.root), below) };
}

/** What a mount shows. */
export function locationShown({ device, root }: MountEntry): Location {
  return { device, place: bytesOf(root) };
}

/** Where a directory lies; `undefined` when it is not there. */
export function locate(path: string, table: readonly MountEntry[]): Location | undefined {
  try {
    return withDescriptors((keep) =>
      locationOf(keep(openat2(AT.FDCWD, path, { flags: O.PATH | O.DIRECTORY })), path, table),
    );
  } catch {
    return undefined;
  }
}

/** Whether one is the other, or lies in it. */
export function contains(outer: Location, inner: Location): boolean {
  return outer.device === inner.device && liesIn(inner.place, outer.place);
}

/** The operator may have put symlinks into this path; of what is not there, it is taken as it is. */
export function realPathOf(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

function pathBelow(directory: string, path: string): string | undefined {
  if (!liesIn(path, directory)) return undefined;
  return directory === "/" ? path : path.slice(directory.length) || "/";
}

/** One character a byte, as mount tables are read. */
function bytesOf(path: Buffer): string {
  return path.toString("latin1");
}

function refuse(path: string, code: "invalid" | "conflict", reason: string): HoldfastError {
  return new HoldfastError(code, `Cannot hand ${path} over: ${reason}`);
}
