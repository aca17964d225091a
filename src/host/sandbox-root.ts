/**
 * Makes a directory of sandboxes a shared mount of its own peer group, so that what is mounted and unmounted below it
 * reaches containers that already run, and nothing else. It is never undone: containers depend on it.
 */
import { closeSync } from "node:fs";
import { HoldfastError, messageOf } from "../domain/error.ts";
import { type MountEntry, readMountTable } from "./mount-table.ts";
import { MS, mount } from "./syscalls.ts";
import { openSandbox } from "./walk.ts";

/**
 * Repeating it is fine.
 * @param path absolute, without symlinks
 * @throws `invalid` it is not such a directory
 * @throws `unsupported` the kernel does not let us
 */
export function shareSandboxRoot(path: string): void {
  closeSync(openSandbox(path));
  try {
    if (!isMountPoint(path)) mount(path, path, null, MS.BIND | MS.REC);
    if (isSharedAlone(path)) return;
    // A bind of a shared mount joins its peer group: it must leave that group before it becomes one of its own.
    mount(null, path, null, MS.PRIVATE);
    mount(null, path, null, MS.SHARED);
  } catch (cause) {
    const reason = messageOf(cause);
    throw new HoldfastError("unsupported", `Cannot make sandbox root ${path} a shared mount: ${reason}`, { cause });
  }
  if (!isSharedAlone(path)) {
    throw new HoldfastError("unsupported", `Cannot make sandbox root ${path} a shared mount: it did not become one`);
  }
}

/** Whether the mount on top at this path is shared with no other mount of this namespace. */
export function isSharedAlone(path: string): boolean {
  const table = readMountTable("self");
  const group = topOf(table, path)?.propagation.shared;
  return group !== undefined && table.filter(({ propagation }) => propagation.shared === group).length === 1;
}

function isMountPoint(path: string): boolean {
  return topOf(readMountTable("self"), path) !== undefined;
}

function topOf(table: readonly MountEntry[], path: string): MountEntry | undefined {
  return table.findLast(({ mountPoint }) => mountPoint.toString() === path);
}
