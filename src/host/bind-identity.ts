/** Which mount is which: by the kernel's id, and by the directory that it shows. */
import { codeOf } from "../domain/error.ts";
import type { MountRecord } from "../domain/records.ts";
import type { MountedAt } from "../ports/mounter.ts";
import { propagationOf } from "./mount-table.ts";
import { AT, type Stat, statx } from "./syscalls.ts";
import { isRecordedDirectory, openContent, openDisk, withDescriptors } from "./walk.ts";

/** What is recorded about a mount on a mountpoint of this sandbox. */
export function bindRecord(seen: Stat, sandboxFd: number): MountRecord {
  return {
    backend: "bind",
    mountId: String(seen.mountId),
    uniqueId: seen.mountIdUnique,
    propagation: propagationOf(sandboxFd),
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
