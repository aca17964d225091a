/** Delete: the volume is destroyed and its disk given back; the content is retained as ever. */
import { z } from "zod";
import { codeOf } from "../../domain/error.ts";
import { planRemoval } from "../../domain/new-volume.ts";
import type { Actor } from "../../domain/operation.ts";
import type { Volume } from "../../domain/records.ts";
import type { DiskResource, VolumeSpec } from "../../domain/resource.ts";
import type { Engine, VolumeView } from "../../engine/engine.ts";
import { requireDone } from "./content-source.ts";
import type { Csi } from "./context.ts";
import { parseRequest, requiredText } from "./fields.ts";
import { findById } from "./find.ts";
import { stillPublished } from "./published.ts";

const REQUEST = z.object({ volume_id: requiredText });

/** As `DeleteVolume`. One that is not there is fine. */
export async function deleteVolume({ engine, alone }: Csi, request: unknown, actor: Actor): Promise<object> {
  const { volume_id: id } = parseRequest(REQUEST, request);
  return alone(id, async () => {
    const view = await findById(engine, actor, id);
    if (view !== undefined) await remove(engine, actor, view);
    return {};
  });
}

/** @throws `in_use`, `protected`, ABORTED while it is still copied */
export async function remove(engine: Engine, actor: Actor, view: VolumeView): Promise<void> {
  requireDone(view);
  await stillPublished(engine, actor, view);
  try {
    await engine.perform(actor, planRemoval(resourceOf(view.volume)));
  } catch (error) {
    // Somebody else was faster.
    if (codeOf(error) !== "no_such_volume") throw error;
  }
}

/** All of a volume, as operations must name it. */
export function resourceOf(volume: Volume): DiskResource & { readonly volume: VolumeSpec } {
  const { id, principal, containerPath, shared, size, source, reservations } = volume;
  const spec: VolumeSpec = { id, ...(principal === undefined ? {} : { principal }), containerPath, mode: "RW", shared };
  return { size, source, reservations, volume: spec };
}
