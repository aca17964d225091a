/**
 * Whether anybody has a volume of whom we know nothing, as quickly as the kernel can tell, at the very moment before it is
 * mounted or unmounted. Where it cannot, or somebody has it, whoever asked has to look closer.
 */
import { HoldfastError } from "../domain/error.ts";
import type { Incarnation } from "../domain/units.ts";
import type { MountedAt, MountRequest } from "../ports/mounter.ts";
import type { KnownMounts } from "./known-mounts.ts";
import { findShownMounts, OWN_NAMESPACE, type ShownMount } from "./namespace-walk.ts";

/** On a node with many containers, asking for every mount each time would cost milliseconds. */
const known = new Map<bigint, KnownMounts>();

/** @throws `in_use` unless the kernel says that no mount namespace shows the volume */
export function requireShownNowhere({ uuid }: Pick<MountRequest, "uuid">, action: string): void {
  if (shownAt(uuid, action).length > 0) throw notAlone(action);
}

/** @throws `in_use` unless the kernel says that no other namespace shows the volume, besides this very mount */
export function requireShownHere({ uuid, mount }: Pick<MountedAt, "uuid" | "mount">, action: string): void {
  const own = mount?.backend === "bind" ? mount.mountId : undefined;
  const isElsewhere = ({ namespaceId, mountId }: ShownMount): boolean =>
    namespaceId !== OWN_NAMESPACE && String(mountId) !== own;
  if (shownAt(uuid, action).some(isElsewhere)) throw notAlone(action);
}

/** Whatever keeps the kernel from telling: the closer look says what it is, where it is in its way too. */
function shownAt(uuid: Incarnation, action: string): readonly ShownMount[] {
  let shown: readonly ShownMount[] | undefined;
  try {
    shown = findShownMounts(new Set([uuid]), { known });
  } catch (error) {
    throw notAlone(action, error);
  }
  if (shown === undefined) throw notAlone(action);
  return shown;
}

function notAlone(action: string, cause?: unknown): HoldfastError {
  return new HoldfastError("in_use", `${action}: somebody else may have it`, { cause });
}
