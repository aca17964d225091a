/**
 * Disk, the only resource that Holdfast manages, in Mesos's post-refinement form: a size on a disk under a stack of
 * reservations, and perhaps a persistent volume on it.
 */
import type { ContainerPath, MilliMb, Principal, Role, VolumeId } from "./units.ts";

export interface Label {
  readonly key: string;
  readonly value?: string;
}

/** One level of a reservation; the last of a stack is the current one. */
export interface Reservation {
  readonly type: "STATIC" | "DYNAMIC";
  readonly role: Role;
  readonly principal?: Principal;
  /** Sorted by key, then value: labels are compared regardless of order. */
  readonly labels?: readonly Label[];
}

/** Where the disk is: the work root's (`ROOT`), a directory that is carved (`PATH`), or a whole file system (`MOUNT`). */
export type DiskSource =
  | { readonly type: "ROOT" }
  | { readonly type: "PATH"; readonly root: string }
  | { readonly type: "MOUNT"; readonly root: string };

export const ROOT_DISK: DiskSource = Object.freeze({ type: "ROOT" });

export type Mode = "RW" | "RO";

/** The volume part of a resource: `disk.persistence`, `disk.volume` and `shared`. */
export interface VolumeSpec {
  readonly id: VolumeId;
  readonly principal?: Principal;
  readonly containerPath: ContainerPath;
  readonly mode: Mode;
  readonly shared: boolean;
}

/** A `disk` resource. Without `volume` it is free disk, reserved or not. */
export interface DiskResource {
  readonly size: MilliMb;
  readonly source: DiskSource;
  readonly reservations: readonly Reservation[];
  readonly volume?: VolumeSpec;
}

/** A string that is equal exactly for equal disks. */
export function sourceKey(source: DiskSource): string {
  return source.type === "ROOT" ? "ROOT" : `${source.type}:${source.root}`;
}

/** Stacks are shared by all volumes of a pool, and never change. */
const knownKeys = new WeakMap<readonly Reservation[], { readonly source: DiskSource; readonly key: string }>();

/** A string that is equal exactly for pools of disk that merge: same disk, same reservation stack. */
export function poolKey(source: DiskSource, reservations: readonly Reservation[]): string {
  const known = knownKeys.get(reservations);
  if (known?.source === source) return known.key;
  const key = JSON.stringify([
    sourceKey(source),
    ...reservations.map((level) => [
      level.type,
      level.role,
      level.principal ?? null,
      level.labels?.map((label) => [label.key, label.value ?? null]) ?? null,
    ]),
  ]);
  knownKeys.set(reservations, { source, key });
  return key;
}

/** The most refined role, `undefined` for unreserved disk. */
export function roleOf(reservations: readonly Reservation[]): Role | undefined {
  return reservations.at(-1)?.role;
}
