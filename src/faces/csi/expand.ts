/** Expand: a volume grows, also while it is used, and nothing is left for the node to do. */
import { z } from "zod";
import { isReservedForOne } from "../../domain/new-volume.ts";
import type { Actor, Operation } from "../../domain/operation.ts";
import { type DiskResource, poolKey } from "../../domain/resource.ts";
import { type MilliMb, subtractSizes } from "../../domain/units.ts";
import type { VolumeView } from "../../engine/engine.ts";
import { performFirst } from "../http/perform-first.ts";
import { optionalCapability, requirePossible } from "./capability.ts";
import { bytesOf, type CapacityRange, fits, sizeFor } from "./capacity-range.ts";
import type { Csi } from "./context.ts";
import { resourceOf } from "./delete.ts";
import { capacityRange, parseRequest, requiredPath, requiredText } from "./fields.ts";
import { mustFind } from "./find.ts";
import { wireId } from "./names.ts";
import { requirePublished } from "./published.ts";
import { CsiError } from "./status.ts";

const ON_CONTROLLER = z.object({
  volume_id: requiredText,
  capacity_range: z.preprocess((value) => value ?? undefined, capacityRange),
  volume_capability: optionalCapability,
});

const ON_NODE = z.object({
  volume_id: requiredText,
  volume_path: requiredPath,
  capacity_range: capacityRange.nullish(),
  volume_capability: optionalCapability,
});

/** As `ControllerExpandVolume`. */
export async function expandVolume(csi: Csi, request: unknown, actor: Actor): Promise<object> {
  const { volume_id: id, capacity_range: range, volume_capability: wanted } = parseRequest(ON_CONTROLLER, request);
  if (wanted != null) requirePossible([wanted]);
  const size = await csi.alone(id, async () => grow(csi, actor, await mustFind(csi.engine, actor, id), range));
  return { capacity_bytes: bytesOf(size), node_expansion_required: false };
}

/** As `NodeExpandVolume`. */
export async function expandOnNode(csi: Csi, request: unknown, actor: Actor): Promise<object> {
  const {
    volume_id: id,
    volume_path: path,
    capacity_range: range,
    volume_capability: wanted,
  } = parseRequest(ON_NODE, request);
  if (wanted != null) requirePossible([wanted]);
  const size = await csi.alone(id, async () => {
    const view = await mustFind(csi.engine, actor, id);
    await requirePublished(csi.engine, actor, view, path);
    return range == null ? view.volume.size : grow(csi, actor, view, range);
  });
  return { capacity_bytes: bytesOf(size) };
}

/** What it has then. @throws OUT_OF_RANGE */
async function grow({ engine }: Csi, actor: Actor, { volume }: VolumeView, range: CapacityRange): Promise<MilliMb> {
  if (fits(volume.size, range)) return volume.size;
  if (fits(volume.size, { ...range, limit_bytes: 0n })) {
    throw new CsiError("OUT_OF_RANGE", `Cannot expand volume ${wireId(volume)}: it is larger than the limit already`);
  }
  if (volume.source.type === "MOUNT") {
    throw new CsiError(
      "OUT_OF_RANGE",
      `Cannot expand volume ${wireId(volume)}: it has all of its disk ${volume.source.root}`,
    );
  }
  const size = sizeFor(range, { usual: volume.size, least: volume.size });
  const { resources } = await engine.resources(actor);
  await performFirst(engine, actor, planGrow(resources, resourceOf(volume), subtractSizes(size, volume.size)));
  return size;
}

/** What was reserved for the volume alone grows with it; else it takes first what is reserved like it. */
function planGrow(
  resources: readonly DiskResource[],
  volume: DiskResource,
  by: MilliMb,
): readonly (readonly Operation[])[] {
  const { source, reservations } = volume;
  const addition: DiskResource = { size: by, source, reservations };
  const growing: Operation = { type: "GROW_VOLUME", volume, addition, sharedToo: true };
  const reserving: readonly Operation[] = [{ type: "RESERVE", resources: [addition] }, growing];
  // What the operator declared as a role's cannot become more.
  if (reservations.at(-1)?.type === "STATIC") return [[growing]];
  const key = poolKey(source, reservations);
  const hasRoom = resources.some(
    (pool) => pool.volume === undefined && poolKey(pool.source, pool.reservations) === key && pool.size >= by,
  );
  return hasRoom && !isReservedForOne(reservations) ? [[growing], reserving] : [reserving];
}
