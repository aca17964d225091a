import type { Volume } from "../../src/domain/records.ts";
import { ROOT_DISK } from "../../src/domain/resource.ts";
import type { ContainerPath, MilliMb, Role, VolumeId, WallMs } from "../../src/domain/units.ts";
import type { Spare } from "../../src/ports/disk.ts";

/** A live volume on a spare. */
export function volumeOn(spare: Spare, rest: Partial<Volume> = {}): Volume {
  const role = rest.role ?? ("ads" as Role);
  return {
    uuid: spare.uuid,
    role,
    id: "db" as VolumeId,
    size: 512_000 as MilliMb,
    source: ROOT_DISK,
    reservations: [{ type: "DYNAMIC", role }],
    containerPath: "data" as ContainerPath,
    shared: false,
    createdBy: "ops",
    createdAt: 1_900_000_000_000 as WallMs,
    phase: "live",
    directory: spare.directory,
    revision: 1,
    ...rest,
  };
}
