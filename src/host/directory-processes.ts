/**
 * Processes that sit in directories that are no volumes. From an open directory `..` leads to all that it lies in. An
 * open file has no `..`: where our own mount table does not say where it lies, the directory that has it is looked up
 * as its process sees it, and where that fails it is looked for below the directories that are asked about.
 */
import { closeSync, constants, openSync } from "node:fs";
import { posix } from "node:path";
import { type Asked, type AskedDirectories, below, bytesOf, type Mount } from "./asked-directories.ts";
import { climb, examine, linksOf, lookUp, sameFile, tableId } from "./holding-processes.ts";
import { idsIn, tableOf } from "./mount-namespaces.ts";
import { linkOf, otherProcesses, refuseExhaustion } from "./processes.ts";
import { AT, O, openat2, RESOLVE, type Stat, statx } from "./syscalls.ts";

export interface KnownMounts {
  /** The mounts of our own namespace, by the id of its table. */
  readonly own: ReadonlyMap<string, Mount>;
  /** The ids of all mounts of all namespaces that have processes. */
  readonly attached: ReadonlySet<string>;
}

interface Search extends KnownMounts {
  readonly asked: AskedDirectories;
  readonly tableIds: Map<bigint, string>;
  /** Open files that were looked for already: many processes have the same. */
  readonly files: Map<string, readonly Asked[]>;
}

/** What a process has open. */
interface Open {
  readonly pid: number;
  readonly link: string;
  readonly path: string;
  readonly stat: Stat;
  /** Of its mount, as tables have it. */
  readonly mountId: string;
}

const { S_IFMT, S_IFDIR } = constants;

/** @throws `unavailable` when a process cannot be looked at for want of descriptors or memory */
export function findInside(
  asked: AskedDirectories,
  mounts: KnownMounts,
): readonly { readonly pid: number; readonly directory: string }[] {
  const search: Search = { ...mounts, asked, tableIds: new Map(), files: new Map() };
  return otherProcesses().flatMap((pid) => {
    const held = new Set<string>();
    for (const link of linksOf(pid, asked.devices)) {
      for (const { directory } of heldThrough(pid, link, search)) held.add(directory);
    }
    return Array.from(held, (directory) => ({ pid, directory }));
  });
}

function heldThrough(pid: number, link: string, search: Search): readonly Asked[] {
  const path = linkOf(link);
  // An empty one was too long to be told.
  if (path === undefined || (path !== "" && !path.startsWith("/"))) return [];
  const stat = examine(link);
  if (stat === undefined || search.asked.near(stat).length === 0) return [];
  const mountId = tableId(link, stat, search);
  // Closed meanwhile.
  if (mountId === undefined) return [];
  const open: Open = { pid, link, path, stat, mountId };
  if ((stat.mode & S_IFMT) === S_IFDIR) return aroundDirectory(open, search);
  const key = `${stat.devMajor}:${stat.devMinor} ${stat.ino} ${open.mountId} ${path}`;
  const known = search.files.get(key) ?? aroundFile(open, search);
  search.files.set(key, known);
  return known;
}

/** Those that a directory lies in. From a mount that is in no table, those that it cannot be told to lie outside of. */
function aroundDirectory(open: Open, search: Search): readonly Asked[] {
  const climbed = climb(open.link);
  if (climbed === undefined) return search.asked.near(open.stat);
  const held = search.asked.among(climbed);
  const top = climbed.at(-1);
  if (held.length > 0 || isAttached(open, search) || top === undefined) return held;
  return search.asked.near(open.stat).filter(({ above }) => !above.some(({ stat }) => sameFile(stat, top)));
}

/** Those that a file lies in. */
function aroundFile(open: Open, search: Search): readonly Asked[] {
  const mount = search.own.get(open.mountId);
  const path = mount && below(mount.mountPoint, bytesOf(open.path));
  if (mount !== undefined && path !== undefined) {
    return search.asked.holding(mount.device, posix.join(mount.root, path));
  }
  const seen = asItsProcessSees(open);
  if (seen !== undefined) return search.asked.among(seen);
  const near = search.asked.near(open.stat);
  const held = near.filter(({ directory }) => suffixesOf(open.path).some((suffix) => isFile(directory, suffix, open)));
  if (held.length > 0 || isAttached(open, search)) return held;
  return near.filter(({ above }) => !above.some((directory) => isFile(directory.path, open.path, open)));
}

/** The directories around a file, upwards, from where its process would find it; `undefined` when it is not there. */
function asItsProcessSees({ pid, path, stat }: Open): readonly Stat[] | undefined {
  let rootFd: number | undefined;
  let fd: number | undefined;
  try {
    rootFd = openSync(`/proc/${pid}/root`, O.PATH | O.DIRECTORY);
    fd = openat2(rootFd, posix.dirname(path), { flags: O.PATH | O.DIRECTORY, resolve: RESOLVE.IN_ROOT });
    const found = statx(fd, posix.basename(path), AT.SYMLINK_NOFOLLOW | AT.NO_AUTOMOUNT);
    return sameFile(found, stat) && found.mountId === stat.mountId ? climb(`/proc/thread-self/fd/${fd}`) : undefined;
  } catch (error) {
    refuseExhaustion(path, error);
    return undefined;
  } finally {
    if (fd !== undefined) closeSync(fd);
    if (rootFd !== undefined) closeSync(rootFd);
  }
}

/** A process may have come, or made its mount, since the tables were read: then its own says so. */
function isAttached({ mountId, pid }: Open, { attached }: Search): boolean {
  if (attached.has(mountId)) return true;
  const table = tableOf(pid);
  // Who has ended meanwhile holds nothing.
  return typeof table === "string" ? table === "gone" : idsIn(table).has(mountId);
}

function isFile(directory: string, path: string, file: Pick<Open, "stat">): boolean {
  const found = lookUp(directory, path);
  return found !== undefined && sameFile(found, file.stat);
}

/** `/a/b/c`, `/b/c` and `/c` of `/a/b/c`: what a path is below a directory that some mount shows somewhere. */
function suffixesOf(path: string): readonly string[] {
  return Array.from(path.matchAll(/\//g), ({ index }) => path.slice(index)).filter((suffix) => suffix.length > 1);
}
