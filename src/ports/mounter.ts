/**
 * Makes a volume's content visible at a path in a sandbox and takes it away again. The sandbox belongs to the
 * container, which may race us: its path is resolved without following symlinks, once, and every step acts on
 * descriptors.
 */
import type { ContainerProcess, DirectoryIdentity, DirectoryThisBoot, MountRecord } from "../domain/records.ts";
import type { Mode } from "../domain/resource.ts";
import type { ContainerPath, Incarnation } from "../domain/units.ts";

/** A place in a sandbox. */
export interface MountTarget {
  /** Absolute path of an existing directory, without symlinks in any component. */
  readonly sandbox: string;
  readonly containerPath: ContainerPath;
  /**
   * The sandbox is a path below this process's root, and everything happens in its mount namespace. While its root is
   * still its runtime's, `rootfs` is the root that it will have. Symlinks above `rootfs` are the runtime's and followed.
   */
  readonly process?: ContainerProcess;
}

export interface MountRequest extends MountTarget {
  readonly uuid: Incarnation;
  /** The disk's root; the content is `volumes/<uuid>/content` below it and must have this identity. */
  readonly diskRoot: string;
  readonly directory: DirectoryIdentity;
  readonly mode: Mode;
  /** Gives the top of the volume to this owner if it is empty; `sandbox` = to whoever owns the sandbox. */
  readonly owner?: "sandbox" | { readonly uid: number; readonly gid: number };
  /** Only if the kernel says at once that no mount namespace shows the volume. */
  readonly alone?: boolean;
}

export interface DetachOptions {
  /** Takes it away from under its processes. */
  readonly lazy: boolean;
  /** Only if the kernel says at once that no other mount namespace shows the volume, besides this very mount. */
  readonly alone?: boolean;
}

/** What a mounter makes. */
export type BindOrLink = Exclude<MountRecord, { readonly backend: "lent" }>;

export interface Mounted {
  readonly mount: BindOrLink;
  /** Whether the mountpoint had to be made, so that it is ours to remove. */
  readonly madeMountpoint: boolean;
  /** The directory that the volume was mounted on, made or not; in a process's namespace only. */
  readonly mountpoint?: DirectoryThisBoot;
}

export interface MountedAt extends MountTarget {
  readonly uuid: Incarnation;
  /** The disk's root and the volume's identity, as in the request. */
  readonly diskRoot: string;
  readonly directory: DirectoryIdentity;
  readonly mode: Mode;
  /** Absent when the attach was interrupted before it was recorded: what shows the directory is taken for ours. */
  readonly mount?: BindOrLink;
  readonly madeMountpoint: boolean;
  /** In a process's namespace, nothing but this very directory is removed. */
  readonly mountpoint?: DirectoryThisBoot;
}

/**
 * What is at a recorded place:
 * `exact` exactly one mount (or symlink), ours; `missing` nothing, the mountpoint may be left; `stacked` ours with others
 * of the same directory on top; `foreign` somebody else's; `sandbox_gone` the sandbox (or the process) is not there any
 * more. In a process's namespace a recorded mount is known by its id, wherever the container has moved it.
 */
export type MountFinding =
  | { readonly state: "exact"; readonly mount: BindOrLink }
  | { readonly state: "missing" | "stacked" | "sandbox_gone" }
  | { readonly state: "foreign"; readonly reason: string };

export interface Mounter {
  readonly backend: "bind" | "symlink";
  /**
   * Mounts and verifies. Nothing is left behind when it throws.
   * @throws `invalid` the sandbox is not a directory or its path has a symlink
   * @throws `conflict` something else occupies the target
   * @throws `in_use` it is not `alone`, or the kernel cannot tell: look closer
   * @throws `unsupported` this backend cannot mount read-only, or not into a process's namespace; the namespace is the
   *   daemon's own, or belongs to another user namespace and the request is read-only or the ids cannot be mapped
   * @throws `no_such_process` the process has ended
   * @throws `damaged` the content directory is missing or is another one
   */
  attach(request: MountRequest): Promise<Mounted>;
  /**
   * Unmounts what was recorded, removes the mountpoint if it is ours (only if it is an empty directory), verifies.
   * Nothing there any more is fine.
   * What is ours is found wherever it was moved to. The mountpoint that a container moved it to is left there.
   * @throws `busy` when a process sits in it (nothing changed)
   * @throws `in_use` it is not `alone`, or the kernel cannot tell: look closer (nothing changed)
   * @throws `conflict` when what is there is not ours, and ours is nowhere else (nothing changed)
   * @throws `unsupported` we may not look into the process's namespace
   */
  detach(mounted: MountedAt, options: DetachOptions): Promise<void>;
  inspect(mounted: MountedAt): Promise<MountFinding>;
  /**
   * After a reboot, or the end of the process, nothing is mounted: removes a leftover mountpoint that we made, if it is
   * still an empty directory on which no namespace has anything mounted, or a symlink of ours. Of a process that is
   * what lies below its `rootfs`, where that is the recorded directory.
   */
  clear(target: MountedAt): Promise<void>;
  close(): Promise<void>;
}
