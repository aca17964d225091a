/**
 * What was seen of the world that no record says: damage, failures that are being retried, orphans. It is derived
 * anew by every recovery and reconcile, so it is kept in memory only.
 */
import type { DirectoryIdentity } from "../domain/records.ts";
import type { ContainerId, Incarnation, WallMs } from "../domain/units.ts";
import type { Disk, DiskUsage, VolumeUsage } from "../ports/disk.ts";

/** When somebody looked, by boot time, and how long that took, milliseconds. */
interface Look {
  readonly atMs: number;
  readonly tookMs: number;
}

interface Retry {
  readonly reason: string;
  readonly attempts: number;
  /** Boot time of the next attempt, milliseconds. */
  readonly nextAtMs: number;
}

/** A copy that is being made. */
export interface RunningCopy extends Pick<PromiseWithResolvers<void>, "resolve" | "reject"> {
  /** Whose content it reads. */
  readonly source: Incarnation;
  /** The name of the copy, for people. */
  readonly name: string;
  progress: { readonly copiedBytes: number; readonly totalBytes?: number };
  /** Its content, once all of it is there. */
  directory?: DirectoryIdentity;
  /** Settles when it is a volume, or nothing is left of it. */
  readonly ended: Promise<void>;
}

/** From then on a volume took so much. */
export interface UsePoint {
  readonly at: WallMs;
  readonly usedBytes: number;
}

const FIRST_RETRY_MS = 1_000;
const LONGEST_RETRY_MS = 5 * 60_000;

export class Observations {
  /** Volumes whose directory is not what was recorded: why, and what to do. */
  readonly damage = new Map<Incarnation, string>();
  /** Attachments whose mount is not what was recorded. Key: `attachmentKey`. */
  readonly mounts = new Map<string, string>();
  /** Directories that no record names, as paths. */
  orphans: readonly string[] = [];
  /** Disk that takes no new reservations, by source key: why. */
  readonly closedDisks = new Map<string, string>();
  /** Disks that are there and cannot be written to, by source key: why. */
  readonly readOnly = new Map<string, string>();
  /** How each disk stood when it was last measured, by source key. */
  readonly usage = new Map<string, DiskUsage>();
  /** What the live volumes of a disk may still fill, bytes, by source key; as far as their usage is known. */
  readonly promised = new Map<string, number>();
  /** What volumes take that no quota counts, as last measured. */
  readonly measured = new Map<Incarnation, VolumeUsage>();
  /** When volumes were looked into, file by file. */
  readonly lookedInto = new Map<Incarnation, Look>();
  /** Volumes that the kernel should hold to their sizes and does not: why. */
  readonly loose = new Map<Incarnation, string>();
  /** Volumes that are larger than their size: what they take. */
  oversized: ReadonlyMap<Incarnation, number> = new Map();
  /** Live volumes that people were warned of because they are nearly full: what part of their size is used. */
  readonly nearlyFull = new Map<Incarnation, number>();
  /** Copies that are being made, by the new volume. */
  readonly copies = new Map<Incarnation, RunningCopy>();
  /** What volumes took over time, oldest first. */
  readonly useHistory = new Map<Incarnation, readonly UsePoint[]>();
  /** Disks that are being measured. */
  readonly usageAsked = new Map<Disk, Promise<DiskUsage>>();
  /** Of volumes by incarnation, of sandboxes by path. */
  readonly #retries = new Map<string, Retry>();

  /** Why a volume cannot be used, from its directory or from one of its mounts. */
  damageOf(uuid: Incarnation): string | undefined {
    const damage = this.damage.get(uuid);
    if (damage !== undefined) return damage;
    for (const [key, problem] of this.mounts) if (key.endsWith(uuid)) return problem;
    return undefined;
  }

  /** Notes that a step on a volume or sandbox failed and says when to try again. */
  failed(subject: string, reason: string, nowMs: number): void {
    const attempts = (this.#retries.get(subject)?.attempts ?? 0) + 1;
    const delayMs = Math.min(FIRST_RETRY_MS * 2 ** (attempts - 1), LONGEST_RETRY_MS);
    this.#retries.set(subject, { reason, attempts, nextAtMs: nowMs + delayMs });
  }

  succeeded(subject: string): void {
    this.#retries.delete(subject);
  }

  failureOf(subject: string): string | undefined {
    const retry = this.#retries.get(subject);
    return retry === undefined ? undefined : `${retry.reason} (tried ${retry.attempts} times, will be tried again)`;
  }

  mayRetry(subject: string, nowMs: number): boolean {
    return (this.#retries.get(subject)?.nextAtMs ?? 0) <= nowMs;
  }
}

export function attachmentKey(container: ContainerId, uuid: Incarnation): string {
  return `${container} ${uuid}`;
}
