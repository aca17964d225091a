/**
 * Gives up destroyed volumes whose disk is gone for good: only their records go, nothing is deleted on any disk. Should
 * the disk come back after all, their directories are shown as what no record names.
 */
import { nameOf } from "../domain/decide.ts";
import { HoldfastError, messageOf } from "../domain/error.ts";
import { type Actor, actorName } from "../domain/operation.ts";
import type { Volume } from "../domain/records.ts";
import { sourceKey } from "../domain/resource.ts";
import type { Incarnation } from "../domain/units.ts";
import type { Attempts } from "./collect.ts";
import { rootOf } from "./handed-ports.ts";
import type { Parts } from "./parts.ts";

/** Says of each why it stays, `undefined` when it is given up. */
export async function giveUpLost(parts: Parts, actor: Actor, uuids: readonly Incarnation[]): Promise<Attempts> {
  const attempts = new Map<Incarnation, string | undefined>();
  for (const uuid of uuids) attempts.set(uuid, await parts.serial.run(uuid, () => giveUpOne(parts, actor, uuid)));
  return attempts;
}

/** Why a volume would not be given up. */
export function whyNotLost(parts: Parts, volume: Volume): string | undefined {
  const refuse = (reason: string): string => `Cannot give up volume ${nameOf(volume)}: ${reason}`;
  if (volume.phase === "live") return refuse("it is not destroyed, destroy it first");
  if (volume.pinned === true) return refuse("it is pinned, unpin it first");
  const [container] = parts.ledger.state.containersOf(volume.uuid);
  if (container !== undefined) return refuse(`container ${container.id} has it, detach it first`);
  if (!parts.disks.has(sourceKey(volume.source))) return undefined;
  return refuse(`its disk ${rootOf(parts.disks, volume.source)} is there, collect it without --lost`);
}

async function giveUpOne(parts: Parts, actor: Actor, uuid: Incarnation): Promise<string | undefined> {
  try {
    const kind = { durable: true, releases: true, by: actorName(actor), because: "given up with its disk" };
    const given = await parts.ledger.transact(kind, (tx) => {
      const volume = tx.state.volumes.get(uuid);
      if (volume === undefined) return undefined;
      const reason = whyNotLost(parts, volume);
      if (reason !== undefined) throw new HoldfastError("in_use", reason);
      tx.set("volumes", uuid, undefined);
      return volume;
    });
    if (given === undefined) return "Cannot give up the volume: it is gone already";
    parts.observations.damage.delete(uuid);
    parts.observations.succeeded(uuid);
    parts.log.warn(
      { volume: uuid },
      `Gave up volume ${nameOf(given)} with its disk ${rootOf(parts.disks, given.source)}`,
    );
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}
