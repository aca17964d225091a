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

export interface Holders {
  /**
   * Mounts of these volumes. `elsewhere` leaves out the daemon's own namespace, which is cheaper.
   * @throws `unavailable` when a namespace cannot be ruled out (unknown means in use); the message names the process
   */
  mounts(uuids: readonly Incarnation[], scope: "everywhere" | "elsewhere"): Promise<readonly HeldMount[]>;
  /** Processes inside these volumes, in any namespace. A scan of every process: for refusals and doctor, not for the fast path. */
  processes(uuids: readonly Incarnation[]): Promise<readonly HoldingProcess[]>;
  close(): Promise<void>;
}
