/**
 * Containers' directories that nobody needs any more. Others filled them and may still write there, and a volume may be
 * mounted in one: nothing of a sandbox is removed before every mount in it is gone, and nothing is reached through a
 * symlink or another mount.
 */
import type { DirectoryIdentity, SandboxRecord } from "../domain/records.ts";
import type { DiskUsage } from "./disk.ts";

/** A directory as it was handed over. */
export type Sandbox = Pick<SandboxRecord, "path" | "directory">;

export type SandboxFinding =
  | { readonly state: "present" }
  /** The directory that it lay in is there, and it is not. */
  | { readonly state: "gone" }
  /** Not even the directory that it lay in can be reached: its file system may not be mounted. */
  | { readonly state: "unreachable"; readonly reason: string }
  /** Something else has its place. */
  | { readonly state: "foreign"; readonly reason: string };

export interface FileSystemUsage extends DiskUsage {
  /** Tells file systems apart. */
  readonly device: string;
}

export interface Sandboxes {
  /**
   * What a directory is that shall be handed over.
   * @param disks the roots of all disks, there or not
   * @throws `invalid` it is no absolute path of two names at least, no directory, or a symlink is in its path (the
   *   message says where)
   * @throws `conflict` it is a part of a disk or of a volume's content, has a disk in it, or is what the daemon stands on
   * @throws `in_use` something is mounted on it
   * @throws `unsupported` it may not be removed: the directory above it is immutable
   */
  examine(path: string, disks: readonly string[]): DirectoryIdentity;
  /** What is in its place now. */
  find(sandbox: Sandbox): SandboxFinding;
  /** How full the file system is that a directory lies on. @throws `unavailable` */
  usage(path: string): Promise<FileSystemUsage>;
  /**
   * Unmounts every mount of a volume, or of something in one, on the sandbox or in it, whoever made it, and looks whether
   * all are gone. What is busy is not taken from under its processes, and what has the place of the sandbox is left alone.
   * With `dryRun` only says what stands against it: nothing is unmounted.
   * @throws `conflict` it is a part of a disk by now, or has one in it
   * @throws `in_use` something else is mounted there, or somebody keeps mounting: the message says where
   * @throws `busy` a process sits in one; the details have the incarnations, `volumes`
   * @throws `unsupported` we may not unmount
   */
  detach(sandbox: Sandbox, disks: readonly string[], options?: { readonly dryRun: boolean }): void;
  /**
   * Deletes the sandbox for good, durable. What was begun is gone on with by calling again; nothing there is fine. As
   * `Disk.purge`: no symlink is followed and no mount entered.
   * @returns how many names were removed
   * @throws `in_use` something is mounted inside, or somebody keeps making new files
   * @throws `unsupported` some of it may not be removed; the rest is gone
   * @throws `damaged` it is another directory than the one that was handed over: nothing of it was touched
   * @throws `unavailable` interrupted by the signal, or the disk fails
   */
  purge(sandbox: Sandbox, options?: { readonly signal?: AbortSignal }): Promise<{ readonly entries: number }>;
  close(): Promise<void>;
}
