/**
 * What a disk does with the content of its volumes as a whole: copies that of another volume, in one step where both are
 * subvolumes of one btrfs, and gives it to a group. What is opened is the recorded directory, reached as everything
 * below a disk is: through no symlink and into no other mount.
 */
import { closeSync, statfsSync } from "node:fs";
import { HoldfastError } from "../domain/error.ts";
import { type DirectoryIdentity, sameDirectory, type Volume } from "../domain/records.ts";
import { toBytes, toMb } from "../domain/units.ts";
import type { CopyDiskOptions, CopyFrom } from "../ports/disk.ts";
import { createCopier } from "./copier.ts";
import type { TreeOrder } from "./copy-tree.ts";
import { diskError, errnoOf } from "./disk-error.ts";
import type { DiskPlaces } from "./disk-places.ts";
import { syncAt } from "./durable.ts";
import type { Enforcer } from "./enforcer.ts";
import { isGroups } from "./group-tree.ts";
import { identityOf } from "./identity.ts";
import { contentOf, SCOPE } from "./incarnation.ts";
import { AT, isErrno, O, openat2, RENAME, renameat2, SystemCallError, statx } from "./syscalls.ts";
import { examineOriginal } from "./syscalls-copy.ts";
import { openDisk } from "./walk.ts";

interface Parts {
  readonly root: string;
  readonly places: DiskPlaces;
  readonly enforcer: Enforcer;
}

/** What the port says; `discard` moves only, and its caller makes that durable. */
export interface ContentCopying {
  copy(volume: Volume, from: CopyFrom, options: CopyDiskOptions): Promise<DirectoryIdentity>;
  /** @throws what the kernel says */
  discard(volume: Volume): void;
  giveToGroup(volume: Volume, group: number, options: { readonly signal?: AbortSignal }): Promise<void>;
  close(): Promise<void>;
}

const DIRECTORY = O.RDONLY | O.DIRECTORY;
/** With less than this a disk is full, whatever the limit of a volume. */
const FULL_BYTES = 4 * 2 ** 20;

export function createContentCopying({ root, places, enforcer }: Parts): ContentCopying {
  const copier = createCopier();
  // Whoever attaches does not wait for a copy's turn, nor for its sync.
  const granter = createCopier();
  const { volumes, trash } = places;

  async function copyInto(volume: Volume, fromFd: number, options: CopyDiskOptions): Promise<void> {
    const { uuid } = volume;
    if (options.signal?.aborted === true) throw new HoldfastError("unavailable", "Cannot copy: interrupted");
    enforcer.limit(volume);
    if (await copier.snapshot({ from: fromFd, volumes: volumes.fd, uuid })) {
      enforcer.limit(volume);
      requireRoom(enforcer, volume);
      await syncAt(volumes.fd, uuid, { directory: true, resolve: SCOPE });
      return;
    }
    const to = openat2(volumes.fd, contentOf(uuid), { flags: DIRECTORY, resolve: SCOPE });
    try {
      const bound = enforcer.enforcement.by === "nothing" ? { maxBytes: toBytes(volume.size) } : {};
      await copyWithin(volume, { from: fromFd, to, ...bound }, options);
    } finally {
      closeSync(to);
    }
  }

  /** ext4 lets root write beyond a limit, so what the kernel counts is looked at on the way. */
  async function copyWithin(volume: Volume, order: TreeOrder, options: CopyDiskOptions): Promise<void> {
    const overLimit = new AbortController();
    const signals = options.signal === undefined ? [overLimit.signal] : [overLimit.signal, options.signal];
    const onBytes = (copiedBytes: number): void => {
      options.onBytes?.(copiedBytes);
      if (isOverLimit(enforcer, volume)) overLimit.abort();
    };
    try {
      await copier.copy(order, { signal: AbortSignal.any(signals), onBytes });
    } catch (error) {
      throw overLimit.signal.aborted ? new SystemCallError("copy", EDQUOT, "") : error;
    }
    requireRoom(enforcer, volume);
  }

  return {
    async copy(volume, from, options) {
      const action = `Cannot copy ${nameOf(from.volume)} as ${nameOf(volume)}`;
      try {
        const fromFd = openContentOf(from);
        try {
          await copyInto(volume, fromFd, options);
        } finally {
          closeSync(fromFd);
        }
        return identityOf(statx(volumes.fd, contentOf(volume.uuid), AT.SYMLINK_NOFOLLOW));
      } catch (error) {
        throw explain(action, { error, volume, isFull: () => isFull(volumes.fd) });
      }
    },
    discard({ uuid }) {
      try {
        renameat2(volumes.fd, uuid, trash.fd, uuid, RENAME.NOREPLACE);
      } catch (error) {
        if (!isErrno(error, "ENOENT")) throw error;
      }
    },
    async giveToGroup(volume, group, options) {
      const action = `Cannot give volume ${nameOf(volume)} to group ${group}`;
      try {
        const fd = openContentOf({ diskRoot: root, volume });
        try {
          if (!isGroups(examineOriginal(fd), group)) await granter.giveToGroup({ fd, group }, options);
        } finally {
          closeSync(fd);
        }
      } catch (error) {
        throw explain(action, { error, volume, isFull: () => false });
      }
    },
    async close() {
      await Promise.all([copier.close(), granter.close()]);
    },
  };
}

