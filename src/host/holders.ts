/**
 * The port `holders` on /proc: reading it blocks and grows with the machine, so a thread of its own does it, started
 * when somebody asks for the first time.
 */
import { Worker } from "node:worker_threads";
import type { Incarnation } from "../domain/units.ts";
import type { Holders } from "../ports/holders.ts";
import { CallThread } from "./call-thread.ts";
import { gathered } from "./gathered.ts";
import type { HOLDERS_METHODS } from "./holders-worker.ts";

const TIMEOUT_MS = 15_000;

export interface HoldersOptions {
  /** The roots of all disks. */
  readonly diskRoots: readonly string[];
}

export function createHolders({ diskRoots }: HoldersOptions): Holders {
  const thread = new CallThread<typeof HOLDERS_METHODS>({
    action: "find out who holds volumes",
    timeoutMs: TIMEOUT_MS,
    start: () =>
      new Worker(new URL("./holders-worker.ts", import.meta.url), {
        name: "holders",
        // Descriptors are closed by number; by default Node would close at exit numbers that others use by then.
        trackUnmanagedFds: false,
      }),
  });
  // One at a time, a few hundred clients at once would wait until the thread counts as lost.
  const mounts = {
    everywhere: gathered((uuids: readonly Incarnation[]) => thread.call("mounts", uuids, "everywhere")),
    here: gathered((uuids: readonly Incarnation[]) => thread.call("mounts", uuids, "here")),
    elsewhere: gathered((uuids: readonly Incarnation[]) => thread.call("mounts", uuids, "elsewhere")),
  };
  return {
    mounts: (uuids, scope) => mounts[scope](uuids),
    processes: gathered((uuids) => thread.call("processes", uuids, diskRoots)),
    ofDirectories: (directories) => thread.call("ofDirectories", directories),
    close: () => thread.close(),
  };
}
