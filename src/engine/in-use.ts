/** Whether somebody has a volume of whom our books say nothing. */
import { nameOf } from "../domain/decide.ts";
import { HoldfastError } from "../domain/error.ts";
import type { Volume } from "../domain/records.ts";
import type { ContainerId, Incarnation, Role, VolumeId } from "../domain/units.ts";
import type { HeldMount } from "../ports/holders.ts";
import type { Parts } from "./parts.ts";

/** What `HeldMount` has for the process where none is seen. */
const NOBODY = 0;
/** A namespace that nobody lives in goes away in a moment, as that of a container that has just ended: look again. */
const LOOKS_MAX = 3;

export interface VolumeName {
  readonly role: Role;
  readonly id: VolumeId;
}

/** Whether nobody but this container, which is about to get it, may have the volume: not the books alone say so. */
export function mustBeAlone(parts: Parts, container: ContainerId, volume: Volume): boolean {
  return !volume.shared && parts.mounter.backend === "bind" && isFree(parts, container, volume.uuid);
}

/**
 * @throws `in_use` when any mount namespace shows the volume, which no container has
 * @throws `unavailable` when that cannot be ruled out
 */
export async function requireHeldByNobody(parts: Parts, container: ContainerId, volume: Volume): Promise<void> {
  const held = await findHeld(parts, container, volume.uuid);
  if (held !== undefined) throw inUse(volume, container, held);
}

async function findHeld(parts: Parts, container: ContainerId, uuid: Incarnation): Promise<HeldMount | undefined> {
  for (let look = 1; ; look += 1) {
    const mounts = [
      ...(await parts.holders.mounts([uuid], "elsewhere")),
      ...(await parts.holders.mounts([uuid], "here")),
    ];
    const [held] = isFree(parts, container, uuid) ? mounts : [];
    if (held?.pid !== NOBODY || look === LOOKS_MAX) return held;
  }
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

function inUse(volume: Volume, container: ContainerId, held: HeldMount): HoldfastError {
  const { namespace, pid, command, cgroup, mountPoint } = held;
  const action = `Cannot attach volume ${nameOf(volume)} to container ${container}`;
  if (namespace === "host") {
    const reason = `it is mounted at ${mountPoint} already, for no container that is known: unmount it there`;
    return new HoldfastError("in_use", `${action}: ${reason}`);
  }
  const reason = `process ${pid} (${command}, ${cgroup}) has it at ${mountPoint}`;
  return new HoldfastError("in_use", `${action}: ${reason}`, { details: { pids: [pid] } });
}
