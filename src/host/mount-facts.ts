/** What the kernel says about one mount, by its id, in our own mount namespace or in a container's. */
import { HoldfastError } from "../domain/error.ts";
import type { ContainerNamespace } from "./container-namespace.ts";
import { errnoOf } from "./disk-error.ts";
import { findMount, type MountEntry, type Propagation, readMountTableBelow } from "./mount-table.ts";
import { AT, isErrno, MOUNT_ATTR, MS, mountDetails, type Stat, statx } from "./syscalls.ts";

/** As `statx` tells it. */
export type MountId = Pick<Stat, "mountId" | "mountIdUnique">;

export interface MountFacts {
  /** The id, of the same kind, of the mount that this one is mounted on. */
  readonly parentId: bigint;
  /** `MOUNT_ATTR` flags in force. */
  readonly attributes: number;
  readonly propagation: Propagation;
  /** `major:minor` of the file system. */
  readonly device: string;
  /** Which directory of the file system is mounted. */
  readonly root: string;
  /** Where; empty when that is not below the namespace's root. */
  readonly mountPoint: string;
}

/**
 * `undefined` when there is no such mount (any more).
 * @throws `no_such_process` the kernel tells it by a process alone, and that has ended
 */
export function factsOf({ mountId, mountIdUnique }: MountId, namespace?: ContainerNamespace): MountFacts | undefined {
  if (!mountIdUnique) return factsByTable(Number(mountId), namespace);
  try {
    const details = mountDetails(mountId, namespace);
    if (details !== undefined) return { ...details, propagation: propagationOfFlags(details.propagation) };
  } catch (error) {
    if (isErrno(error, "ENOENT")) return undefined;
    throw error;
  }
  throw new HoldfastError("unavailable", `Cannot ask for mount ${mountId}: the kernel does not let us`);
}

/** Which mount an open file is on. */
export function mountOf(fd: number): MountId {
  return statx(fd, "", AT.EMPTY_PATH);
}

/** Whether mounts made below this open directory are seen in other mount namespaces. */
export function propagationOf(fd: number, namespace?: ContainerNamespace): Propagation {
  const id = mountOf(fd);
  const facts = factsOf(id, namespace);
  if (facts === undefined) throw new HoldfastError("unavailable", `Cannot find mount ${id.mountId}: it is gone`);
  return facts.propagation;
}

function propagationOfFlags(flags: number): Propagation {
  if ((flags & MS.SHARED) !== 0) return "shared";
  if ((flags & MS.SLAVE) !== 0) return "slave";
  return (flags & MS.UNBINDABLE) === 0 ? "private" : "unbindable";
}

function factsByTable(mountId: number, namespace: ContainerNamespace | undefined): MountFacts | undefined {
  const entry =
    namespace === undefined
      ? findMount(mountId)
      : tableOf(namespace).find((candidate) => candidate.mountId === mountId);
  return entry && factsOfEntry(entry);
}

/** A process that has ended, but was not waited for yet, has an invalid one. */
const ENDED: readonly (string | undefined)[] = ["ENOENT", "ESRCH", "EINVAL"];

function tableOf({ processDirectory, pid }: ContainerNamespace): readonly MountEntry[] {
  try {
    return readMountTableBelow(processDirectory);
  } catch (cause) {
    if (!ENDED.includes(errnoOf(cause))) throw cause;
    throw new HoldfastError("no_such_process", `Cannot ask for the mounts of process ${pid}: it has ended`, { cause });
  }
}

/** Facts as a line of mountinfo has them. */
export function factsOfEntry(entry: MountEntry): MountFacts {
  return {
    parentId: BigInt(entry.parentId),
    attributes: attributesOf(entry.options),
    propagation: propagationOfTags(entry.propagation),
    device: entry.device,
    root: entry.root.toString(),
    mountPoint: entry.mountPoint.toString(),
  };
}

function attributesOf(options: readonly string[]): number {
  let attributes = 0;
  if (options.includes("ro")) attributes |= MOUNT_ATTR.RDONLY;
  if (options.includes("nosuid")) attributes |= MOUNT_ATTR.NOSUID;
  if (options.includes("nodev")) attributes |= MOUNT_ATTR.NODEV;
  return attributes;
}

function propagationOfTags({ shared, master, unbindable }: MountEntry["propagation"]): Propagation {
  if (shared !== undefined) return "shared";
  if (master !== undefined) return "slave";
  return unbindable ? "unbindable" : "private";
}
