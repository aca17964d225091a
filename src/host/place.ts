/**
 * Where a volume is, or shall be, mounted: one name below an open directory, in our own mount namespace or in a
 * container's. Only this file knows what differs between the two.
 */
import { HoldfastError } from "../domain/error.ts";
import type { ContainerProcess } from "../domain/records.ts";
import type { MountTarget } from "../ports/mounter.ts";
import {
  type ContainerNamespace,
  openContainer,
  openContainerIfRunning,
  openContainerRoot,
  openRootfs,
} from "./container-namespace.ts";
import {
  isErrno,
  MOVE_MOUNT,
  moveMount,
  moveMountAbroad,
  O,
  openat2Abroad,
  RESOLVE,
  UMOUNT,
  umount2,
  umount2Abroad,
} from "./syscalls.ts";
import { type Keep, openSandbox, openSandboxBelow, openSandboxIfPresent, openSandboxIfPresentBelow } from "./walk.ts";

export interface Place {
  /** The sandbox, open. */
  readonly directory: number;
  readonly name: string;
  /** Absent for our own. */
  readonly namespace?: ContainerNamespace;
}

/** What there still is of a place that was recorded. */
export interface Remains {
  /** Absent when the sandbox is gone. */
  readonly place?: Place;
  /** Absent for our own. */
  readonly namespace?: ContainerNamespace;
}

/**
 * Opens a place for a volume.
 * @throws `invalid` the sandbox is not a directory or its path has a symlink
 * @throws `no_such_process` the process has ended
 * @throws `unsupported` its namespace is our own, or the container's root cannot be told, or is not where it will be yet
 */
export function openPlace(target: MountTarget, action: string, keep: Keep): Place {
  const { process, sandbox, containerPath: name } = target;
  if (process === undefined) return { directory: keep(openSandbox(sandbox)), name };
  const { namespace, processRoot } = openContainer(process, action, keep);
  const root = openContainerRoot(processRoot, process.rootfs, keep);
  if (root === undefined) throw refuseRoot(process, action, "is another directory");
  if (!root.bound) throw refuseRoot(process, action, "is not mounted yet: what is mounted below it would not be seen");
  return { directory: keep(openSandboxBelow(root.fd, sandbox, process.pid)), name, namespace };
}

function refuseRoot({ pid, rootfs }: ContainerProcess, action: string, reason: string): HoldfastError {
  const message = `${action}: cannot tell the root of process ${pid}, ${rootfs?.path} ${reason}`;
  return new HoldfastError("unsupported", message);
}

/** Opens what is left of a recorded place; `undefined` when its process has ended. */
export function openRemains(target: MountTarget, action: string, keep: Keep): Remains | undefined {
  const { process, sandbox, containerPath: name } = target;
  if (process === undefined) {
    const directory = openSandboxIfPresent(sandbox);
    return directory === undefined ? {} : { place: { directory: keep(directory), name } };
  }
  const container = openContainerIfRunning(process, action, keep);
  if (container === undefined) return undefined;
  const { namespace, processRoot } = container;
  const root = openContainerRoot(processRoot, process.rootfs, keep);
  const directory = root === undefined ? undefined : openSandboxIfPresentBelow(root.fd, sandbox, process.pid);
  return directory === undefined
    ? { namespace }
    : { namespace, place: { directory: keep(directory), name, namespace } };
}

/**
 * Opens a place as our own namespace sees it: a container's through the directory that its runtime had named, which is
 * all that is left of it after its end. `undefined` when it is not there.
 */
export function openOutside({ process, sandbox, containerPath: name }: MountTarget, keep: Keep): Place | undefined {
  if (process === undefined) {
    const directory = openSandboxIfPresent(sandbox);
    return directory === undefined ? undefined : { directory: keep(directory), name };
  }
  const root = process.rootfs === undefined ? undefined : openRootfs(process.rootfs, keep);
  const directory = root === undefined ? undefined : openSandboxIfPresentBelow(root, sandbox, process.pid);
  return directory === undefined ? undefined : { directory: keep(directory), name };
}

/**
 * Opens a directory to which the root of a namespace, or in our own we, say this path; `undefined` when there is none,
 * or a symlink in it.
 */
export function openDirectorySeen(path: string, namespace: ContainerNamespace | undefined): number | undefined {
  if (namespace === undefined) return openSandboxIfPresent(path);
  try {
    const resolve = RESOLVE.NO_SYMLINKS | RESOLVE.NO_MAGICLINKS;
    return openat2Abroad(namespace.journey, path, { flags: O.PATH | O.DIRECTORY, resolve });
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR", "ELOOP", "EACCES")) return undefined;
    throw error;
  }
}

/** Attaches a detached mount to an open directory at the place. */
export function mountOnto(tree: number, target: number, { namespace }: Place): void {
  if (namespace !== undefined) moveMountAbroad(namespace.journey, tree, target);
  else moveMount(tree, "", target, "", MOVE_MOUNT.F_EMPTY_PATH | MOVE_MOUNT.T_EMPTY_PATH);
}

/**
 * Unmounts what is on top there; `flags` are `UMOUNT`. By directory and name, because a descriptor inside the mount
 * would make it busy.
 */
export function unmountFrom({ directory, name, namespace }: Place, flags: number): void {
  const wanted = flags | UMOUNT.NOFOLLOW;
  if (namespace !== undefined) umount2Abroad(namespace.journey, directory, name, wanted);
  else umount2(`/proc/self/fd/${directory}/${name}`, wanted);
}

/** Takes away what was mounted at the place by its own descriptor, because the name may lead elsewhere by now. */
export function takeBack(tree: number, { namespace }: Place): void {
  if (namespace !== undefined) umount2Abroad(namespace.journey, tree, ".", UMOUNT.DETACH);
  else umount2(`/proc/self/fd/${tree}`, UMOUNT.DETACH);
}
