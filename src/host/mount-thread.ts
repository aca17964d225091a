/**
 * The mounter that the daemon uses. System calls block, and one on a sandbox whose FUSE or network file system hangs
 * blocks for ever: so they run in a thread of their own. What a call did before it was given up is found by the next
 * reconcile, as after a crash.
 */
import { stat } from "node:fs/promises";
import { Worker } from "node:worker_threads";
import { HoldfastError } from "../domain/error.ts";
import type { Mounter } from "../ports/mounter.ts";
import { CallThread } from "./call-thread.ts";
import type { MountMethods } from "./mount-methods.ts";
import { bindMountRefusal } from "./mount-probe.ts";

export interface MounterOptions {
  /** `auto`: bind mounts where a probe succeeds, else symlinks. */
  readonly backend: "auto" | Mounter["backend"];
  /** How long a call may take, its wait for earlier ones included. Milliseconds. */
  readonly timeoutMs?: number;
}

/** What the thread offers. */
export type MountThreadMethods = MountMethods & { readonly ready: () => void };

const TIMEOUT_MS = 10_000;

/**
 * Chooses the backend and starts its thread. Every method also throws `unavailable` when the thread does not answer
 * in time.
 * @throws `unsupported` bind mounts are demanded and the probe fails
 */
export async function createMounter({ backend: wanted, timeoutMs = TIMEOUT_MS }: MounterOptions): Promise<Mounter> {
  // The threads that serve asynchronous file calls of the whole process live where the one lives that first needs them:
  // that must not be the mount thread, which visits containers.
  await stat("/");
  const backend = chooseBackend(wanted);
  const thread = new CallThread<MountThreadMethods>({
    action: "use the mount thread (the file system of a sandbox may hang)",
    timeoutMs,
    start: () => startThread(backend),
  });
  // So that it is warm, and that a thread which cannot start is known at once.
  await thread.call("ready");
  return {
    backend,
    attach: (request) => thread.call("attach", request),
    detach: (mounted, options) => thread.call("detach", mounted, options),
    inspect: (mounted) => thread.call("inspect", mounted),
    clear: (target) => thread.call("clear", target),
    close: () => thread.close(),
  };
}

function chooseBackend(wanted: MounterOptions["backend"]): Mounter["backend"] {
  if (wanted === "symlink") return "symlink";
  const refusal = bindMountRefusal();
  if (refusal === undefined) return "bind";
  if (wanted === "auto") return "symlink";
  throw new HoldfastError("unsupported", `Cannot use the bind backend: ${refusal}`);
}

function startThread(backend: Mounter["backend"]): Worker {
  return new Worker(new URL("./mount-worker.ts", import.meta.url), {
    name: "mounts",
    workerData: backend,
    // Descriptors are closed by number; by default Node would close at exit numbers that others use by then.
    trackUnmanagedFds: false,
  });
}
