/**
 * The disks beside the work root's: directories that somebody else mounts. One may be absent, hang, be another one than
 * yesterday, or go away while it is used.
 */
import type { DirectoryIdentity, DirectoryThisBoot } from "../domain/records.ts";
import type { DiskSource } from "../domain/resource.ts";
import type { Disk } from "./disk.ts";

export type DriveSource = Exclude<DiskSource, { readonly type: "ROOT" }>;

/** What lies at a drive's path now. */
export interface Sight {
  /** The directory itself. */
  readonly root: DirectoryThisBoot;
  /** Equal as long as the same mount shows it, while that is held open. */
  readonly mountId: string;
  readonly isMountPoint: boolean;
  readonly isReadOnly: boolean;
  /** Where it could be found out. */
  readonly fileSystemUuid?: string;
  /** Its `volumes` directory; a fresh drive has none. */
  readonly directory?: DirectoryIdentity;
}

/** `reason` is a phrase for people, with what to do. */
export type Look = ({ readonly state: "present" } & Sight) | { readonly state: "absent"; readonly reason: string };

export interface Drives {
  /**
   * Looks and changes nothing. Holds up nobody else, and may take for ever.
   * @throws when it cannot be told now
   */
  look(source: DriveSource): Promise<Look>;
  /**
   * Opens what lies there and makes its directories: only to be called right after a look that found the right one.
   * @throws what opening a disk throws
   */
  open(source: DriveSource): Promise<Disk>;
}
