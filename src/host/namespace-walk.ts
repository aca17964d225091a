/**
 * Which volumes mount namespaces show, by asking the kernel for every namespace and its mounts: no process is looked at,
 * so it takes microseconds a namespace, and sees those that no process lives in.
 */
import { closeSync } from "node:fs";
import type { Incarnation } from "../domain/units.ts";
import { incarnationsIn } from "./content-path.ts";
import { KnownMounts } from "./known-mounts.ts";
import { AT, isErrno, listmount, mountRootOf, neighbourNamespace, O, openat2 } from "./syscalls.ts";

export interface ShownMount {
  readonly uuid: Incarnation;
  /** The kernel's id of the namespace, 0 for our own. */
  readonly namespaceId: bigint;
  readonly mountId: bigint;
}

/** The kernel's name for our own. */
export const OWN_NAMESPACE = 0n;

export interface LookOptions {
  /** What earlier looks found in each namespace, for the next one. */
  readonly known?: Map<bigint, KnownMounts>;
  /** In our own namespace too. */
  readonly own?: boolean;
}

/** @returns `undefined` where the kernel (before 6.12) or our privileges cannot tell */
export function findShownMounts(
  wanted: ReadonlySet<Incarnation>,
  { known = new Map(), own = true }: LookOptions = {},
): readonly ShownMount[] | undefined {
  return asFarAsTold(() => {
    const found: ShownMount[] = [];
    const gone = new Set(known.keys());
    for (const namespaceId of own ? [OWN_NAMESPACE, ...otherNamespaces()] : otherNamespaces()) {
      const mounts = known.get(namespaceId) ?? new KnownMounts();
      // What is known is only half of it when this throws.
      known.delete(namespaceId);
      mounts.update(mountsOf(namespaceId), (id) => ask(namespaceId, id));
      known.set(namespaceId, mounts);
      gone.delete(namespaceId);
      for (const uuid of wanted) {
        for (const mountId of mounts.of(uuid)) found.push({ uuid, namespaceId, mountId: BigInt(mountId) });
      }
    }
    for (const namespaceId of gone) known.delete(namespaceId);
    return found;
  });
}

function ask(namespaceId: bigint, mountId: number): readonly Incarnation[] | undefined {
  const root = ifThere(() => mountRootOf(BigInt(mountId), namespaceId));
  return root === undefined ? undefined : incarnationsIn(root);
}

/** What was found out by asking the kernel; `undefined` where the kernel or our privileges cannot tell. */
export function asFarAsTold<Found>(ask: () => Found): Found | undefined {
  try {
    return ask();
  } catch (error) {
    if (isErrno(error, "ENOTTY", "ENOSYS", "EPERM", "EINVAL", "EACCES", "EOVERFLOW")) return undefined;
    throw error;
  }
}

/** The kernel's ids of all mount namespaces but our own, in both directions from there. */
export function* otherNamespaces(): Generator<bigint> {
  for (const direction of ["previous", "next"] as const) {
    let fd = openat2(AT.FDCWD, "/proc/thread-self/ns/mnt", { flags: O.RDONLY });
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
export function mountsOf(namespaceId: bigint): Float64Array {
  return ifThere(() => listmount(namespaceId)) ?? new Float64Array();
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
