/** The ports that an engine is handed, and how it finds a volume's disk among them. */
import type { Acls } from "../domain/acl.ts";
import { HoldfastError } from "../domain/error.ts";
import type { Volume } from "../domain/records.ts";
import { type DiskSource, sourceKey } from "../domain/resource.ts";
import type { Clock } from "../ports/clock.ts";
import type { Disk } from "../ports/disk.ts";
import type { Holders } from "../ports/holders.ts";
import type { Log } from "../ports/log.ts";
import type { Metrics } from "../ports/metrics.ts";
import type { Mounter } from "../ports/mounter.ts";
import type { Processes } from "../ports/processes.ts";
import type { Random } from "../ports/random.ts";
import type { Sandboxes } from "../ports/sandboxes.ts";
import type { DiskTable } from "./disk-table.ts";

export interface Ports {
  readonly disks: DiskTable;
  readonly mounter: Mounter;
  readonly holders: Holders;
  readonly processes: Processes;
  readonly sandboxes: Sandboxes;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
  /** The rules in force now; they are replaced when their file changes. */
  readonly acls: () => Acls;
}

/** @throws `insufficient` for a disk that cannot be used now, `unsupported` for one that this node does not have */
export function diskOf(disks: Ports["disks"], source: DiskSource): Disk {
  const key = sourceKey(source);
  const disk = disks.get(key);
  if (disk !== undefined) return disk;
  const absence = disks.absent.get(key);
  if (absence !== undefined) {
    throw new HoldfastError("insufficient", `Cannot use disk ${absence.root}: ${absence.reason}`);
  }
  const name = source.type === "ROOT" ? "root disk" : `${source.type} disk ${source.root}`;
  throw new HoldfastError("unsupported", `Cannot use the ${name}: this node does not have it`);
}

/** Where a disk lies, whether it is there or not. */
export function rootOf(disks: Ports["disks"], source: DiskSource): string {
  return source.type === "ROOT" ? diskOf(disks, source).root : source.root;
}

export function diskOfVolume(disks: Ports["disks"], volume: Volume): Disk {
  return diskOf(disks, volume.source);
}
