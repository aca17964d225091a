/**
 * Takes volumes out of a sandbox that is to be deleted, whoever mounted them: what the books know, and what a crash left
 * behind. The mount table says what is there, before and after.
 */
import { basename, dirname } from "node:path";
import { HoldfastError } from "../domain/error.ts";
import { liesIn } from "../domain/sandboxes.ts";
import type { Incarnation } from "../domain/units.ts";
import { incarnationsIn } from "./content-path.ts";
import { type MountEntry, readMountTable, tableIdOf } from "./mount-table.ts";
import { openDirectorySeen, unmountFrom } from "./place.ts";
import { refusing } from "./refusal.ts";
import { contains, type Location, locate, locationShown, realPathOf } from "./sandbox-apart.ts";
import { isErrno, O, openat2, RESOLVE } from "./syscalls.ts";
import { withDescriptors } from "./walk.ts";

/** Somebody who keeps mounting shall not keep us for ever. */
const UNMOUNTS_MAX = 1_000;

/** A mount in a sandbox that shows a volume, or something in one. */
interface VolumeMount extends MountEntry {
  readonly uuid: Incarnation;
}

/** As `Sandboxes.detach`. */
export function detachVolumes(path: string, disks: readonly string[]): void {
  for (let count = 0; count <= UNMOUNTS_MAX; count += 1) {
    const { table, mounts } = volumesIn(path, disks);
    const top = mounts.findLast(({ mountId }) => !table.some(({ parentId }) => parentId === mountId));
    if (top === undefined && mounts.length === 0) return;
    if (top === undefined) throw inUse(path, `what is mounted at ${textOf(mounts.at(-1))} cannot be told apart`);
    unmount(path, top);
  }
  throw inUse(path, "somebody keeps mounting in it");
}

/** @throws `in_use` something else is mounted there */
export function requireVolumesOnly(path: string, disks: readonly string[]): void {
  volumesIn(path, disks);
}

function volumesIn(path: string, disks: readonly string[]) {
  const table = readMountTable("self");
  const roots = disks.flatMap((disk) => locate(realPathOf(disk), table) ?? []);
  return { table, mounts: mountsIn(path, table).map((mount) => requireVolume(path, mount, roots)) };
}

/** Whether something is mounted on this very path. */
export function isMountPoint(path: string): boolean {
  return readMountTable("self").some((mount) => textOf(mount) === path);
}

function mountsIn(path: string, table: readonly MountEntry[]): readonly MountEntry[] {
  const directory = Buffer.from(path).toString("latin1");
  return table.filter(({ mountPoint }) => liesIn(mountPoint.toString("latin1"), directory));
}

function requireVolume(path: string, mount: MountEntry, roots: readonly Location[]): VolumeMount {
  const shown = locationShown(mount);
  const [uuid] = incarnationsIn(shown.place);
  if (uuid !== undefined && roots.some((root) => contains(root, shown))) return { ...mount, uuid };
  throw inUse(path, `something that is no volume is mounted at ${textOf(mount)} (${mount.fsType} ${mount.source})`);
}

/** Gone or moved meanwhile is fine: the table is read again. */
function unmount(path: string, mount: VolumeMount): void {
  const place = textOf(mount);
  refusing(`Cannot take volume ${mount.uuid} out of ${path}`, (keep) => {
    const directory = openDirectorySeen(dirname(place), undefined);
    if (directory === undefined) throw inUse(path, `its mount at ${place} cannot be reached`);
    const name = basename(place);
    const top = tableIdAt(keep(directory), name);
    if (top === undefined) return;
    if (top !== mount.mountId) throw inUse(path, `its mount at ${place} is covered by another one`);
    try {
      unmountFrom({ directory, name }, 0);
    } catch (error) {
      if (isErrno(error, ...MOVED)) return;
      if (!isErrno(error, "EBUSY")) throw error;
      throw new HoldfastError("busy", `Cannot take volume ${mount.uuid} out of ${path}: a process sits in it`, {
        cause: error,
        details: { volumes: [mount.uuid] },
      });
    }
  });
}

/** There is nothing there any more, or something that is no mount. */
const MOVED = ["ENOENT", "EINVAL"];

/** The mount that is on top there. The descriptor is closed at once: open, it would make the mount busy. */
function tableIdAt(directory: number, name: string): number | undefined {
  try {
    return withDescriptors((keep) =>
      tableIdOf(keep(openat2(directory, name, { flags: O.PATH | O.NOFOLLOW, resolve: RESOLVE.NO_MAGICLINKS }))),
    );
  } catch (error) {
    if (isErrno(error, ...MOVED)) return undefined;
    throw error;
  }
}

function textOf(mount: MountEntry | undefined): string {
  return mount?.mountPoint.toString() ?? "";
}

function inUse(path: string, reason: string): HoldfastError {
  return new HoldfastError("in_use", `Cannot clear ${path}: ${reason}`);
}
