/**
 * When a retained volume's content is deleted for good. Mesos's rule, for each disk: the fuller it is, the less time a
 * volume is retained, `age >= delay * max(0, 1 - headroom - usage)`, oldest first.
 *
 * Age is time that certainly has passed: the clock of one boot never jumps, and of earlier boots counts what was noted
 * while they ran. So whatever the wall clock does, nothing is collected early; a node that is often down collects late.
 */
import type { Retirement, Volume } from "./records.ts";
import type { BootId, WallMs } from "./units.ts";

export interface CollectRule {
  /** How long a volume is retained on an empty disk. */
  readonly delayMs: number;
  /** The part of a disk that shall stay free, 0 to 1. */
  readonly headroom: number;
  /** Not even a full disk makes it shorter than this; a shorter delay does. */
  readonly minAgeMs: number;
}

export interface Moment {
  readonly now: WallMs;
  readonly bootId: BootId;
  /** Since boot, suspended time included. */
  readonly bootTimeMs: number;
}

/** How a disk stands. */
export interface DiskState {
  /** The used part of it, 0 to 1. */
  readonly usage: number;
  /** It has less free than its live volumes were promised: what is retained goes, however young. */
  readonly inDanger: boolean;
}

/** How old something is that was retired, and when it would go by itself at the present usage. */
export interface Age {
  readonly ageMs: number;
  /** By the wall clock; not later than now when it is due. */
  readonly dueAt: WallMs;
  readonly isDue: boolean;
}

/** A retained volume, and when it would go; `dueAt` is `undefined` while it is pinned. */
export interface Candidate extends Omit<Age, "dueAt"> {
  readonly volume: Volume;
  readonly dueAt: WallMs | undefined;
}

/** After a reboot, operators and containers come back first. */
const GRACE_MS = 10 * 60_000;
/** What a reboot may take away from an age at most. */
const NOTE_EVERY_MS = 3_600_000;

/** The used part of a disk, 0 to 1. */
export function usedPart({
  totalBytes,
  freeBytes,
}: {
  readonly totalBytes: number;
  readonly freeBytes: number;
}): number {
  if (totalBytes <= 0) return 0;
  return Math.min(1, Math.max(0, 1 - freeBytes / totalBytes));
}

/** How old a volume must be, milliseconds. */
export function requiredAgeMs({ delayMs, headroom, minAgeMs }: CollectRule, usage: number): number {
  return Math.max(delayMs * Math.max(0, 1 - headroom - usage), Math.min(minAgeMs, delayMs));
}

/** How long ago something was retired, at least. Milliseconds. */
export function ageMs(retired: Retirement, moment: Moment): number {
  const notedMs = retired.agedMs ?? 0;
  if (retired.bootId === moment.bootId) return notedMs + Math.max(0, moment.bootTimeMs - retired.bootTimeMs);
  return Math.max(0, Math.min(moment.now - retired.at, notedMs + moment.bootTimeMs));
}

/** One volume by the rule. Without a retirement it is as if it had been retired now. */
export function assess(volume: Volume, rule: CollectRule, moment: Moment, disk: DiskState): Candidate {
  const age = assessAge(volume.retired ?? retirementAt(moment), rule, moment, disk);
  if (volume.pinned === true) return { volume, ageMs: age.ageMs, dueAt: undefined, isDue: false };
  return { volume, ...age };
}

/** Whatever was retired, by the rule. */
export function assessAge(retired: Retirement, rule: CollectRule, moment: Moment, disk: DiskState): Age {
  const age = ageMs(retired, moment);
  if (disk.inDanger) return { ageMs: age, dueAt: moment.now, isDue: true };
  const graceMs = retired.bootId === moment.bootId ? 0 : GRACE_MS - moment.bootTimeMs;
  const waitMs = Math.max(0, requiredAgeMs(rule, disk.usage) - age, graceMs);
  return { ageMs: age, dueAt: Math.ceil(moment.now + waitMs) as WallMs, isDue: waitMs === 0 };
}

/** Retained volumes of one disk, oldest first. */
export function assessAll(
  volumes: readonly Volume[],
  rule: CollectRule,
  moment: Moment,
  disk: DiskState,
): readonly Candidate[] {
  return volumes.map((volume) => assess(volume, rule, moment, disk)).sort(oldestFirst);
}

/** A retirement with the age noted, when it is time for a note: after each hour, and once after a reboot. */
export function noteAge(retired: Retirement | undefined, moment: Moment): Retirement | undefined {
  if (retired === undefined) return retirementAt(moment);
  const age = ageMs(retired, moment);
  const isDue =
    retired.bootId === moment.bootId ? age - (retired.agedMs ?? 0) >= NOTE_EVERY_MS : moment.bootTimeMs >= GRACE_MS;
  if (!isDue) return undefined;
  return { ...retired, bootId: moment.bootId, bootTimeMs: moment.bootTimeMs, agedMs: age };
}

/** Negative when the first was retired earlier: by their order, else within one boot by its clock, which nobody sets. */
export function compareRetirements(first: Retirement | undefined, second: Retirement | undefined): number {
  if (first?.order !== undefined && second?.order !== undefined) return first.order - second.order;
  if (first === undefined || second === undefined || first.bootId !== second.bootId) {
    return (first?.at ?? 0) - (second?.at ?? 0);
  }
  return first.bootTimeMs - (first.agedMs ?? 0) - (second.bootTimeMs - (second.agedMs ?? 0));
}

/** Of what is retired at this moment. */
export function retirementAt({ now, bootId, bootTimeMs }: Moment): Retirement {
  return { at: now, bootId, bootTimeMs };
}

/** A reboot can make them equally old. The id settles the rest, so that the order is always the same. */
function oldestFirst(left: Candidate, right: Candidate): number {
  const inTime = right.ageMs - left.ageMs || compareRetirements(left.volume.retired, right.volume.retired);
  return inTime || (left.volume.uuid < right.volume.uuid ? -1 : 1);
}
