/** Takes a bind mount of ours away, wherever it has gone, and leaves everything else. */
import { basename, dirname } from "node:path";
import { HoldfastError } from "../domain/error.ts";
import type { DetachOptions, MountedAt } from "../ports/mounter.ts";
import { requireShownHere } from "./alone.ts";
import { isOurs, isRecordedMount, liesOnRecorded, recordedMount } from "./bind-identity.ts";
import { type ContainerNamespace, unlessEnded } from "./container-namespace.ts";
import { clear, clearPlace, removeIfMade } from "./leftovers.ts";
import { openDirectorySeen, openRemains, type Place, unmountFrom } from "./place.ts";
import { refusing } from "./refusal.ts";
import { isErrno, type Stat, UMOUNT } from "./syscalls.ts";
import { examineChild, pathOf, withDescriptors } from "./walk.ts";

/** What is to be taken away, and how. */
interface Release {
  readonly mounted: MountedAt;
  /** From under its processes. */
  readonly lazy: boolean;
  /** Where its mount is; absent for our own. */
  readonly namespace: ContainerNamespace | undefined;
}

/** As `Mounter.detach`. */
export function detachBind(mounted: MountedAt, { lazy, alone = false }: DetachOptions): void {
  const action = actionOf(mounted);
  const detach = (): void =>
    refusing(action, (keep) => {
      if (alone) requireShownHere(mounted, action);
      const remains = openRemains(mounted, action, keep);
      if (remains === undefined) return clear(mounted);
      const { place, namespace } = remains;
      const release: Release = { mounted, lazy, namespace };
      const released = place !== undefined && releaseAt(place, release);
      releaseElsewhere(release, released);
      if (place !== undefined) clearPlace(place, mounted);
    });
  unlessEnded(detach, () => clear(mounted));
}

/** Copies of one directory on top of each other, at most, before we suspect somebody who keeps mounting. */
const MAX_STACKED = 100;

/**
 * Unmounts what is ours at a place until something else, or nothing, is on top. Returns whether the recorded mount
 * was among it.
 * @throws `conflict` when what is on top is not ours to begin with
 */
function releaseAt(place: Place, release: Release): boolean {
  const { mounted } = release;
  let released = false;
  for (let count = 0; count < MAX_STACKED; count += 1) {
    const seen = examineChild(place.directory, place.name);
    if (!seen?.mountRoot) return released;
    if (!isOurs(seen, mounted)) {
      if (count > 0 || isElsewhere(seen, release)) return released;
      throw new HoldfastError("conflict", `${actionOf(mounted)}: something else is mounted there`);
    }
    const recorded = mounted.mount === undefined || isRecordedMount(seen, mounted);
    if (unmount(place, release)) released ||= recorded;
  }
  throw new HoldfastError("conflict", `${actionOf(mounted)}: it keeps being mounted again`);
}

/** Whether the recorded mount is there, and not below what is seen at its place. */
function isElsewhere(seen: Stat, { mounted, namespace }: Release): boolean {
  return recordedMount(mounted, namespace) !== undefined && !liesOnRecorded(seen, mounted, namespace);
}

/** Returns false when it was gone or replaced since it was examined, so that it must be examined again. */
function unmount(place: Place, { mounted, lazy }: Release): boolean {
  try {
    unmountFrom(place, lazy ? UMOUNT.DETACH : 0);
    return true;
  } catch (error) {
    if (isErrno(error, "EBUSY")) {
      throw new HoldfastError("busy", `${actionOf(mounted)}: a process sits in it`, { cause: error });
    }
    if (isErrno(error, "EINVAL", "ENOENT")) return false;
    throw error;
  }
}

/**
 * A mount moves along when the sandbox, a directory above it, or from another namespace the mountpoint itself is
 * renamed; and who may mount in a container may move it. Sees to it that it is gone; `released` says that we have
 * unmounted it, or what had its name then.
 */
function releaseElsewhere(release: Release, released: boolean): void {
  const mountPoint = mountPointNow(release, released);
  if (mountPoint === undefined || releaseMoved(mountPoint, release)) return;
  const message = `${actionOf(release.mounted)}: its mount moved to ${mountPoint}, unmount it there`;
  throw new HoldfastError("conflict", message);
}

/** Returns false when the mount is not there, or not any more. */
function releaseMoved(mountPoint: string, release: Release): boolean {
  const { mounted, namespace } = release;
  const name = basename(mountPoint);
  // It covers the root, or lies outside of it.
  if (name === "") return false;
  return withDescriptors((keep) => {
    const directory = openDirectorySeen(dirname(mountPoint), namespace);
    if (directory === undefined) return false;
    const place: Place = { directory: keep(directory), name, ...(namespace === undefined ? {} : { namespace }) };
    const seen = examineChild(directory, name);
    if (seen === undefined || !isRecordedMount(seen, mounted)) return false;
    if (!unmount(place, release)) return false;
    // What a container has moved it onto may be a directory of its own.
    if (namespace === undefined) removeIfMade(place, mounted);
    return mountPointNow(release, true) === undefined;
  });
}

/** Where the recorded mount is; `undefined` when it is gone, was never recorded, or was released and cannot be asked for. */
function mountPointNow({ mounted, namespace }: Release, released: boolean): string | undefined {
  if (released && mounted.mount?.backend === "bind" && !mounted.mount.uniqueId) return undefined;
  return recordedMount(mounted, namespace)?.mountPoint;
}

function actionOf(mounted: MountedAt): string {
  return `Cannot detach volume ${mounted.uuid} from ${pathOf(mounted)}`;
}
