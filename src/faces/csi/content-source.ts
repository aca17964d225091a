/** What a new volume's content is a copy of. */
import { z } from "zod";
import { codeOf } from "../../domain/error.ts";
import type { Actor } from "../../domain/operation.ts";
import type { CopySource, Volume } from "../../domain/records.ts";
import type { DiskResource } from "../../domain/resource.ts";
import type { ContainerPath } from "../../domain/units.ts";
import type { CopyRequest, Engine, VolumeView } from "../../engine/engine.ts";
import { sizeFor } from "./capacity-range.ts";
import { requiredText } from "./fields.ts";
import { ownReservation, parseWireId, type VolumeName, wireId } from "./names.ts";
import { placesOfCopy, wholeDisk } from "./places.ts";
import { CsiError } from "./status.ts";
import type { Source, Wanted } from "./wanted.ts";

/** How long a call waits for a copy before the caller is told to come again. */
const COPY_WAIT_MS = 5_000;

export const contentSource = z
  .object({
    snapshot: z.object({ snapshot_id: requiredText }).nullish(),
    volume: z.object({ volume_id: requiredText }).nullish(),
  })
  .transform(({ snapshot, volume }, context): Source => {
    if (snapshot != null && volume == null) {
      return { kind: "snapshot", id: snapshot.snapshot_id, wire: { snapshot } };
    }
    if (volume != null && snapshot == null) return { kind: "volume", id: volume.volume_id, wire: { volume } };
    context.addIssue({ code: "custom", message: "expected a snapshot or a volume" });
    return z.NEVER;
  })
  .nullish()
  .transform((source) => source ?? undefined);

/** A copy, and where it may lie. */
type WantedCopy = Wanted & { readonly places: readonly DiskResource[] };

/** Whether a volume is a copy of just this, or of nothing where nothing is asked for. */
export async function isCopyOf(
  engine: Engine,
  actor: Actor,
  { copyOf }: Pick<Volume, "copyOf">,
  source: Source | undefined,
): Promise<boolean> {
  if (copyOf === undefined || source === undefined) return copyOf === undefined && source === undefined;
  return isOf(engine, actor, copyOf, source.id);
}

/** Whether what was copied is what has this id: it may be gone since, and another one of its name is another source. */
export async function isOf(engine: Engine, actor: Actor, origin: CopySource, id: string): Promise<boolean> {
  if (wireId(origin) !== id) return false;
  const current = await engine.findVolume(actor, origin.role, origin.id);
  return current === undefined || current.volume.uuid === origin.uuid;
}

/**
 * Makes the volume from its source; the same call again goes on waiting.
 * @throws NOT_FOUND, OUT_OF_RANGE, ABORTED while it goes on
 */
export async function copyContent(engine: Engine, actor: Actor, source: Source, wanted: WantedCopy): Promise<void> {
  const from = await findSource(engine, actor, source);
  const least = from.volume.size;
  const { role, id, shared, name, parameters, places } = wanted;
  const asked = sizeFor(wanted.range, { usual: least, least });
  const whole = wholeDisk(places, wanted) ?? asked;
  const size = whole < least ? asked : whole;
  const own = ownReservation(role, name);
  const view = await copyToFirst(engine, actor, {
    request: {
      source: nameOf(from),
      role,
      id,
      snapshot: false,
      size,
      containerPath: parameters.containerPath ?? ("data" as ContainerPath),
      shared,
      waitMs: COPY_WAIT_MS,
    },
    places: placesOfCopy(places, from.volume.source, { own, size }),
  });
  requireDone(view);
}

/** Copies to the first place for which there is disk. */
export async function copyToFirst(
  engine: Engine,
  actor: Actor,
  {
    request,
    places: [first, ...others],
  }: { readonly request: CopyRequest; readonly places: ReturnType<typeof placesOfCopy> },
): Promise<VolumeView> {
  const there = first && { disk: first.source, reservations: first.reservations };
  try {
    return await engine.copy(actor, { ...request, ...there });
  } catch (error) {
    if (codeOf(error) !== "insufficient" || others.length === 0) throw error;
    return copyToFirst(engine, actor, { request, places: others });
  }
}

/** @throws ABORTED while the copy goes on */
export function requireDone({ volume, copying }: VolumeView): void {
  if (copying === undefined) return;
  const total = copying.totalBytes === undefined ? "" : ` of ${copying.totalBytes}`;
  throw new CsiError(
    "ABORTED",
    `Cannot answer for ${wireId(volume)} yet: still copying, ${copying.copiedBytes}${total} bytes, repeat this call`,
  );
}

/** @throws NOT_FOUND also for what is there and of the other kind */
async function findSource(engine: Engine, actor: Actor, { kind, id }: Source): Promise<VolumeView> {
  const name = parseWireId(id);
  const view = name && (await engine.findVolume(actor, name.role, name.id));
  const isSnapshot = view?.volume.snapshotOf !== undefined;
  if (view !== undefined && isSnapshot === (kind === "snapshot")) return view;
  throw new CsiError("NOT_FOUND", `Cannot find ${kind} ${id} to copy: there is none on this node`);
}

function nameOf({ volume: { role, id } }: VolumeView): VolumeName {
  return { role, id };
}
