/** How disk is reserved and a volume is made on it, at once: what the doors do that know volumes and no reservations. */
import type { Operation } from "./operation.ts";
import {
  type DiskResource,
  type DiskSource,
  type Reservation,
  ROOT_DISK,
  roleOf,
  type VolumeSpec,
} from "./resource.ts";
import { poolsWithRoom } from "./room.ts";
import type { ContainerPath, MilliMb, VolumeId } from "./units.ts";

export interface NewVolume {
  readonly id: VolumeId;
  readonly size: MilliMb;
  readonly containerPath: ContainerPath;
  readonly shared: boolean;
  /** What its disk is reserved with where it is reserved for this volume; of its role. */
  readonly own: Reservation;
}

/** What begins so says that disk was reserved for one volume, and goes with it. */
const LABEL_PREFIX = "io.holdfast.";

/** Whether disk was reserved for one volume, so that no other one takes it. */
export function isReservedForOne(reservations: readonly Reservation[]): boolean {
  return reservations.at(-1)?.labels?.some(({ key }) => key.startsWith(LABEL_PREFIX)) === true;
}

/** Disk that a volume may be made on: reserved for it first, or for its role already. */
export interface VolumePlace {
  readonly source: DiskSource;
  readonly reservations: readonly Reservation[];
  readonly isReserved: boolean;
}

/**
 * Where so much would fit, the place to try first. Where too little disk is unreserved, a volume takes what its role has
 * reserved otherwise, which stays reserved when the volume goes.
 */
export function placesWithRoom(
  resources: readonly DiskResource[],
  { own, size }: Pick<NewVolume, "own" | "size">,
): readonly VolumePlace[] {
  const pools = poolsWithRoom(resources, size);
  return [
    ...pools
      .filter(({ reservations }) => reservations.length === 0)
      .map(({ source }) => ({ source, reservations: [own], isReserved: false })),
    ...pools
      .filter(({ reservations }) => roleOf(reservations) === own.role && !isReservedForOne(reservations))
      .map(({ source, reservations }) => ({ source, reservations, isReserved: true })),
  ];
}

/** Lists of operations each of which would make the volume, the one to try first; never none. */
export function planVolume(resources: readonly DiskResource[], wanted: NewVolume): readonly (readonly Operation[])[] {
  const places = placesWithRoom(resources, wanted);
  // Where there is no room, the engine refuses with the figures.
  if (places.length === 0) return [reserving(wanted, likelySource(resources))];
  return places.map(({ source, reservations, isReserved }) =>
    isReserved ? [creating(wanted, source, reservations)] : reserving(wanted, source),
  );
}

/** What removes a volume; what was reserved for it alone goes with it. */
export function planRemoval(volume: DiskResource & { readonly volume: VolumeSpec }): readonly Operation[] {
  const { size, source, reservations } = volume;
  const destroy: Operation = { type: "DESTROY", volumes: [volume] };
  return isReservedForOne(reservations)
    ? [destroy, { type: "UNRESERVE", resources: [{ size, source, reservations }] }]
    : [destroy];
}

function likelySource(resources: readonly DiskResource[]): DiskSource {
  return (resources.find(({ source }) => source.type === "ROOT") ?? resources[0])?.source ?? ROOT_DISK;
}

function reserving(wanted: NewVolume, source: DiskSource): readonly Operation[] {
  const reservations = [wanted.own];
  return [
    { type: "RESERVE", resources: [{ size: wanted.size, source, reservations }] },
    creating(wanted, source, reservations),
  ];
}

function creating(
  { id, size, containerPath, shared }: NewVolume,
  source: DiskSource,
  reservations: readonly Reservation[],
): Operation {
  const volume: VolumeSpec = { id, containerPath, mode: "RW", shared };
  return { type: "CREATE", volumes: [{ size, source, reservations, volume }] };
}
