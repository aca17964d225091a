/**
 * The mount table as text: `/proc/PID/mountinfo`. Its paths are chosen by whoever mounts, so a line is taken apart by
 * field positions, a line that breaks the rules is an error, and paths stay bytes. It is as long as there are mounts:
 * for recovery, audits and old kernels; one mount is asked about with `statx` and `statmount`.
 */
import { closeSync, openSync, readFileSync, readSync } from "node:fs";
import { HoldfastError } from "../domain/error.ts";
import type { MountRecord } from "../domain/records.ts";
import { show } from "../domain/refusal.ts";
import { AT, statx } from "./syscalls.ts";

export interface MountEntry {
  /** The old id, which the kernel uses again after an unmount. */
  readonly mountId: number;
  readonly parentId: number;
  /** `major:minor` of the file system. */
  readonly device: string;
  /** Which directory of the file system is mounted; not escaped, without the mark of a deleted one. */
  readonly root: Buffer;
  /** Whether the mounted directory was deleted. */
  readonly rootDeleted: boolean;
  /** Where, as the namespace's root sees it; not escaped. */
  readonly mountPoint: Buffer;
  /** Options of this mount, not of the file system: `rw`, `nosuid`. */
  readonly options: readonly string[];
  /** Peer groups. */
  readonly propagation: { readonly shared?: number; readonly master?: number; readonly unbindable: boolean };
  readonly fsType: string;
  /** Not escaped; for people. */
  readonly source: string;
}

export type Propagation = Extract<MountRecord, { readonly backend: "bind" }>["propagation"];

/**
 * The mounts of a process's namespace, in the kernel's order; `self` is the calling thread.
 * @throws an error of node:fs when the process is gone or may not be read
 * @throws `unavailable` when the table does not come to rest
 */
export function readMountTable(pid: number | "self"): readonly MountEntry[] {
  return parseMountTable(readWhole(pid === "self" ? "/proc/thread-self/mountinfo" : `/proc/${pid}/mountinfo`));
}

/** The mounts that a process sees, whose open directory in /proc this is. Throws as `readMountTable`. */
export function readMountTableBelow(processDirectory: number): readonly MountEntry[] {
  return parseMountTable(readWhole(`/proc/self/fd/${processDirectory}/mountinfo`));
}

/** Takes a mount table apart; the text has one character a byte (latin1). */
export function parseMountTable(text: string): readonly MountEntry[] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map(parseLine);
}

/** The mount of this (old) id in our namespace. Reads no further than its line, and mounts stand in order of age. */
export function findMount(mountId: number): MountEntry | undefined {
  const start = `${mountId} `;
  for (const line of linesOf("/proc/thread-self/mountinfo")) {
    if (line.startsWith(start)) return parseLine(line);
  }
  return undefined;
}

/** The id by which the table calls the mount that an open file is on, also where `statx` tells another one. */
export function tableIdOf(fd: number): number {
  const id = /^mnt_id:\s*(\d+)$/m.exec(readFileSync(`/proc/thread-self/fdinfo/${fd}`, "latin1"))?.[1];
  if (id === undefined) throw new HoldfastError("internal", `Cannot find the mount of descriptor ${fd} in its fdinfo`);
  return Number(id);
}

function* linesOf(path: string): Generator<string> {
  const fd = openSync(path, "r");
  try {
    const chunk = Buffer.alloc(16 * 1024);
    let rest = "";
    for (let length = readSync(fd, chunk); length > 0; length = readSync(fd, chunk)) {
      const lines = (rest + chunk.toString("latin1", 0, length)).split("\n");
      rest = lines.pop() ?? "";
      yield* lines;
    }
  } finally {
    closeSync(fd);
  }
}

/**
 * Kernels before 6.8 can lose a line between two reads of the file while others mount; they are asked until two
 * answers agree.
 */
function readWhole(path: string): string {
  let text = readFileSync(path, "latin1");
  if (statx(AT.FDCWD, "/", 0).mountIdUnique) return text;
  for (let attempt = 0; attempt < 20; attempt += 1) {
    const again = readFileSync(path, "latin1");
    if (again === text) return text;
    text = again;
  }
  throw new HoldfastError("unavailable", `Cannot read ${path}: it does not come to rest`);
}

const MINIMUM_FIELDS = 10;
const OPTIONAL_FIELDS_AT = 6;

function parseLine(line: string): MountEntry {
  // Exactly one space between fields: a source may be empty.
  const fields = line.split(" ");
  const separator = fields.indexOf("-", OPTIONAL_FIELDS_AT);
  const [mountId = "", parentId = "", device = "", root = "", mountPoint = "", options = ""] = fields;
  const [fsType = "", source = ""] = fields.slice(separator + 1);
  if (fields.length < MINIMUM_FIELDS || separator === -1 || separator + 3 >= fields.length) {
    throw brokenLine(line, "too few fields");
  }
  if (!/^\d{1,15} \d{1,15} \d{1,10}:\d{1,10}$/.test(`${mountId} ${parentId} ${device}`)) {
    throw brokenLine(line, "expected ids and a device");
  }
  const mountedRoot = unescapeField(root, line);
  const rootDeleted = mountedRoot.endsWith(DELETED);
  return {
    mountId: Number(mountId),
    parentId: Number(parentId),
    device,
    root: Buffer.from(rootDeleted ? mountedRoot.slice(0, -DELETED.length) : mountedRoot, "latin1"),
    rootDeleted,
    mountPoint: Buffer.from(unescapeField(mountPoint, line), "latin1"),
    options: options.split(","),
    propagation: parsePropagation(fields.slice(OPTIONAL_FIELDS_AT, separator), line),
    fsType: unescapeField(fsType, line),
    source: Buffer.from(unescapeField(source, line), "latin1").toString(),
  };
}

/** The start of a line tells which one it is. */
function brokenLine(line: string, reason: string): HoldfastError {
  return new HoldfastError("internal", `Cannot read mount table line ${show(line)}: ${reason}`);
}

// Two slashes never stand in a path, so this cannot be the end of a name.
const DELETED = "//deleted";

function parsePropagation(tags: readonly string[], line: string): MountEntry["propagation"] {
  const shared = peerGroup(tags, "shared:", line);
  const master = peerGroup(tags, "master:", line);
  return {
    ...(shared === undefined ? {} : { shared }),
    ...(master === undefined ? {} : { master }),
    unbindable: tags.includes("unbindable"),
  };
}

function peerGroup(tags: readonly string[], prefix: string, line: string): number | undefined {
  const group = tags.find((candidate) => candidate.startsWith(prefix))?.slice(prefix.length);
  if (group !== undefined && !/^\d{1,15}$/.test(group)) throw brokenLine(line, "expected a peer group");
  return group === undefined ? undefined : Number(group);
}

/** The kernel writes white space and backslashes as a backslash and three octal digits. */
function unescapeField(field: string, line: string): string {
  if (!field.includes("\\")) return field;
  return field.replaceAll(/\\([0-3][0-7]{2})?/g, (_, digits: string | undefined) => {
    if (digits === undefined) {
      throw brokenLine(line, "broken escape");
    }
    return String.fromCharCode(Number.parseInt(digits, 8));
  });
}
