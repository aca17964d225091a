/** Volumes as Docker's `volume ls` and `volume inspect` show them. */

import { printSize } from "../../domain/size.ts";
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
  const { volume, state, containers, holders = [], problem } = view;
  return {
    ...listEntry(name, view),
    CreatedAt: new Date(volume.createdAt).toISOString(),
    Status: {
      role: volume.role,
      id: volume.id,
      uuid: volume.uuid,
      size: printSize(volume.size),
      state,
      shared: volume.shared,
      containers,
      holders: holders.map(holderEntry),
      ...(problem === undefined ? {} : { problem }),
    },
  };
}

function holderEntry({ pid, engine, container, cgroup }: HolderView): object {
  return {
    ...(engine === undefined ? {} : { engine }),
    ...(container === undefined ? {} : { container }),
    pid,
    cgroup,
  };
}
