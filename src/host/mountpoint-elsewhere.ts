/**
 * Whether a directory is a mountpoint in another mount namespace. The kernel shows that to nobody outside, and lets the
 * directory be removed all the same, mount and all. So the mounts of every namespace are looked through, for one that
 * lies on the same directory of the same file system.
 */
import { readlinkSync } from "node:fs";
import { basename, posix } from "node:path";
import { codeOf } from "../domain/error.ts";
import { unlessEnded } from "./container-namespace.ts";
import { factsOf, factsOfEntry, type MountFacts, mountOf } from "./mount-facts.ts";
import { otherTables } from "./mount-namespaces.ts";
import { parseMountTable } from "./mount-table.ts";
import { asFarAsTold, ifThere, mountsOf, otherNamespaces } from "./namespace-walk.ts";
import type { Place } from "./place.ts";
import { mountDetails, mountPointOf } from "./syscalls.ts";

/** Also where it cannot be told. */
export function maybeMountpointElsewhere(place: Place): boolean {
  const wanted = locate(place);
  if (wanted === undefined) return true;
  return knownToKernel(wanted) ?? inTables(wanted);
}

/** A directory of a file system, however it is mounted. */
export interface Location {
  readonly device: string;
  /** Absolute path within the file system. */
  readonly path: string;
}

/** What must be known of a mount to say which directory it lies on. */
type Mount = Pick<MountFacts, "device" | "root" | "mountPoint" | "parentId">;

/** The mounts of a namespace, of which some may go meanwhile. */
interface Mounts {
  readonly ids: readonly bigint[];
  readonly mountPointOf: (id: bigint) => string | undefined;
  readonly mountOf: (id: bigint) => Mount | undefined;
}

/** `undefined` when its mount is gone, its process has ended, or it lies outside of what its namespace sees. */
export function locate({ directory, name, namespace }: Place): Location | undefined {
  const mount = unlessEnded(
    () => factsOf(mountOf(directory), namespace),
    () => undefined,
  );
  return mount && locationBelow(mount, `${readlinkSync(`/proc/self/fd/${directory}`)}/${name}`);
}

/** `undefined` when the path does not lie below the mount. */
function locationBelow({ device, root, mountPoint }: Mount, path: string): Location | undefined {
  if (mountPoint === "" || path === "") return undefined;
  const below = posix.relative(mountPoint, path);
  if (below === ".." || below.startsWith("../")) return undefined;
  return { device, path: posix.join(root, below) };
}

/** `undefined` where the kernel (before 6.12) or our privileges cannot tell. */
export function knownToKernel(wanted: Location): boolean | undefined {
  return asFarAsTold(() => {
    for (const namespaceId of otherNamespaces()) {
      const mounts: Mounts = {
        ids: Array.from(mountsOf(namespaceId), BigInt),
        mountPointOf: (id) => ifThere(() => mountPointOf(id, namespaceId)),
        mountOf: (id) => ifThere(() => mountDetails(id, { namespaceId })),
      };
      if (isAmong(mounts, wanted)) return true;
    }
    return false;
  });
}

/** By the mount tables of processes. */
export function inTables(wanted: Location): boolean {
  try {
    for (const { text } of otherTables({ threads: true })) {
      const table = new Map(parseMountTable(text).map((entry) => [BigInt(entry.mountId), factsOfEntry(entry)]));
      const mounts: Mounts = {
        ids: [...table.keys()],
        mountPointOf: (id) => table.get(id)?.mountPoint,
        mountOf: (id) => table.get(id),
      };
      if (isAmong(mounts, wanted)) return true;
    }
    return false;
  } catch (error) {
    if (codeOf(error) === "unavailable") return true;
    throw error;
  }
}

/** Whether one of the mounts lies on the directory, or may. */
function isAmong({ ids, mountPointOf: pointOf, mountOf: ofId }: Mounts, wanted: Location): boolean {
  const name = basename(wanted.path);
  return ids.some((id) => {
    const mountPoint = pointOf(id);
    // A mountpoint has the name of the directory that it covers; most have another one, and are asked no more.
    if (mountPoint === undefined || (mountPoint !== "" && basename(mountPoint) !== name)) return false;
    const mount = ofId(id);
    // What a namespace begins with lies on nothing.
    if (mount === undefined || mount.parentId === id) return false;
    const parent = ofId(mount.parentId);
    const found = parent && locationBelow(parent, mount.mountPoint);
    return found === undefined || (found.device === wanted.device && found.path === wanted.path);
  });
}
