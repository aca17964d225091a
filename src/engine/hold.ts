/**
 * Has the kernel hold volumes to their sizes, where it can. A volume that it does not hold is shown and looked at
 * again: a size that is not enforced is no reason to refuse somebody his data.
 */
import { nameOf } from "../domain/decide.ts";
import { messageOf } from "../domain/error.ts";
import type { Volume } from "../domain/records.ts";
import { sourceKey } from "../domain/resource.ts";
import type { Looseness, VolumeUsage } from "../ports/disk.ts";
import { diskOfVolume } from "./handed-ports.ts";
import type { Parts } from "./parts.ts";

/** Right behind the commit that gave them their sizes. */
export function holdToSize(parts: Parts, volumes: readonly Volume[]): void {
  for (const volume of volumes) {
    try {
      diskOfVolume(parts.disks, volume).limit(volume);
      parts.observations.loose.delete(volume.uuid);
    } catch (error) {
      noteLoose(parts, volume, messageOf(error));
    }
  }
}

/** Compares what the kernel does with what is recorded. Limits are set again at once, files are looked at later. */
export function checkHold(parts: Parts, volume: Volume): void {
  const { observations } = parts;
  const looseness = lookAt(parts, volume);
  if (looseness === undefined) observations.loose.delete(volume.uuid);
  else if (looseness.cure === "limit") holdToSize(parts, [volume]);
  else noteLoose(parts, volume, looseness.reason);
}

/**
 * Makes everything in a volume its own by the kernel's books, and holds it to its size, as far as that can be done.
 * Returns what it takes; `undefined` when it is gone.
 * @throws what `Disk.enlist` throws
 */
export async function enlistVolume(
  parts: Parts,
  volume: Volume,
  signal: AbortSignal,
): Promise<VolumeUsage | undefined> {
  const enlisted = await withProject(parts, volume);
  if (enlisted === undefined) return undefined;
  const { wrong, refused, ...usage } = await diskOfVolume(parts.disks, enlisted).enlist(enlisted, { signal });
  if (wrong > 0) {
    const message = `Took ${wrong} files of volume ${nameOf(volume)} into its quota again`;
    parts.log.warn({ volume: volume.uuid, wrong, refused }, message);
  }
  const current = await parts.ledger.read((state) => state.volumes.get(volume.uuid));
  if (current !== undefined) checkHold(parts, current);
  return usage;
}

/** The volume with its project id, which is recorded before any file has it; `undefined` when the volume is gone. */
async function withProject(parts: Parts, volume: Volume): Promise<Volume | undefined> {
  if (volume.projectId !== undefined) return volume;
  const projectId = diskOfVolume(parts.disks, volume).newProjectId();
  if (projectId === undefined) return volume;
  let recorded: Volume | undefined;
  await parts.ledger.transact({ durable: true }, (tx) => {
    const current = tx.state.volumes.get(volume.uuid);
    if (current === undefined) return;
    recorded =
      current.projectId === undefined ? { ...current, projectId, revision: parts.ledger.nextRevision() } : current;
    if (recorded === current) return;
    parts.labeller.expect([recorded]);
    tx.set("volumes", volume.uuid, recorded);
  });
  if (recorded !== undefined) parts.labeller.write([recorded]);
  return recorded;
}

function lookAt(parts: Parts, volume: Volume): Looseness | undefined {
  try {
    return parts.disks.get(sourceKey(volume.source))?.looseness(volume);
  } catch (error) {
    return { reason: messageOf(error), cure: "enlist" };
  }
}

function noteLoose({ observations, log }: Parts, volume: Volume, reason: string): void {
  if (observations.loose.get(volume.uuid) === reason) return;
  observations.loose.set(volume.uuid, reason);
  observations.lookedInto.delete(volume.uuid);
  log.warn({ volume: volume.uuid }, `Volume ${nameOf(volume)} is not held to its size: ${reason}`);
}
