/** Which mount is which: by the kernel's id, and by the directory that it shows. */
import { codeOf } from "../domain/error.ts";
import type { BindOrLink, MountedAt } from "../ports/mounter.ts";
import type { ContainerNamespace } from "./container-namespace.ts";
import { factsOf, type MountFacts, type MountId, propagationOf } from "./mount-facts.ts";
import type { Place } from "./place.ts";
import { AT, type Stat, statx } from "./syscalls.ts";
import { isRecordedDirectory, openContent, openDisk, withDescriptors } from "./walk.ts";

/** What is recorded about a mount at a place. */
export function bindRecord(seen: Stat, { directory, namespace }: Place): BindOrLink {
  return {
    backend: "bind",
    mountId: String(seen.mountId),
    uniqueId: seen.mountIdUnique,
    propagation: propagationOf(directory, namespace),
  };
}

/** Whether the root of a mount is ours: the recorded mount, or one that shows the recorded directory. */
export function isOurs(seen: Stat, mounted: MountedAt): boolean {
  return isRecordedMount(seen, mounted) || showsDirectory(seen, mounted);
}

/** Whether this is the very mount of the record; an id that may be used again must also show the directory. */
export function isRecordedMount(seen: Stat, mounted: MountedAt): boolean {
  const { mount } = mounted;
  if (mount?.backend !== "bind" || mount.mountId !== String(seen.mountId)) return false;
  if (mount.uniqueId !== seen.mountIdUnique) return false;
  return seen.mountIdUnique || showsDirectory(seen, mounted);
}

/** The recorded mount, wherever it is in a namespace; `undefined` when it is gone, or none was recorded. */
export function recordedMount({ mount, uuid }: MountedAt, namespace?: ContainerNamespace): MountFacts | undefined {
  if (mount?.backend !== "bind") return undefined;
  const facts = factsOf(recordedId(mount), namespace);
  // An old id may be another mount's by now; the path of the content, in trash too, has the incarnation in it.
  return mount.uniqueId || facts?.root.includes(uuid) === true ? facts : undefined;
}

/** Mounts on top of each other, at most, before we give up. */
const MAX_DEPTH = 100;

/** Whether this mount lies on the recorded one, or is it. */
export function liesOnRecorded(seen: Stat, { mount }: MountedAt, namespace?: ContainerNamespace): boolean {
  if (mount?.backend !== "bind" || mount.uniqueId !== seen.mountIdUnique) return false;
  const wanted = recordedId(mount);
  let id: MountId = seen;
  for (let depth = 0; depth < MAX_DEPTH; depth += 1) {
    if (id.mountId === wanted.mountId) return true;
    const parentId = factsOf(id, namespace)?.parentId;
    if (parentId === undefined || parentId === id.mountId) return false;
    id = { mountId: parentId, mountIdUnique: seen.mountIdUnique };
  }
  return true;
}

function recordedId({ mountId, uniqueId }: Extract<BindOrLink, { readonly backend: "bind" }>): MountId {
  return { mountId: BigInt(mountId), mountIdUnique: uniqueId };
}

function showsDirectory(seen: Stat, mounted: MountedAt): boolean {
  if (!isRecordedDirectory(mounted.directory, seen)) return false;
  // Inode numbers are unique only within a device, and some file systems keep no birth time.
  const device = deviceOf(mounted);
  return device?.devMajor === seen.devMajor && device.devMinor === seen.devMinor;
}

/** The device of the volume's content, or of its disk where the content has gone. */
function deviceOf({ diskRoot, uuid, directory }: MountedAt): Stat | undefined {
  return statOpened(() => openContent(diskRoot, uuid, directory)) ?? statOpened(() => openDisk(diskRoot));
}

function statOpened(openDirectory: () => number): Stat | undefined {
  try {
    return withDescriptors((keep) => statx(keep(openDirectory()), "", AT.EMPTY_PATH));
  } catch (error) {
    if (codeOf(error) === "damaged") return undefined;
    throw error;
  }
}
