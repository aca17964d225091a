/** What the console asks the daemon to do, in the shape of `POST /v1/operations` and Marathon's app definitions. */
import type { OperationBody } from "../faces/http/wire.ts";

/** A volume as the form has it. */
export interface NewVolume {
  readonly role: string;
  readonly id: string;
  readonly sizeMib: number;
  readonly containerPath: string;
  readonly shared: boolean;
  /** The disk that is taken, without a size: reserved disk that is free, else what is to be reserved. */
  readonly from: PoolJson;
}

/** Disk of one reservation, as `GET /v1/resources` has it. */
export interface PoolJson {
  readonly reservations?: readonly { readonly role: string; readonly principal?: string }[];
  readonly disk?: { readonly source?: object };
  readonly scalar?: { readonly value: number };
}

/** Reserves what has to be, and creates: both or nothing. */
export function creating(volume: NewVolume, { reserve }: { readonly reserve: boolean }): readonly OperationBody[] {
  const disk = { name: "disk", type: "SCALAR", scalar: { value: volume.sizeMib } };
  const { reservations = [] } = volume.from;
  const source = volume.from.disk?.source;
  const place = source === undefined ? {} : { disk: { source } };
  const made = {
    ...disk,
    reservations,
    disk: {
      ...(source === undefined ? {} : { source }),
      persistence: { id: volume.id },
      volume: { mode: "RW", container_path: volume.containerPath },
    },
    ...(volume.shared ? { shared: {} } : {}),
  };
  return [
    ...(reserve ? [{ type: "RESERVE", reserve: { resources: [{ ...disk, ...place, reservations }] } } as const] : []),
    { type: "CREATE", create: { volumes: [made] } },
  ];
}

/** What a reservation by the person at the browser looks like. */
export function ownReservation(role: string, principal: string): PoolJson["reservations"] {
  const level = { type: "DYNAMIC", role, ...(principal === "" ? {} : { principal }) };
  return [level];
}

/** Of free reserved disk, the smallest that is large enough. */
export function poolFor(pools: readonly PoolJson[], role: string, sizeMib: number): PoolJson | undefined {
  return pools
    .filter((pool) => pool.reservations?.at(-1)?.role === role && (pool.scalar?.value ?? 0) >= sizeMib)
    .sort((left, right) => (left.scalar?.value ?? 0) - (right.scalar?.value ?? 0))[0];
}

/** A volume in the form that operations name it in. */
export interface VolumeResource {
  readonly scalar: { readonly value: number };
  readonly reservations?: PoolJson["reservations"];
  readonly disk?: { readonly source?: object };
}

/** Makes it larger, with free disk of its own reservation and what has to be reserved beside that, or smaller. */
export function resizing(
  volume: VolumeResource,
  sizeMib: number,
  pools: readonly PoolJson[],
): readonly OperationBody[] {
  const by = rounded(sizeMib - volume.scalar.value);
  if (by === 0) return [];
  if (by < 0) return [{ type: "SHRINK_VOLUME", shrink_volume: { volume, subtract: { value: -by } } }];
  const { reservations = [], disk } = volume;
  const place = disk?.source === undefined ? {} : { disk: { source: disk.source } };
  const part = (value: number) => ({ name: "disk", type: "SCALAR", scalar: { value }, reservations, ...place });
  const isBeside = (pool: PoolJson) =>
    isSame(pool.reservations, reservations) && isSame(pool.disk?.source, disk?.source);
  const free = pools.filter(isBeside).reduce((sum, { scalar }) => sum + (scalar?.value ?? 0), 0);
  const missing = rounded(by - free);
  return [
    ...(missing > 0 ? [{ type: "RESERVE", reserve: { resources: [part(missing)] } } as const] : []),
    { type: "GROW_VOLUME", grow_volume: { volume, addition: part(by) } },
  ];
}

/** Mesos counts in thousandths. */
function rounded(sizeMib: number): number {
  return Math.round(sizeMib * 1000) / 1000;
}

/** Both come from the daemon, which writes the same thing the same way. */
function isSame(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

/** An app as the form has it. */
export interface NewApp {
  readonly id: string;
  readonly role: string;
  readonly instances: number;
  readonly volumes: readonly { readonly sizeMib: number; readonly containerPath: string }[];
}

/** Marathon's definition. */
export function appDefinition({ id, role, instances, volumes }: NewApp): object {
  return {
    id: id.startsWith("/") ? id : `/${id}`,
    instances,
    ...(role === "" ? {} : { role }),
    container: {
      volumes: volumes.map(({ sizeMib, containerPath }) => ({
        containerPath,
        mode: "RW",
        persistent: { size: sizeMib },
      })),
    },
    residency: { taskLostBehavior: "WAIT_FOREVER" },
  };
}
