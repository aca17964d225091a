/** Whether somebody has a volume of whom our books say nothing. */
import { nameOf } from "../domain/decide.ts";
import { HoldfastError } from "../domain/error.ts";
import type { Volume } from "../domain/records.ts";
import type { ContainerId, Incarnation, Role, VolumeId } from "../domain/units.ts";
import type { HeldMount } from "../ports/holders.ts";
import type { Parts } from "./parts.ts";

export interface VolumeName {
  readonly role: Role;
  readonly id: VolumeId;
}

/**
 * @throws `in_use` when another mount namespace shows an exclusive one of these volumes, which no container has
 * @throws `unavailable` when that cannot be ruled out
 */
export async function requireHeldByNobody(
  parts: Parts,
  container: ContainerId,
  names: readonly VolumeName[],
): Promise<void> {
  const volumes = names.flatMap(({ role, id }) => parts.ledger.state.live(role, id) ?? []);
  const exclusive = volumes.filter((volume) => !volume.shared && isFree(parts, container, volume.uuid));
  if (exclusive.length === 0 || parts.mounter.backend === "symlink") return;
  const mounts = await parts.holders.mounts(
    exclusive.map(({ uuid }) => uuid),
    "elsewhere",
  );
  const held = mounts.find(({ uuid }) => isFree(parts, container, uuid));
  const volume = exclusive.find(({ uuid }) => uuid === held?.uuid);
  if (held !== undefined && volume !== undefined) throw inUse(volume, container, held);
}

/** Whether no container has it, or only this one that is about to get it. */
function isFree(parts: Parts, container: ContainerId, uuid: Incarnation): boolean {
  return parts.ledger.state
    .containersOf(uuid)
    .every(
      ({ id, attachments }) =>
        id === container && attachments.every((one) => one.uuid !== uuid || one.phase === "attaching"),
    );
}

function inUse(volume: Volume, container: ContainerId, { pid, command, cgroup, mountPoint }: HeldMount): HoldfastError {
  return new HoldfastError(
    "in_use",
    `Cannot attach volume ${nameOf(volume)} to container ${container}: process ${pid} (${command}, ${cgroup}) has it at ${mountPoint}`,
    { details: { pids: [pid] } },
  );
}
