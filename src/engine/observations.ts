/**
 * What was seen of the world that no record says: damage, failures that are being retried, orphans. It is derived
 * anew by every recovery and reconcile, so it is kept in memory only.
 */
import type { ContainerId, Incarnation } from "../domain/units.ts";
import type { Disk, DiskUsage } from "../ports/disk.ts";

interface Retry {
  readonly reason: string;
  readonly attempts: number;
  /** Boot time of the next attempt, milliseconds. */
  readonly nextAtMs: number;
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
  /** The used part of each disk when it was last measured, 0 to 1, by source key. */
  readonly usage = new Map<string, number>();
  /** Disks that are being measured. */
  readonly usageAsked = new Map<Disk, Promise<DiskUsage>>();
  readonly #retries = new Map<Incarnation, Retry>();

  /** Why a volume cannot be used, from its directory or from one of its mounts. */
  damageOf(uuid: Incarnation): string | undefined {
    const damage = this.damage.get(uuid);
    if (damage !== undefined) return damage;
    for (const [key, problem] of this.mounts) if (key.endsWith(uuid)) return problem;
    return undefined;
  }

  /** Notes that a step on a volume failed and says when to try again. */
  failed(uuid: Incarnation, reason: string, nowMs: number): void {
    const attempts = (this.#retries.get(uuid)?.attempts ?? 0) + 1;
    const delayMs = Math.min(FIRST_RETRY_MS * 2 ** (attempts - 1), LONGEST_RETRY_MS);
    this.#retries.set(uuid, { reason, attempts, nextAtMs: nowMs + delayMs });
  }

  succeeded(uuid: Incarnation): void {
    this.#retries.delete(uuid);
  }

  failureOf(uuid: Incarnation): string | undefined {
    const retry = this.#retries.get(uuid);
    return retry === undefined ? undefined : `${retry.reason} (tried ${retry.attempts} times, will be tried again)`;
  }

  mayRetry(uuid: Incarnation, nowMs: number): boolean {
    return (this.#retries.get(uuid)?.nextAtMs ?? 0) <= nowMs;
  }
}

export function attachmentKey(container: ContainerId, uuid: Incarnation): string {
  return `${container} ${uuid}`;
}
