/** Capacity: what Create could reserve now. */
import { z } from "zod";
import { isReservedForOne } from "../../domain/new-volume.ts";
import type { Actor } from "../../domain/operation.ts";
import { type DiskResource, roleOf, sourceKey } from "../../domain/resource.ts";
import { BYTES_PER_MB, type MilliMb, type Role } from "../../domain/units.ts";
import type { NodeResources } from "../../engine/engine.ts";
import { anyCapabilities } from "./capability.ts";
import { bytesOf } from "./capacity-range.ts";
import type { Csi } from "./context.ts";
import { parseRequest, stringMap } from "./fields.ts";
import { isOn, type Parameters, parseParameters } from "./parameters.ts";
import { mayTake, onFileSystem } from "./places.ts";
import { isHere, topology } from "./topology.ts";

const REQUEST = z.object({
  volume_capabilities: anyCapabilities,
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
  const pools = isPossible ? poolsFor(await engine.resources(actor), asked.role ?? role, asked) : [];
  const fsTypes = wanted.map(({ fsType }) => fsType).filter((type) => type !== "");
  const sizes = (await onFileSystem(csi, actor, pools, fsTypes)).map(({ size }) => wholeMb(size));
  return {
    available_capacity: bytesOf(sizes.reduce((sum, size) => sum + size, 0) as MilliMb),
    maximum_volume_size: { value: bytesOf(Math.max(0, ...sizes) as MilliMb) },
    minimum_volume_size: { value: String(BYTES_PER_MB) },
  };
}

function poolsFor(
  { resources, closedDisks, absentDisks }: NodeResources,
  role: Role,
  asked: Parameters,
): readonly DiskResource[] {
  return resources.filter((pool) => {
    const { volume, reservations, source } = pool;
    const isFree = volume === undefined && mayTake(asked, pool);
    const isTheirs = roleOf(reservations) === role && !isReservedForOne(reservations);
    const isThere = !absentDisks.has(sourceKey(source));
    const canBeTheirs = reservations.length === 0 ? !closedDisks.has(sourceKey(source)) : isTheirs && isThere;
    return isFree && canBeTheirs && isOn(asked, pool);
  });
}

function wholeMb(size: MilliMb): number {
  return Math.floor(size / 1000) * 1000;
}
