/** Takes a bind mount of ours away, wherever it has gone, and leaves everything else. */
import { basename, dirname } from "node:path";
import { HoldfastError } from "../domain/error.ts";
import type { MountedAt } from "../ports/mounter.ts";
import { isOurs, isRecordedMount } from "./bind-identity.ts";
import { clearPlace, removeMountpoint } from "./leftovers.ts";
import { findMount } from "./mount-table.ts";
import { refusing } from "./refusal.ts";
import { isErrno, mountPointOf, UMOUNT, umount2 } from "./syscalls.ts";
import { examineChild, openSandboxIfPresent, withDescriptors } from "./walk.ts";

/** As `Mounter.detach`. */
export function detachBind(mounted: MountedAt, { lazy }: { readonly lazy: boolean }): void {
  refusing(`Cannot detach ${describe(mounted)}`, (keep) => {
    const sandbox = openSandboxIfPresent(mounted.sandbox);
    if (sandbox !== undefined) keep(sandbox);
    const released =
      sandbox !== undefined && releaseAt({ directory: sandbox, name: mounted.containerPath }, mounted, lazy);
    releaseElsewhere(mounted, lazy, released);
    if (sandbox !== undefined) clearPlace(sandbox, mounted);
  });
}

/** A name below an open directory. */
interface Place {
  readonly directory: number;
  readonly name: string;
}

/** Copies of one directory on top of each other, at most, before we suspect somebody who keeps mounting. */
const MAX_STACKED = 100;

/**
 * Unmounts what is ours at a place until something else, or nothing, is on top. Returns whether the recorded mount
 * was among it.
 * @throws `conflict` when what is on top is not ours to begin with
 */
function releaseAt(place: Place, mounted: MountedAt, lazy: boolean): boolean {
  let released = false;
  for (let count = 0; count < MAX_STACKED; count += 1) {
    const seen = examineChild(place.directory, place.name);
    if (!seen?.mountRoot) return released;
    if (!isOurs(seen, mounted)) {
      if (count > 0) return released;
      throw new HoldfastError("conflict", `Cannot detach ${describe(mounted)}: something else is mounted there`);
    }
    const recorded = mounted.mount === undefined || isRecordedMount(seen, mounted);
    if (unmount(place, mounted, lazy)) released ||= recorded;
  }
  throw new HoldfastError("conflict", `Cannot detach ${describe(mounted)}: it keeps being mounted again`);
}

/**
 * By parent and name, because a descriptor inside the mount would make it busy. Returns false when it was gone or
 * replaced since it was examined, so that it must be examined again.
 */
function unmount(place: Place, mounted: MountedAt, lazy: boolean): boolean {
  const flags = lazy ? UMOUNT.NOFOLLOW | UMOUNT.DETACH : UMOUNT.NOFOLLOW;
  try {
    umount2(`/proc/self/fd/${place.directory}/${place.name}`, flags);
    return true;
  } catch (error) {
    if (isErrno(error, "EBUSY")) {
      const message = `Cannot detach ${describe(mounted)}: a process sits in it`;
      throw new HoldfastError("busy", message, { cause: error });
    }
    if (isErrno(error, "EINVAL", "ENOENT")) return false;
    throw error;
  }
}

/**
 * A mount moves along when the sandbox, a directory above it, or from another namespace the mountpoint itself is
 * renamed. Sees to it that it is gone; `released` says that we have unmounted it, or what had its name then.
 */
function releaseElsewhere(mounted: MountedAt, lazy: boolean, released: boolean): void {
  const mountPoint = mountPointNow(mounted, released);
  if (mountPoint === undefined) return;
  const gone = withDescriptors((keep) => {
    const directory = openSandboxIfPresent(dirname(mountPoint));
    return (
      directory !== undefined && releaseMoved({ directory: keep(directory), name: basename(mountPoint) }, mounted, lazy)
    );
  });
  if (!gone) {
    const message = `Cannot detach ${describe(mounted)}: its mount moved to ${mountPoint}, unmount it there`;
    throw new HoldfastError("conflict", message);
  }
}

/** Returns false when the mount is not there, or not any more. */
function releaseMoved(place: Place, mounted: MountedAt, lazy: boolean): boolean {
  const seen = examineChild(place.directory, place.name);
  if (seen === undefined || !isRecordedMount(seen, mounted)) return false;
  if (!unmount(place, mounted, lazy)) return false;
  if (mounted.madeMountpoint) removeMountpoint(place.directory, place.name);
  return mountPointNow(mounted, true) === undefined;
}

/** Where the recorded mount is; `undefined` when it is gone, was never recorded, or was released and cannot be asked for. */
function mountPointNow({ mount, uuid }: MountedAt, released: boolean): string | undefined {
  if (mount?.backend !== "bind") return undefined;
  if (mount.uniqueId) return mountPointById(BigInt(mount.mountId));
  if (released) return undefined;
  const entry = findMount(Number(mount.mountId));
  // The id may be another mount's by now; the path of the content, in trash too, has the incarnation in it.
  return entry?.root.includes(uuid) ? entry.mountPoint.toString() : undefined;
}

function mountPointById(mountId: bigint): string | undefined {
  try {
    return mountPointOf(mountId);
  } catch (error) {
    if (isErrno(error, "ENOENT")) return undefined;
    throw error;
  }
}

function describe({ uuid, sandbox, containerPath }: MountedAt): string {
  return `volume ${uuid} from ${sandbox}/${containerPath}`;
}
