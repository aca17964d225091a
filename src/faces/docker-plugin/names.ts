/**
 * What Docker's names mean. Docker knows a volume by one name, we by role and id.
 *
 * - `ROLE/ID` is that volume. The last slash divides, because a role may have slashes itself.
 * - `ID` is the live volume that was created here under exactly that name, in whatever role: its reservation is labelled
 *   with it (`ownReservation`). If there is none, it is the volume of that id in the plugin's role.
 *
 * So a name keeps its meaning when somebody else creates a volume of that id in the plugin's role. That two volumes were
 * created here under one name can only come from a restore: then the plugin's role goes first, and after it the roles
 * by their order.
 *
 * A volume is listed as `ID` where that means it, else as `ROLE/ID`.
 */
import { parseRole, parseVolumeId } from "../../domain/names.ts";
import { type DiskResource, type Reservation, roleOf, type VolumeSpec } from "../../domain/resource.ts";
import type { Role, VolumeId } from "../../domain/units.ts";

const LABEL_KEY = "io.holdfast.docker";

export interface DockerName {
  /** As Docker wrote it. */
  readonly text: string;
  /** Absent where the name says none. */
  readonly role?: Role;
  readonly id: VolumeId;
}

/** What tells a live volume's name. */
export interface Named {
  readonly role: Role;
  readonly id: VolumeId;
  readonly reservations: readonly Reservation[];
}

export interface LiveVolume extends Named {
  /** All of it, as operations must name it. */
  readonly resource: DiskResource & { readonly volume: VolumeSpec };
}

/** @throws `invalid` */
export function parseDockerName(text: string): DockerName {
  const slash = text.lastIndexOf("/");
  if (slash < 0) return { text, id: parseVolumeId(text, "Name") };
  return {
    text,
    role: parseRole(text.slice(0, slash), "Name: the role"),
    id: parseVolumeId(text.slice(slash + 1), "Name: the id"),
  };
}

/** What a volume is reserved with that is created here, so that its name and its end are known to be ours. */
export function ownReservation(role: Role, name: string): Reservation {
  return { type: "DYNAMIC", role, labels: [{ key: LABEL_KEY, value: name }] };
}

/** The live volume that a name means. */
export function findByName(
  resources: readonly DiskResource[],
  name: DockerName,
  pluginRole: Role,
): LiveVolume | undefined {
  const volumes = resources.flatMap((resource) => (resource.volume?.id === name.id ? liveVolume(resource) : []));
  return name.role === undefined
    ? meanings(volumes, pluginRole).get(name.id)
    : volumes.find(({ role }) => role === name.role);
}

/** What each name without a role means. */
export function meanings<Volume extends Named>(
  volumes: readonly Volume[],
  pluginRole: Role,
): ReadonlyMap<VolumeId, Volume> {
  const meant = new Map<VolumeId, Volume>();
  for (const volume of volumes) {
    const rank = rankOf(volume, pluginRole);
    const other = meant.get(volume.id);
    if (rank !== undefined && (other === undefined || goesFirst(volume, other, pluginRole)))
      meant.set(volume.id, volume);
  }
  return meant;
}

/** The shortest name that means a volume, given what those without a role mean. */
export function nameOf(volume: Named, meant: ReadonlyMap<VolumeId, Named>): string {
  const { role, id } = volume;
  return meant.get(id)?.role === role ? id : `${role}/${id}`;
}

function goesFirst(volume: Named, other: Named, pluginRole: Role): boolean {
  const difference = (rankOf(volume, pluginRole) ?? 0) - (rankOf(other, pluginRole) ?? 0);
  return difference < 0 || (difference === 0 && volume.role < other.role);
}

/** How good a claim a volume has to its id as a name, 0 being the best; `undefined` for none. */
function rankOf({ role, id, reservations }: Named, pluginRole: Role): number | undefined {
  const createdUnderIt = labelOf(reservations) === id;
  if (role === pluginRole) return createdUnderIt ? 0 : 2;
  return createdUnderIt ? 1 : undefined;
}

function labelOf(reservations: readonly Reservation[]): string | undefined {
  return reservations.at(-1)?.labels?.find(({ key }) => key === LABEL_KEY)?.value;
}

function liveVolume(resource: DiskResource): LiveVolume[] {
  const { volume, reservations } = resource;
  const role = roleOf(reservations);
  return volume === undefined || role === undefined
    ? []
    : [{ role, id: volume.id, reservations, resource: { ...resource, volume } }];
}
