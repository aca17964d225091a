/** What tells a directory from another one that took its place, over reboots too. */
import type { DirectoryIdentity } from "../domain/records.ts";
import type { Stat } from "./syscalls.ts";

/**
 * Subvolumes of btrfs all have the same inode, and are born in the same moment when the clock of its births has ticked
 * seldom: each has a number that is never used again, and stands for its inode.
 */
export function identityOf({
  ino,
  subvolume,
  birthNs,
}: Pick<Stat, "ino" | "subvolume" | "birthNs">): DirectoryIdentity {
  return { ino: String(subvolume ?? ino), birthNs: String(birthNs) };
}
