/**
 * Who has directories that are no volumes. Their names are anybody's, so they are told by where they lie: each mount
 * table says which part of a file system a mount shows and, by the mount below it, on which part it lies.
 */
import { posix } from "node:path";
import type { DirectoryHolder } from "../ports/holders.ts";
import { type Asked, type AskedDirectories, askFor, below, bytesOf, type Mount } from "./asked-directories.ts";
import { findInside } from "./directory-processes.ts";
import { mountTables } from "./held-mounts.ts";
import type { NamespaceTable } from "./mount-namespaces.ts";
import { parseMountTable } from "./mount-table.ts";
import { asFarAsTold, ifThere, mountsOf, otherNamespaces } from "./namespace-walk.ts";
import { describeProcess } from "./processes.ts";
import { type MountDetails, mountDetails } from "./syscalls.ts";

/** A container that is being started has for a moment what may lie anywhere: a look that finds somebody is not the last. */
const LOOKS_MAX = 3;
const PAUSE_MS = 20;
const pause = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));

/**
 * Mounts first, then processes; of each directory what was found of it.
 * @throws `unavailable` when a namespace or process cannot be ruled out, or a directory is not there
 */
export function findDirectoryHolders(directories: readonly string[]): readonly DirectoryHolder[] {
  if (directories.length === 0) return [];
  for (let look = 1; ; look += 1) {
    const found = lookForHolders(directories);
    if (found.length === 0 || look === LOOKS_MAX) return found;
    Atomics.wait(pause, 0, 0, PAUSE_MS);
  }
}

function lookForHolders(directories: readonly string[]): readonly DirectoryHolder[] {
  const asked = askFor(directories);
  const found: DirectoryHolder[] = [];
  const own = new Map<string, Mount>();
  const attached = new Set<string>();
  for (const table of mountTables()) {
    const isOwn = table.namespace === "host";
    const mounts = mountsIn(table);
    for (const mount of mounts) {
      attached.add(mount.id);
      if (isOwn) own.set(mount.id, mount);
    }
    found.push(...amongMounts(asked, mounts, isOwn ? undefined : table.pid));
  }
  const known = new Set(found.map(({ directory }) => directory));
  found.push(...withoutProcess(asked).filter(({ directory }) => !known.has(directory)));
  for (const { pid, directory } of findInside(asked, { own, attached })) {
    found.push({ directory, phrase: `${whoIs(pid)} is in it`, pid });
  }
  return found;
}

function mountsIn({ text }: NamespaceTable): readonly Mount[] {
  return parseMountTable(text).map(({ mountId, parentId, device, root, mountPoint }) => ({
    id: String(mountId),
    parentId: String(parentId),
    device,
    root: root.toString("latin1"),
    mountPoint: mountPoint.toString("latin1"),
  }));
}

/** Mounts of the directories or of something in them, and mounts on something in them. */
function amongMounts(asked: AskedDirectories, mounts: readonly Mount[], pid: number | undefined): DirectoryHolder[] {
  const byId = new Map(mounts.map((mount) => [mount.id, mount]));
  return mounts.flatMap((mount) => {
    const shown = asked.holding(mount.device, mount.root);
    const covered = coveredBy(asked, mount, byId.get(mount.parentId)).filter((one) => !shown.includes(one));
    return [
      ...shown.map((one) => held(one, "it is mounted at", mount, pid)),
      ...covered.map((one) => held(one, "something is mounted in it, at", mount, pid)),
    ];
  });
}

/** Those that a mount lies in. */
function coveredBy(asked: AskedDirectories, mount: Mount, parent: Mount | undefined): readonly Asked[] {
  // What a namespace begins with lies on nothing.
  if (parent === undefined || parent.id === mount.id) return [];
  const path = below(parent.mountPoint, mount.mountPoint);
  return path === undefined ? [] : asked.holding(parent.device, posix.join(parent.root, path));
}

/** In other namespaces, as far as the kernel tells of them: some have no process. */
function withoutProcess(asked: AskedDirectories): readonly DirectoryHolder[] {
  const look = (): readonly DirectoryHolder[] =>
    [...otherNamespaces()].flatMap((namespaceId) => {
      const mounts = Array.from(mountsOf(namespaceId), BigInt).flatMap((id) => {
        const details = ifThere(() => mountDetails(id, { namespaceId }));
        return details === undefined ? [] : mountOfDetails(id, details);
      });
      return amongMounts(asked, mounts, undefined);
    });
  return asFarAsTold(look) ?? [];
}

function mountOfDetails(id: bigint, { parentId, device, root, mountPoint }: MountDetails): Mount {
  return {
    id: String(id),
    parentId: String(parentId),
    device,
    root: bytesOf(root),
    mountPoint: bytesOf(mountPoint),
  };
}

function held({ directory }: Asked, how: string, { mountPoint }: Mount, pid: number | undefined): DirectoryHolder {
  const phrase = `${how} ${Buffer.from(mountPoint, "latin1").toString()}`;
  return pid === undefined ? { directory, phrase } : { directory, phrase: `${phrase} (${whoIs(pid)})`, pid };
}

function whoIs(pid: number): string {
  const { command, cgroup } = describeProcess(pid);
  return `process ${pid}, ${command}, ${cgroup}`;
}
