/**
 * Sizes that hold on btrfs: the content of every volume, and of every spare, is a subvolume, which the kernel counts and
 * limits by its quota group. Which one it is stands in its identity, so that an id of a project is not needed.
 *
 * Anybody may make a subvolume inside of a volume, and what is in that one counts for itself: such are found and told.
 */
import { closeSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import { HoldfastError, messageOf } from "../domain/error.ts";
import type { Volume } from "../domain/records.ts";
import { type Incarnation, type MilliMb, toBytes } from "../domain/units.ts";
import type { Enlisted, Looseness, Spare, VolumeUsage } from "../ports/disk.ts";
import { errnoOf } from "./disk-error.ts";
import { type Durability, WITH_SUBVOLUMES } from "./durability.ts";
import { syncDescriptor } from "./durable.ts";
import type { Enforcer, EnforcerParts, Walk } from "./enforcer.ts";
import { makeIncarnation, removeUnused, SCOPE } from "./incarnation.ts";
import { ownTable } from "./mount-namespaces.ts";
import {
  createSubvolume,
  destroySubvolume,
  limitSubvolume,
  qgroupsConsistent,
  qgroupsEnabled,
  removeStaleGroups,
  usageOfSubvolume,
} from "./qgroups.ts";
import { AT, isErrno, O, openat2, statx, unlinkat } from "./syscalls.ts";
import { firstSubvolumeIn, pokeCleaner, qgroupLimitOf } from "./syscalls-btrfs.ts";
import { examineVolume, missingContent } from "./volume-content.ts";

const CONTENT = "content";
const RECLAIM = { ATTEMPTS: 30, PAUSE_MS: 100 } as const;
const PLAIN = "it is a plain directory, which quota groups do not know; copied to a new volume it would be held";
/** How long an answer about the whole file system is good for. */
const CONSISTENCY_MS = 1000;

/** Why volumes cannot be held by quota groups on a btrfs, for people; `undefined` when they can. */
export function whyNoQgroups(fd: number, root: string): string | undefined {
  if (!qgroupsEnabled(fd)) return `quota groups are off, run btrfs quota enable ${root}`;
  try {
    // Asks for what limits need too.
    firstSubvolumeIn(fd, 0n);
    return undefined;
  } catch (error) {
    if (!isErrno(error, "EPERM", "EACCES")) return messageOf(error);
    return "limits are for root alone (CAP_SYS_ADMIN, outside of user namespaces)";
  }
}

export function createQgroupEnforcer(parts: EnforcerParts): Enforcer {
  return new QgroupEnforcer(parts);
}

class QgroupEnforcer implements Enforcer {
  readonly enforcement = { by: "qgroup" } as const;
  readonly durability: Durability = WITH_SUBVOLUMES;
  readonly #parts: EnforcerParts;
  /** Outside of all volumes: in a full one the limit itself finds no room. */
  readonly #fd: number;
  #consistent = true;
  #consistentUntilMs = Number.NEGATIVE_INFINITY;

  constructor(parts: EnforcerParts) {
    this.#parts = parts;
    this.#fd = parts.places.volumes.fd;
    this.#removeStaleGroups();
  }

  /** Of an earlier process's volumes: older kernels keep the groups of subvolumes that are gone. */
  #removeStaleGroups(): void {
    try {
      removeStaleGroups(this.#fd);
    } catch (error) {
      this.#parts.log.debug({ root: this.#parts.root, err: error }, "Quota groups of removed volumes stay");
    }
  }

  mostSpares(): number {
    return Number.POSITIVE_INFINITY;
  }

  claim(): void {}

  make(uuid: Incarnation): Spare {
    return makeIncarnation(this.#fd, uuid, makeSubvolume);
  }

  /** A plain directory of before there were quota groups cannot be held. */
  keep(spare: Spare): Spare | undefined {
    return this.#subvolumeOf({ uuid: spare.uuid, phase: "live" }) === undefined ? undefined : spare;
  }

  discard(uuid: Incarnation): void {
    removeUnused(this.#fd, uuid);
  }

  limit(volume: Volume): void {
    const action = `Cannot limit volume ${volume.role}/${volume.id}`;
    const stat = examineVolume(this.#parts.places, volume);
    if (stat === undefined) throw missingContent(action);
    if (stat.subvolume === undefined) throw new HoldfastError("unsupported", `${action}: ${PLAIN}`);
    try {
      limitSubvolume(this.#fd, stat.subvolume, limitOf(volume.size));
    } catch (error) {
      if (!isErrno(error, "ENOTCONN", "ENOENT")) throw error;
      throw new HoldfastError("unsupported", `${action}: ${this.#notCounted}`, { cause: error });
    }
  }

  looseness(volume: Volume): Looseness | undefined {
    const stat = examineVolume(this.#parts.places, volume);
    // What is not there is another check's business.
    if (stat === undefined) return undefined;
    const { subvolume } = stat;
    if (subvolume === undefined) return { reason: PLAIN };
    const limit = unlessUncounted(() => ({ bytes: qgroupLimitOf(this.#fd, subvolume) }));
    if (limit === undefined) return { reason: this.#notCounted };
    const expected = limitOf(volume.size);
    if (limit.bytes !== expected) {
      return { reason: `its limit is ${limit.bytes ?? "no"} bytes, expected ${expected}`, cure: "limit" };
    }
    const nested = firstSubvolumeIn(this.#fd, subvolume);
    if (nested !== undefined) return { reason: `subvolume ${nested} was made inside of it and has no limit` };
    if (this.#isConsistent()) return undefined;
    return { reason: `quota groups are inconsistent, run btrfs quota rescan ${this.#parts.root}` };
  }

  /** The kernel does not count inodes here. */
  usageOf(volume: Volume): VolumeUsage | undefined {
    const id = this.#subvolumeOf(volume);
    const counted = id === undefined ? undefined : unlessUncounted(() => usageOfSubvolume(this.#fd, id));
    return counted === undefined ? undefined : { usedBytes: counted.usedBytes };
  }

  newProjectId(): undefined {}

  async enlist(_volume: Volume, { parent, name }: Walk, options: { readonly signal?: AbortSignal }): Promise<Enlisted> {
    const { usedBytes, inodes } = await this.#parts.census.measure(parent, name, options);
    return { usedBytes, inodes, wrong: 0, refused: 0 };
  }

  /**
   * In constant time: the kernel removes a subvolume with all its files. It would take away mounts in it too, silently
   * and in every namespace: then it is left to the purge, which names them; as are other subvolumes in it.
   */
  async destroy(uuid: Incarnation): Promise<number> {
    const directory = openIfPresent(this.#parts.places.trash.fd, uuid);
    if (directory === undefined) return 0;
    try {
      const id = removableIn(directory, this.#parts.places.trash.mountId);
      if (id === undefined || firstSubvolumeIn(this.#fd, id) !== undefined || isMountedIn(uuid)) return 0;
      // First, durably: half of what was there shall not be found and taken for a volume.
      const labels = removeLabel(directory);
      await syncDescriptor(directory);
      destroySubvolume(directory, CONTENT);
      return labels + 1;
    } finally {
      closeSync(directory);
    }
  }

  /** The kernel takes subvolumes apart in the background, after a commit. */
  async reclaimed(attempt: number): Promise<boolean> {
    if (attempt > RECLAIM.ATTEMPTS) return false;
    // The commit in another thread: what is left of it is short.
    await this.#parts.places.volumes.sync();
    pokeCleaner(this.#fd);
    await setTimeout(RECLAIM.PAUSE_MS);
    return true;
  }

  forget(): void {}

  #subvolumeOf(volume: Pick<Volume, "uuid" | "phase">): bigint | undefined {
    return examineVolume(this.#parts.places, volume)?.subvolume;
  }

  #isConsistent(): boolean {
    const nowMs = performance.now();
    if (nowMs < this.#consistentUntilMs) return this.#consistent;
    this.#consistentUntilMs = nowMs + CONSISTENCY_MS;
    this.#consistent = qgroupsConsistent(this.#fd);
    return this.#consistent;
  }

  get #notCounted(): string {
    return `quota groups are off or do not know it, run btrfs quota enable ${this.#parts.root}`;
  }
}

function unlessUncounted<Result>(ask: () => Result): Result | undefined {
  try {
    return ask();
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

function limitOf(size: MilliMb): number {
  // 0 would be a limit too.
  return Math.max(toBytes(size), 1);
}

function makeSubvolume(parentFd: number, uuid: Incarnation): void {
  const directory = openat2(parentFd, uuid, { flags: O.RDONLY | O.DIRECTORY, resolve: SCOPE });
  try {
    createSubvolume(directory, CONTENT);
  } finally {
    closeSync(directory);
  }
}

function openIfPresent(trashFd: number, uuid: Incarnation): number | undefined {
  try {
    return openat2(trashFd, uuid, { flags: O.RDONLY | O.DIRECTORY, resolve: SCOPE });
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR", "ELOOP", "EXDEV")) return undefined;
    throw error;
  }
}

/** The content's id, if it is a subvolume and nothing is mounted over it. */
function removableIn(directory: number, mountId: bigint): bigint | undefined {
  try {
    const stat = statx(directory, CONTENT, AT.SYMLINK_NOFOLLOW);
    return stat.mountId === mountId ? stat.subvolume : undefined;
  } catch (error) {
    if (isErrno(error, "ENOENT")) return undefined;
    throw error;
  }
}

/** Whether a mount point is in the content, as far as our own namespace goes. Its name is random, so it tells. */
function isMountedIn(uuid: Incarnation): boolean {
  return ownTable().text.includes(`/${uuid}/${CONTENT}/`);
}

function removeLabel(directory: number): number {
  try {
    unlinkat(directory, "label", 0);
    return 1;
  } catch (error) {
    if (isErrno(error, "ENOENT")) return 0;
    throw error;
  }
}
