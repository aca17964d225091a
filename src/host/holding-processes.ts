/**
 * Processes that sit in a volume: by working directory, root, open file or mapping. A path that leads through the
 * disk says so itself; through a bind mount it looks different, so the mount that was walked through is compared with
 * the mounts of the volume. A mount that was detached by force is in no table any more: then its directories are
 * climbed to the top, and its files looked up in the content.
 */
import { closeSync, openSync } from "node:fs";
import { dirname } from "node:path";
import type { Incarnation } from "../domain/units.ts";
import type { HoldingProcess } from "../ports/holders.ts";
import { incarnationsIn } from "./content-path.ts";
import { heldIn, mountTables } from "./held-mounts.ts";
import { SCOPE } from "./incarnation.ts";
import { tableIdOf } from "./mount-id.ts";
import { idsIn, type NamespaceTable, tableOf } from "./mount-namespaces.ts";
import {
  describeProcess,
  directoryOf,
  linkOf,
  namesIn,
  otherProcesses,
  refuseExhaustion,
  textOf,
} from "./processes.ts";
import { AT, O, openat2, type Stat, statx } from "./syscalls.ts";

/** Takes what the kernel knows; a dead server must not stop us. */
const STATX_DONT_SYNC = 0x4000;

interface Directory {
  readonly path: string;
  readonly stat: Stat;
}

/** The content of a wanted volume, where it is now. */
interface Content extends Directory {
  readonly uuid: Incarnation;
}

interface Search {
  readonly wanted: ReadonlySet<Incarnation>;
  readonly contents: readonly Content[];
  /** Every directory above them. */
  readonly above: readonly Directory[];
  /** Mount ids of wanted volumes. */
  readonly mounts: Map<string, readonly Incarnation[]>;
  /** All mount ids of all namespaces, as far as looked at. */
  readonly attached: Set<string>;
  /** Unique mount id to the one of the tables. */
  readonly tableIds: Map<bigint, string>;
}

/**
 * `diskRoots` are where the volumes may lie. Processes that are hidden from us are left out.
 * @throws `unavailable` when a process cannot be looked at for want of descriptors or memory
 */
export function findHoldingProcesses(
  uuids: readonly Incarnation[],
  diskRoots: readonly string[],
): readonly HoldingProcess[] {
  const search = prepare(uuids, diskRoots);
  const devices = new Set(search.contents.map(({ stat }) => deviceText(stat)));
  const found: HoldingProcess[] = [];
  for (const pid of otherProcesses()) {
    const held = new Set<Incarnation>();
    for (const link of linksOf(pid, devices)) {
      for (const uuid of heldThrough(pid, link, search)) held.add(uuid);
    }
    for (const uuid of held) found.push({ uuid, pid, ...describeProcess(pid) });
  }
  return found;
}

function prepare(uuids: readonly Incarnation[], diskRoots: readonly string[]): Search {
  const places = diskRoots.flatMap((root) => [`${root}/volumes`, `${root}/trash`]);
  const search: Search = {
    wanted: new Set(uuids),
    contents: findContents(uuids, places),
    above: findAbove(places),
    mounts: new Map(),
    attached: new Set(),
    tableIds: new Map(),
  };
  for (const table of mountTables()) learn(search, table);
  return search;
}

function learn({ attached, mounts, wanted }: Search, table: NamespaceTable): void {
  for (const id of idsIn(table)) attached.add(id);
  for (const { mountId, uuid } of heldIn(table, wanted)) {
    mounts.set(mountId, [...(mounts.get(mountId) ?? []), uuid]);
  }
}

/** A process may have come, or made its mount, since the tables were read: then its own says so. */
function isAttached(mountId: string, pid: number, search: Search): boolean {
  if (search.attached.has(mountId)) return true;
  const table = tableOf(pid);
  // Who has ended meanwhile holds nothing.
  if (typeof table === "string") return table === "gone";
  learn(search, table);
  return search.attached.has(mountId);
}

function findContents(uuids: readonly Incarnation[], places: readonly string[]): readonly Content[] {
  return uuids.flatMap((uuid) =>
    places.flatMap((place) => examineAll([`${place}/${uuid}/content`]).map((directory) => ({ uuid, ...directory }))),
  );
}

function findAbove(places: readonly string[]): readonly Directory[] {
  const paths = new Set<string>();
  for (const place of places) {
    for (let path = place; !paths.has(path); path = dirname(path)) paths.add(path);
  }
  return examineAll([...paths]);
}

function examineAll(paths: readonly string[]): readonly Directory[] {
  return paths.flatMap((path) => {
    const stat = examine(path);
    return stat === undefined ? [] : [{ path, stat }];
  });
}

/** The links in /proc through which a process may hold a file; of its mappings, those on these devices (`deviceText`). */
export function* linksOf(pid: number, devices: ReadonlySet<string>): Generator<string> {
  const directory = directoryOf(pid);
  yield `${directory}/cwd`;
  yield `${directory}/root`;
  for (const fd of namesIn(`${directory}/fd`)) yield `${directory}/fd/${fd}`;
  const mapped = new Set<string>();
  for (const line of textOf(`${directory}/maps`)?.split("\n") ?? []) {
    const [range = "", , , device = "", inode = ""] = line.split(" ", 5);
    const file = `${device} ${inode}`;
    if (inode === "0" || mapped.has(file) || !devices.has(device)) continue;
    mapped.add(file);
    yield `/proc/${pid}/map_files/${range}`;
  }
}

