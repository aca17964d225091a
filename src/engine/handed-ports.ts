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

export interface Ports {
  /** By `sourceKey`. */
  readonly disks: ReadonlyMap<string, Disk>;
  readonly mounter: Mounter;
  readonly holders: Holders;
  readonly processes: Processes;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  /** The rules in force now; they are replaced when their file changes. */
  readonly acls: () => Acls;
}

/** @throws `unsupported` for a disk that this node does not have */
export function diskOf(disks: Ports["disks"], source: DiskSource): Disk {
  const disk = disks.get(sourceKey(source));
  if (disk !== undefined) return disk;
  const name = source.type === "ROOT" ? "root disk" : `${source.type} disk ${source.root}`;
  throw new HoldfastError("unsupported", `Cannot use the ${name}: this node does not have it`);
}

export function diskOfVolume(disks: Ports["disks"], volume: Volume): Disk {
  return diskOf(disks, volume.source);
}
