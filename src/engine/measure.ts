/** How full disks and volumes are. A file system that hangs holds up nobody: it is waited for a little, and asked no second time. */
import { type DiskState, usedPart } from "../domain/collect.ts";
import { HoldfastError } from "../domain/error.ts";
import type { Volume } from "../domain/records.ts";
import { type DiskSource, sourceKey } from "../domain/resource.ts";
import type { Disk, DiskUsage, VolumeUsage } from "../ports/disk.ts";
import type { Parts } from "./parts.ts";

const ANSWER_MS_MAX = 2_000;

/** @throws `unavailable` when it does not answer in two seconds, and whatever the disk throws */
export async function measureDisk(parts: Parts, disk: Disk): Promise<DiskUsage> {
  const usage = await soon(parts, disk, ask(parts, disk));
  parts.observations.usage.set(sourceKey(disk.source), usage);
  return usage;
}

/** How a disk stood when it was last measured. */
export function diskState({ observations }: Pick<Parts, "observations">, source: DiskSource): DiskState {
  const key = sourceKey(source);
  const usage = observations.usage.get(key);
  if (usage === undefined) return { usage: 0, inDanger: false };
  // What was declared beyond the file system was never there to be promised.
  const isOverdrawn = observations.closedDisks.has(key);
  const inDanger = !isOverdrawn && usage.freeBytes < (observations.promised.get(key) ?? 0);
  return { usage: usedPart(usage), inDanger };
}

/** What a volume takes: what the kernel counts now, else what was measured last. */
export function usageOf(
  { disks, observations }: Pick<Parts, "disks" | "observations">,
  volume: Volume,
): VolumeUsage | undefined {
  return disks.get(sourceKey(volume.source))?.usageOf(volume) ?? observations.measured.get(volume.uuid);
}

/** Each question that hangs occupies a thread that other file operations need, so there is one a disk. */
function ask({ observations }: Parts, disk: Disk): Promise<DiskUsage> {
  const asked = observations.usageAsked.get(disk) ?? disk.usage().finally(() => observations.usageAsked.delete(disk));
  observations.usageAsked.set(disk, asked);
  return asked;
}

function soon<T>({ clock }: Parts, disk: Disk, answer: Promise<T>): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  const tooLate = new HoldfastError(
    "unavailable",
    `disk ${disk.root} does not answer: look at its device and the kernel's log`,
  );
  const cancel = clock.after(ANSWER_MS_MAX, () => reject(tooLate));
  answer.then(resolve, reject).finally(cancel);
  return promise;
}