/** Open for reading; the caller closes it. */
function openContentOf({ diskRoot, volume }: CopyFrom): number {
  const disk = openDisk(diskRoot);
  try {
    const fd = openat2(disk, `volumes/${contentOf(volume.uuid)}`, { flags: DIRECTORY, resolve: SCOPE });
    if (sameDirectory(identityOf(statx(fd, "", AT.EMPTY_PATH)), volume.directory)) return fd;
    closeSync(fd);
    throw new HoldfastError("damaged", `Cannot use volume ${nameOf(volume)}: another directory is in its place`);
  } catch (error) {
    if (!isErrno(error, "ENOENT", "ENOTDIR", "ELOOP", "EXDEV")) throw error;
    const found = error.errno === "ENOENT" ? "its directory is missing" : "something else is in its place";
    throw new HoldfastError("damaged", `Cannot use volume ${nameOf(volume)}: ${found}`, { cause: error });
  } finally {
    closeSync(disk);
  }
}

/** A snapshot has everything at once; the limit refuses only what comes behind it. */
function requireRoom(enforcer: Enforcer, volume: Volume): void {
  if (isOverLimit(enforcer, volume)) throw new SystemCallError("copy", EDQUOT, "");
}

function isOverLimit(enforcer: Enforcer, volume: Volume): boolean {
  return (enforcer.usageOf(volume)?.usedBytes ?? 0) > toBytes(volume.size);
}

interface Failure {
  readonly error: unknown;
  readonly volume: Volume;
  readonly isFull: () => boolean;
}

function explain(action: string, { error, volume, isFull }: Failure): HoldfastError {
  const errno = errnoIn(error);
  if (errno === "EDQUOT" || errno === "ENOSPC") {
    const reason = isFull() ? "the disk is full" : `its content does not fit into ${toMb(volume.size)} MB`;
    return new HoldfastError("insufficient", `${action}: ${reason}`, {
      cause: error,
      details: { wantedMb: toMb(volume.size) },
    });
  }
  if (!(error instanceof HoldfastError)) return diskError(action, error);
  if (errno === undefined) return new HoldfastError(error.code, `${action}: ${reasonIn(error)}`, { cause: error });
  if (UNPERMITTED.includes(errno))
    return new HoldfastError("unsupported", `${action}: ${error.message}`, { cause: error });
  return new HoldfastError(error.code, `${action}: ${error.message}`, { cause: error });
}

const EDQUOT = 122;
/** The kernel would not let us, or the file system cannot. */
const UNPERMITTED: readonly string[] = ["EPERM", "EACCES", "EOPNOTSUPP", "ENOTSUP"];

/** The same from the other thread, where only text comes through. */
function errnoIn(error: unknown): string | undefined {
  const errno = error instanceof HoldfastError ? error.details?.["errno"] : errnoOf(error);
  return typeof errno === "string" ? errno : undefined;
}

/** What comes behind the colon: the beginning says the same as the action. */
function reasonIn({ message }: HoldfastError): string {
  return message.slice(message.indexOf(": ") + 2);
}

function isFull(fd: number): boolean {
  const { bavail, bsize } = statfsSync(`/proc/self/fd/${fd}`);
  return bavail * bsize < FULL_BYTES;
}

function nameOf({ role, id }: Volume): string {
  return `${role}/${id}`;
}
