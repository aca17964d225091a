/** On which disks a volume may be made: those of the file systems and at the root that were asked for. */
import { HoldfastError } from "../../domain/error.ts";
import { type NewVolume, placesWithRoom, type VolumePlace } from "../../domain/new-volume.ts";
import type { Actor } from "../../domain/operation.ts";
import { type DiskResource, type DiskSource, sourceKey } from "../../domain/resource.ts";
import type { MilliMb } from "../../domain/units.ts";
import { fits } from "./capacity-range.ts";
import type { Csi } from "./context.ts";
import { wireId } from "./names.ts";
import { isOn, type Parameters } from "./parameters.ts";
import type { Wanted } from "./wanted.ts";

/** What is there of them, used and free; of MOUNT disks only one that is named. @throws `invalid` when there is no such disk */
export async function placesFor(
  csi: Csi,
  actor: Actor,
  resources: readonly DiskResource[],
  wanted: Wanted,
): Promise<readonly DiskResource[]> {
  const { parameters, fsTypes } = wanted;
  const named = resources.filter((resource) => isOn(parameters, resource) && mayTake(parameters, resource));
  if (named.length === 0 && parameters.disk !== undefined) {
    throw new HoldfastError("invalid", `Cannot create volume ${wireId(wanted)}: there is no disk ${parameters.disk}`);
  }
  const places = await onFileSystem(csi, actor, named, fsTypes);
  if (places.length > 0 || fsTypes.length === 0) return places;
  throw new HoldfastError(
    "invalid",
    `Cannot create volume ${wireId(wanted)} on ${fsTypes.join(" and ")}: no disk has that, leave fs_type empty`,
  );
}

/** A MOUNT disk is taken as a whole, and so only by who asks for it. */
export function mayTake({ disk }: Parameters, { source }: DiskResource): boolean {
  return disk !== undefined || source.type !== "MOUNT";
}

/** A MOUNT disk that was asked for by its root is taken as a whole. */
export function wholeDisk(places: readonly DiskResource[], { range, parameters }: Wanted): MilliMb | undefined {
  if (parameters.disk === undefined) return undefined;
  const free = places.find(({ source, volume }) => source.type === "MOUNT" && volume === undefined);
  return free !== undefined && fits(free.size, range) ? free.size : undefined;
}

/** Where a copy may go, the place to try first, never none: to its source where there is room, which is fast and takes little. */
export function placesOfCopy(
  places: readonly DiskResource[],
  source: DiskSource,
  wanted: Pick<NewVolume, "own" | "size">,
): readonly Pick<VolumePlace, "source" | "reservations">[] {
  const isNear = (place: { readonly source: DiskSource }) => sourceKey(place.source) === sourceKey(source);
  const found = placesWithRoom(places, wanted);
  if (found.length > 0) return [...found.filter(isNear), ...found.filter((place) => !isNear(place))];
  // The engine refuses with the figures.
  const nearest = places.find(isNear) ?? places[0];
  return [{ source: nearest?.source ?? source, reservations: [wanted.own] }];
}

/** Of resources those on a disk that has all of these file systems, which is one of them; with none, all. */
export async function onFileSystem(
  { engine }: Csi,
  actor: Actor,
  resources: readonly DiskResource[],
  fsTypes: readonly string[],
): Promise<readonly DiskResource[]> {
  if (fsTypes.length === 0) return resources;
  const { disks } = await engine.status(actor);
  const fitting = disks.filter(({ fileSystem }) => fsTypes.every((type) => type === fileSystem));
  const keys = new Set(fitting.map(({ source }) => sourceKey(source)));
  return resources.filter(({ source }) => keys.has(sourceKey(source)));
}
