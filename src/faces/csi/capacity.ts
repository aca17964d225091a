/** Capacity: what Create could reserve now. */
import { z } from "zod";
import { isReservedForOne } from "../../domain/new-volume.ts";
import type { Actor } from "../../domain/operation.ts";
import { type DiskResource, roleOf } from "../../domain/resource.ts";
import { BYTES_PER_MB, type MilliMb, type Role } from "../../domain/units.ts";
import { capabilities } from "./capability.ts";
import { bytesOf } from "./capacity-range.ts";
import type { Csi } from "./context.ts";
import { parseRequest, stringMap } from "./fields.ts";
import { isOn, type Parameters, parseParameters } from "./parameters.ts";
import { onFileSystem } from "./places.ts";
import { isHere, topology } from "./topology.ts";

const REQUEST = z.object({
  volume_capabilities: capabilities,
  parameters: stringMap,
  accessible_topology: topology.nullish(),
});

/** As `GetCapacity`. What cannot be had here has no capacity. */
export async function capacityOf(csi: Csi, request: unknown, actor: Actor): Promise<object> {
  const { engine, nodeId, role } = csi;
  const { volume_capabilities: wanted, parameters, accessible_topology: place } = parseRequest(REQUEST, request);
  const asked = parseParameters(parameters);
  const isPossible =
    wanted.every(({ obstacle }) => obstacle === undefined) && isHere(place ?? { segments: {} }, nodeId);
  const pools = isPossible ? poolsFor((await engine.resources(actor)).resources, asked.role ?? role, asked) : [];
  const fsTypes = wanted.map(({ fsType }) => fsType).filter((type) => type !== "");
  const sizes = (await onFileSystem(csi, actor, pools, fsTypes)).map(({ size }) => wholeMb(size));
  return {
    available_capacity: bytesOf(sizes.reduce((sum, size) => sum + size, 0) as MilliMb),
    maximum_volume_size: { value: bytesOf(Math.max(0, ...sizes) as MilliMb) },
    minimum_volume_size: { value: String(BYTES_PER_MB) },
  };
}

/** A MOUNT disk is taken as a whole, by who asks for it. */
function poolsFor(resources: readonly DiskResource[], role: Role, asked: Parameters): readonly DiskResource[] {
  return resources.filter((pool) => {
    const { volume, reservations, source } = pool;
    const isFree = volume === undefined && (asked.disk !== undefined || source.type !== "MOUNT");
    const isTheirs = reservations.length === 0 || (roleOf(reservations) === role && !isReservedForOne(reservations));
    return isFree && isTheirs && isOn(asked, pool);
  });
}

function wholeMb(size: MilliMb): number {
  return Math.floor(size / 1000) * 1000;
}
