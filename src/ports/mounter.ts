/**
 * Makes a volume's content visible at a path in a sandbox and takes it away again. The sandbox belongs to the
 * container, which may race us: its path is resolved without following symlinks, once, and every step acts on
 * descriptors.
 */
import type { DirectoryIdentity, MountRecord } from "../domain/records.ts";
import type { Mode } from "../domain/resource.ts";
import type { ContainerPath, Incarnation } from "../domain/units.ts";

/** A place in a sandbox. */
export interface MountTarget {
  /** Absolute path of an existing directory, without symlinks in any component. */
  readonly sandbox: string;
  readonly containerPath: ContainerPath;
}

export interface MountRequest extends MountTarget {
  readonly uuid: Incarnation;
  /** The disk's root; the content is `volumes/<uuid>/content` below it and must have this identity. */
  readonly diskRoot: string;
  readonly directory: DirectoryIdentity;
  readonly mode: Mode;
  /** Gives the top of the volume to this owner if it is empty; `sandbox` = to whoever owns the sandbox. */
  readonly owner?: "sandbox" | { readonly uid: number; readonly gid: number };
}

export interface Mounted {
  readonly mount: MountRecord;
  /** Whether the mountpoint had to be made, so that it is ours to remove. */
  readonly madeMountpoint: boolean;
}

export interface MountedAt extends MountTarget {
  readonly uuid: Incarnation;
  /** The disk's root and the volume's identity, as in the request. */
  readonly diskRoot: string;
  readonly directory: DirectoryIdentity;
  readonly mode: Mode;
  /** Absent when the attach was interrupted before it was recorded: what shows the directory is taken for ours. */
  readonly mount?: MountRecord;
  readonly madeMountpoint: boolean;
}

/**
 * What is at a recorded place:
 * `exact` exactly one mount (or symlink), ours; `missing` nothing, the mountpoint may be left; `stacked` ours with others
 * of the same directory on top; `foreign` somebody else's; `sandbox_gone` the sandbox is not there any more.
 */
export type MountFinding =
  | { readonly state: "exact"; readonly mount: MountRecord }
  | { readonly state: "missing" | "stacked" | "sandbox_gone" }
  | { readonly state: "foreign"; readonly reason: string };

export interface Mounter {
  readonly backend: "bind" | "symlink";
  /**
   * Mounts and verifies. Nothing is left behind when it throws.
   * @throws `invalid` the sandbox is not a directory or its path has a symlink
   * @throws `conflict` something else occupies the target
   * @throws `unsupported` this backend cannot mount read-only
   * @throws `damaged` the content directory is missing or is another one
   */
  attach(request: MountRequest): Promise<Mounted>;
  /**
   * Unmounts what was recorded, removes the mountpoint if it is ours (only if it is an empty directory), verifies.
   * Nothing there any more is fine. `lazy` takes it away from under its processes.
   * @throws `busy` when a process sits in it (nothing changed)
   * @throws `conflict` when what is there is not ours (nothing changed)
   */
  detach(mounted: MountedAt, options: { readonly lazy: boolean }): Promise<void>;
  inspect(mounted: MountedAt): Promise<MountFinding>;
  /**
   * After a reboot nothing is mounted: removes a leftover mountpoint that we made, if it is still an empty directory,
   * or a symlink of ours.
   */
  clear(target: MountedAt): Promise<void>;
  close(): Promise<void>;
}
