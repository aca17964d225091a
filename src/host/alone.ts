/**
 * Whether anybody has a volume of whom we know nothing, as quickly as the kernel can tell, at the very moment before it is
 * mounted or unmounted. Where it cannot, or somebody has it, whoever asked has to look closer.
 */
import { HoldfastError } from "../domain/error.ts";
import type { MountedAt, MountRequest } from "../ports/mounter.ts";
import type { KnownMounts } from "./known-mounts.ts";
import { findShownMounts, OWN_NAMESPACE } from "./namespace-walk.ts";

/** On a node with many containers, asking for every mount each time would cost milliseconds. */
const known = new Map<bigint, KnownMounts>();

/** @throws `in_use` unless the kernel says that no mount namespace shows the volume */
export function requireShownNowhere({ uuid }: Pick<MountRequest, "uuid">, action: string): void {
  if (findShownMounts(new Set([uuid]), known)?.length !== 0) throw notAlone(action);
}

/** @throws `in_use` unless the kernel says that no other namespace shows the volume, besides this very mount */
export function requireShownHere({ uuid, mount }: Pick<MountedAt, "uuid" | "mount">, action: string): void {
  const own = mount?.backend === "bind" ? mount.mountId : undefined;
  const shown = findShownMounts(new Set([uuid]), known);
  const isElsewhere = shown?.some(
    ({ namespaceId, mountId }) => namespaceId !== OWN_NAMESPACE && String(mountId) !== own,
  );
  if (isElsewhere !== false) throw notAlone(action);
}

function notAlone(action: string): HoldfastError {
  return new HoldfastError("in_use", `${action}: somebody else may have it`);
}
