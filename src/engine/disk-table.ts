/** The disks that are open, by `sourceKey`, and why the others are not. */
import type { Disk } from "../ports/disk.ts";

/** A disk that cannot be used now. */
export interface Absence {
  readonly root: string;
  /** A phrase for people, with what to do. */
  readonly reason: string;
}

/** What it means for a volume. */
export function describeAbsence({ root, reason }: Absence): string {
  return `its disk ${root} cannot be used: ${reason}`;
}

/** One sentence for a disk and all its volumes. */
export function problemOf({ root, reason }: Absence, volumes: number): string {
  return `Disk ${root} with ${countVolumes(volumes)} cannot be used: ${reason}`;
}

export function countVolumes(count: number): string {
  return count === 1 ? "1 volume" : `${count} volumes`;
}

export interface DiskTable extends ReadonlyMap<string, Disk> {
  readonly absent: ReadonlyMap<string, Absence>;
}

/** As whoever opens and closes them has it. */
export class LiveDiskTable extends Map<string, Disk> implements DiskTable {
  readonly absent = new Map<string, Absence>();
}
