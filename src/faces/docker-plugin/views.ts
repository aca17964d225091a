/** Volumes as Docker's `volume ls` and `volume inspect` show them. */

import { printSize } from "../../domain/size.ts";
import { BYTES_PER_MB, type MilliMb } from "../../domain/units.ts";
import type { HolderView, VolumeView } from "../../engine/engine.ts";

interface ListEntry {
  readonly Name: string;
  readonly Mountpoint: string;
}

interface VolumeEntry extends ListEntry {
  /** RFC 3339. */
  readonly CreatedAt: string;
  readonly Status: object;
}

export function listEntry(name: string, { path }: VolumeView): ListEntry {
  return { Name: name, Mountpoint: path };
}

export function volumeEntry(name: string, view: VolumeView): VolumeEntry {
  const { volume, state, containers, usage, enforced, holders = [], problem } = view;
  return {
    ...listEntry(name, view),
    CreatedAt: new Date(volume.createdAt).toISOString(),
    Status: {
      role: volume.role,
      id: volume.id,
      uuid: volume.uuid,
      size: printSize(volume.size),
      ...(usage === undefined ? {} : { used: printSize(sizeOf(usage.usedBytes)) }),
      ...(usage?.inodes === undefined ? {} : { inodes: usage.inodes }),
      enforced,
      ...(volume.protected === undefined ? {} : { protected: volume.protected }),
      state,
      shared: volume.shared,
      containers,
      holders: holders.map(holderEntry),
      ...(problem === undefined ? {} : { problem }),
    },
  };
}

/** Rounded up to thousandths of a MB. */
function sizeOf(bytes: number): MilliMb {
  return Math.ceil((bytes / BYTES_PER_MB) * 1000) as MilliMb;
}

function holderEntry({ pid, engine, container, cgroup }: HolderView): object {
  return {
    ...(engine === undefined ? {} : { engine }),
    ...(container === undefined ? {} : { container }),
    pid,
    cgroup,
  };
}