function heldThrough(pid: number, link: string, search: Search): readonly Incarnation[] {
  const path = linkOf(link);
  // An empty one was too long to be told.
  if (path === undefined || (path !== "" && !path.startsWith("/"))) return [];
  const named = incarnationsIn(path).filter((uuid) => search.wanted.has(uuid));
  if (named.length > 0) return named;
  const stat = examine(link);
  if (stat === undefined) return [];
  const contents = search.contents.filter((content) => sameDevice(content.stat, stat));
  if (contents.length === 0) return [];
  const itself = contents.filter((content) => sameFile(content.stat, stat));
  if (itself.length > 0) return itself.map(({ uuid }) => uuid);
  const mountId = tableId(link, stat, search);
  if (mountId === undefined) return [];
  if (isAttached(mountId, pid, search)) return search.mounts.get(mountId) ?? [];
  return heldDetached({ link, path, stat }, contents, search.above);
}

/** Through a mount that is in no table: what cannot be told apart counts for every volume of the device. */
function heldDetached(
  { link, path, stat }: Directory & { readonly link: string },
  contents: readonly Content[],
  above: readonly Directory[],
): readonly Incarnation[] {
  const top = climb(link)?.at(-1);
  const isTop = (directory: Directory): boolean => top !== undefined && sameFile(directory.stat, top);
  const leadsThere = (directory: Directory): boolean => {
    const found = lookUp(directory.path, path);
    return found !== undefined && sameFile(found, stat);
  };
  for (const told of [isTop, leadsThere]) {
    const held = contents.filter(told);
    if (held.length > 0) return held.map(({ uuid }) => uuid);
    // A mount of something above the volumes: whoever uses it is no more in a volume than anybody else.
    if (above.some(told)) return [];
  }
  return contents.map(({ uuid }) => uuid);
}

/** A directory and those that `..` leads to from there, upwards; `undefined` from a file. */
export function climb(link: string): readonly Stat[] | undefined {
  const climbed: Stat[] = [];
  let fd: number | undefined;
  try {
    fd = openSync(link, O.PATH | O.DIRECTORY);
    for (;;) {
      const here = statx(fd, "", AT.EMPTY_PATH);
      const below = climbed.at(-1);
      if (below !== undefined && below.ino === here.ino && below.mountId === here.mountId) return climbed;
      climbed.push(here);
      const parentFd = openat2(fd, "..", { flags: O.PATH | O.DIRECTORY });
      closeSync(fd);
      fd = parentFd;
    }
  } catch (error) {
    refuseExhaustion(link, error);
    return undefined;
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

/** What a path, as seen from the top of a mount, is if this directory is what the mount shows. */
export function lookUp(directory: string, path: string): Stat | undefined {
  let directoryFd: number | undefined;
  let fd: number | undefined;
  try {
    directoryFd = openSync(directory, O.PATH | O.DIRECTORY | O.NOFOLLOW);
    fd = openat2(directoryFd, path.slice(1), { flags: O.PATH, resolve: SCOPE });
    return statx(fd, "", AT.EMPTY_PATH);
  } catch (error) {
    refuseExhaustion(directory, error);
    return undefined;
  } finally {
    if (fd !== undefined) closeSync(fd);
    if (directoryFd !== undefined) closeSync(directoryFd);
  }
}

/** The id by which the tables know the mount that a link leads through. */
export function tableId(link: string, stat: Stat, search: Pick<Search, "tableIds">): string | undefined {
  if (!stat.mountIdUnique) return String(stat.mountId);
  const known = search.tableIds.get(stat.mountId);
  if (known !== undefined) return known;
  const id = readTableId(link);
  if (id !== undefined) search.tableIds.set(stat.mountId, id);
  return id;
}

function readTableId(link: string): string | undefined {
  let fd: number | undefined;
  try {
    fd = openSync(link, O.PATH);
    return String(tableIdOf(fd));
  } catch (error) {
    refuseExhaustion(link, error);
    return undefined;
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

export function examine(path: string): Stat | undefined {
  try {
    return statx(AT.FDCWD, path, AT.NO_AUTOMOUNT | STATX_DONT_SYNC);
  } catch (error) {
    refuseExhaustion(path, error);
    return undefined;
  }
}

function sameDevice(left: Stat, right: Stat): boolean {
  return left.devMajor === right.devMajor && left.devMinor === right.devMinor;
}

export function sameFile(left: Stat, right: Stat): boolean {
  return left.ino === right.ino && sameDevice(left, right);
}

/** As /proc/PID/maps writes it: hexadecimal, at least two digits each. */
export function deviceText({ devMajor, devMinor }: Stat): string {
  return [devMajor, devMinor].map((number) => number.toString(16).padStart(2, "0")).join(":");
}
