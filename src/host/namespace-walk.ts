/**
 * Which volumes mount namespaces show, by asking the kernel for every namespace and its mounts: no process is looked at,
 * so it takes microseconds a namespace, and sees those that no process lives in.
 */
import { closeSync, openSync } from "node:fs";
import type { Incarnation } from "../domain/units.ts";
import { isErrno, listmount, mountRootOf, neighbourNamespace } from "./syscalls.ts";

export interface ShownMount {
  readonly uuid: Incarnation;
  /** The kernel's id of the namespace, 0 for our own. */
  readonly namespaceId: bigint;
  readonly mountId: bigint;
}

/**
 * The volumes whose content mounts show, by the kernel's ids, which it gives only once. A mount shows the same directory
 * as long as it lives; only who moves that one by its path makes it another volume's.
 */
export type KnownMounts = Map<bigint, readonly Incarnation[]>;

export interface LookOptions {
  /** The volumes whose content the root of a mount is, or lies in. */
  readonly incarnationsIn: (root: string) => readonly Incarnation[];
  /** What an earlier look found is not asked for again; holds what there is now afterwards. */
  readonly known?: KnownMounts;
  /** In our own namespace too. */
  readonly own?: boolean;
}

/** The kernel's name for our own. */
export const OWN_NAMESPACE = 0n;

/** @returns `undefined` where the kernel (before 6.12) or our privileges cannot tell */
export function findShownMounts(
  wanted: ReadonlySet<Incarnation>,
  { incarnationsIn, known = new Map(), own = false }: LookOptions,
): readonly ShownMount[] | undefined {
  return asFarAsTold(() => {
    const found: ShownMount[] = [];
    const gone = new Set(known.keys());
    for (const namespaceId of own ? [OWN_NAMESPACE, ...otherNamespaces()] : otherNamespaces()) {
      for (const mountId of mountsOf(namespaceId)) {
        gone.delete(mountId);
        const root = known.has(mountId) ? undefined : ifThere(() => mountRootOf(mountId, namespaceId));
        if (root !== undefined) known.set(mountId, incarnationsIn(root));
        const shown = known.get(mountId) ?? [];
        for (const uuid of shown) if (wanted.has(uuid)) found.push({ uuid, namespaceId, mountId });
      }
    }
    for (const mountId of gone) known.delete(mountId);
    return found;
  });
}

/** What was found out by asking the kernel; `undefined` where the kernel or our privileges cannot tell. */
export function asFarAsTold<Found>(ask: () => Found): Found | undefined {
  try {
    return ask();
  } catch (error) {
    if (isErrno(error, "ENOTTY", "ENOSYS", "EPERM", "EINVAL", "EACCES")) return undefined;
    throw error;
  }
}

/** The kernel's ids of all mount namespaces but our own, in both directions from there. */
export function* otherNamespaces(): Generator<bigint> {
  for (const direction of ["previous", "next"] as const) {
    let fd = openSync("/proc/thread-self/ns/mnt", "r");
    try {
      for (;;) {
        const neighbour = neighbourOf(fd, direction);
        if (neighbour === undefined) break;
        closeSync(fd);
        fd = neighbour.fd;
        yield neighbour.id;
      }
    } finally {
      closeSync(fd);
    }
  }
}

function neighbourOf(fd: number, direction: "next" | "previous"): ReturnType<typeof neighbourNamespace> | undefined {
  return ifThere(() => neighbourNamespace(fd, direction));
}

/** The kernel's ids of a namespace's mounts; one that ended meanwhile has none. */
export function mountsOf(namespaceId: bigint): readonly bigint[] {
  return ifThere(() => listmount(namespaceId)) ?? [];
}

/** What is asked about a namespace or mount; `undefined` when it is gone. */
export function ifThere<Answer>(ask: () => Answer): Answer | undefined {
  try {
    return ask();
  } catch (error) {
    if (isErrno(error, "ENOENT")) return undefined;
    throw error;
  }
}
