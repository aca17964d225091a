/** On which disks a volume may be made: those of the file systems and at the root that were asked for. */
import { HoldfastError } from "../../domain/error.ts";
import type { Actor } from "../../domain/operation.ts";
import { type DiskResource, type DiskSource, sourceKey } from "../../domain/resource.ts";
import { poolsWithRoom } from "../../domain/room.ts";
import type { MilliMb } from "../../domain/units.ts";
import { fits } from "./capacity-range.ts";
import type { Csi } from "./context.ts";
import { wireId } from "./names.ts";
import { isOn } from "./parameters.ts";
import type { Wanted } from "./wanted.ts";

/** What is there of them, used and free. @throws `invalid` when there is no such disk */
export async function placesFor(
  csi: Csi,
  actor: Actor,
  resources: readonly DiskResource[],
  wanted: Wanted,
): Promise<readonly DiskResource[]> {
  const { parameters, fsTypes } = wanted;
  const named = resources.filter((resource) => isOn(parameters, resource));
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

/** A MOUNT disk that was asked for by its root is taken as a whole. */
export function wholeDisk(places: readonly DiskResource[], { range, parameters }: Wanted): MilliMb | undefined {
  if (parameters.disk === undefined) return undefined;
  const free = places.find(({ source, volume }) => source.type === "MOUNT" && volume === undefined);
  return free !== undefined && fits(free.size, range) ? free.size : undefined;
}

/** Where a copy goes: to its source where it may, which is fast and takes little; else where there is room. */
export function placeOfCopy(places: readonly DiskResource[], source: DiskSource, size: MilliMb): DiskSource {
  if (places.some((place) => sourceKey(place.source) === sourceKey(source))) return source;
  return (poolsWithRoom(places, size)[0] ?? places[0])?.source ?? source;
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
