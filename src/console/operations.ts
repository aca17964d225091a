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
