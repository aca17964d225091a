/**
 * Who has a volume's directory now, whatever our books say: mounts of it (or of something inside it) in every mount
 * namespace, and processes that sit in it. Bookkeeping alone lies in both directions.
 */
import type { Incarnation } from "../domain/units.ts";

/** A mount of the content, seen in some mount namespace. */
export interface HeldMount {
  readonly uuid: Incarnation;
  /** Mount namespace, the kernel's number; "host" for the daemon's own. */
  readonly namespace: string;
  readonly mountId: string;
  /** Where it is mounted, as that namespace sees it. */
  readonly mountPoint: string;
  /** One process of the namespace, for people. */
  readonly pid: number;
  readonly command: string;
  readonly cgroup: string;
}

/** A process that has its working directory, root, an open file or a mapping inside the content. */
export interface HoldingProcess {
  readonly uuid: Incarnation;
  readonly pid: number;
  readonly command: string;
  readonly cgroup: string;
}

/** Somebody who has a directory that is no volume. */
export interface DirectoryHolder {
  /** As it was asked for. */
  readonly directory: string;
  /** For people: "it is mounted at /data (process 12, sleep, /)", "process 12, sleep, / is in it". */
  readonly phrase: string;
  /** Absent when it is our own namespace's mount, or one that no process shows. */
  readonly pid?: number;
}

/**
 * `elsewhere` leaves out the daemon's own namespace, and threads that live elsewhere than their process, which is cheaper;
 * `here` is the own one alone, which costs next to nothing.
 */
export type Scope = "everywhere" | "elsewhere" | "here";

export interface Holders {
  /**
   * Mounts of these volumes.
   * @throws `unavailable` when a namespace cannot be ruled out (unknown means in use); the message names the process
   */
  mounts(uuids: readonly Incarnation[], scope: Scope): Promise<readonly HeldMount[]>;
  /** Processes inside these volumes, in any namespace. A scan of every process: for refusals and doctor, not for the fast path. */
  processes(uuids: readonly Incarnation[]): Promise<readonly HoldingProcess[]>;
  /**
   * Who has these directories, which are no volumes, by absolute paths without symlinks: mounts of them or of something
   * in them, and mounts on something in them, in any namespace; processes in them. A mount of something above them is
   * not meant: who sits in them through it is found.
   * @throws `unavailable` when somebody cannot be ruled out
   */
  ofDirectories(directories: readonly string[]): Promise<readonly DirectoryHolder[]>;
  close(): Promise<void>;
}
