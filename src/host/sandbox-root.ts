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

/** What a sandbox root is now, without changing it. */
export type SandboxRootState =
  /** A shared mount whose peer group has no other mount of this namespace. */
  | { readonly is: "shared alone" }
  | { readonly is: "no mount" }
  | { readonly is: "not shared" }
  /** What is mounted below it appears there too. */
  | { readonly is: "shared with others"; readonly others: readonly string[] };

/** @throws `invalid` it is no directory without symlinks */
export function examineSandboxRoot(path: string): SandboxRootState {
  closeSync(openSandbox(path));
  const table = readMountTable("self");
  const top = topOf(table, path);
  if (top === undefined) return { is: "no mount" };
  const group = top.propagation.shared;
  if (group === undefined) return { is: "not shared" };
  const others = table.filter((entry) => entry !== top && entry.propagation.shared === group);
  if (others.length === 0) return { is: "shared alone" };
  return { is: "shared with others", others: others.map(({ mountPoint }) => mountPoint.toString()) };
}

function isSharedAlone(path: string): boolean {
  return examineSandboxRoot(path).is === "shared alone";
}

function isMountPoint(path: string): boolean {
  return topOf(readMountTable("self"), path) !== undefined;
}

function topOf(table: readonly MountEntry[], path: string): MountEntry | undefined {
  return table.findLast(({ mountPoint }) => mountPoint.toString() === path);
}
