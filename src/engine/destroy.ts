/**
 * The second half of DESTROY: the commit said `destroying`, now the directory goes to trash. The reconcile does the
 * same with what is left over: a move that failed, and an interrupted restore.
 */
import { nameOf } from "../domain/decide.ts";
import { codeOf, messageOf } from "../domain/error.ts";
import type { Volume } from "../domain/records.ts";
import { sourceKey } from "../domain/resource.ts";
import type { Incarnation } from "../domain/units.ts";
import { diskOfVolume } from "./handed-ports.ts";
import type { Parts } from "./parts.ts";

/** Moves the directories and notes it. What fails stays as it is, is shown, and is tried again by the reconcile. */
export async function retire(parts: Parts, volumes: readonly Volume[]): Promise<void> {
  await Promise.all(volumes.map(({ uuid }) => parts.serial.run(uuid, () => retireOne(parts, uuid))));
}

type Outcome = "in_trash" | "nothing" | "failed";

/** The caller has the incarnation to itself, so that nobody restores it meanwhile. */
async function retireOne(parts: Parts, uuid: Incarnation): Promise<void> {
  // Only a committed DESTROY may move anything.
  const volume = await parts.ledger.read((state) => state.volumes.get(uuid));
  if (volume === undefined || volume.phase === "live") return;
  const outcome = volume.phase === "destroying" ? await drop(parts, volume) : await dropAgain(parts, volume);
  if (outcome === "failed") return;
  try {
    await parts.ledger.transact({ durable: false, releases: true, because: "there was no content of it" }, (tx) => {
      const current = tx.state.volumes.get(uuid);
      if (current === undefined || current.phase === "live") return;
      if (outcome === "nothing") tx.set("volumes", uuid, undefined);
      else if (current.phase === "destroying") tx.set("volumes", uuid, { ...current, phase: "retained" });
    });
  } catch (error) {
    // Destroyed it is all the same: that commit is durable, and a refusal would deny it. The reconcile notes the rest.
    parts.log.warn(
      { error, volume: uuid },
      `Cannot note that volume ${nameOf(volume)} is in trash: ${messageOf(error)}`,
    );
  }
}

async function drop(parts: Parts, volume: Volume): Promise<Outcome> {
  const { uuid } = volume;
  // Shown with its disk; it goes to trash when that is back.
  if (!parts.disks.has(sourceKey(volume.source))) return "failed";
  try {
    await diskOfVolume(parts.disks, volume).drop(volume);
    parts.observations.succeeded(uuid);
    parts.observations.damage.delete(uuid);
    return "in_trash";
  } catch (error) {
    if (codeOf(error) === "damaged" && volume.phase === "destroying") {
      // A damaged volume is destroyed by forgetting it: there is no content of it to keep.
      parts.log.warn({ error, volume: uuid }, "Destroyed a volume whose directory is not there");
      parts.observations.succeeded(uuid);
      parts.observations.damage.delete(uuid);
      return "nothing";
    }
    const reason = `Cannot move volume ${nameOf(volume)} to trash: ${messageOf(error)}`;
    parts.observations.failed(uuid, reason, parts.clock.bootTimeMs());
    parts.log.error({ error, volume: uuid }, reason);
    return "failed";
  }
}

/** Retained content that was seen outside trash: left by an interrupted restore, or removed by hand. */
async function dropAgain(parts: Parts, volume: Volume): Promise<Outcome> {
  const disk = parts.disks.get(sourceKey(volume.source));
  if (disk === undefined) return "failed";
  if (disk.examineTrash(volume.uuid).state !== "missing") return "in_trash";
  if (disk.examine(volume.uuid).state !== "missing") return drop(parts, volume);
  parts.log.warn({ volume: volume.uuid }, `The retained content of ${nameOf(volume)} is gone from trash`);
  return "nothing";
}
