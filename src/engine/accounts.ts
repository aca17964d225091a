/**
 * What volumes take, by disk: what the kernel counts, or what was measured last. From it comes what the disk owes: the
 * room that live volumes were promised and have not filled yet.
 */
import type { Volume } from "../domain/records.ts";
import { sourceKey } from "../domain/resource.ts";
import { type Incarnation, toBytes } from "../domain/units.ts";
import { usageOf } from "./measure.ts";
import { noteUsage } from "./nearly-full.ts";
import type { Parts } from "./parts.ts";
import { rememberUse } from "./use-history.ts";

/** Bytes, of one disk, as far as they are known. */
export interface DiskAccount {
  readonly usedByVolumes: number;
  readonly usedByRetained: number;
  /** What live volumes may still fill. */
  readonly promised: number;
  /** How many volumes have yet to be measured. */
  readonly unmeasured: number;
}

export const NO_ACCOUNT: DiskAccount = { usedByVolumes: 0, usedByRetained: 0, promised: 0, unmeasured: 0 };

/** Looked at between two turns of the event loop: a millisecond or two. */
const VOLUMES_PER_SLICE = 500;

/** Looks at every volume, and notes what disks owe, and which volumes are too large or nearly full. */
export async function accountVolumes(parts: Parts): Promise<ReadonlyMap<string, DiskAccount>> {
  const accounts = new Map<string, DiskAccount>();
  const oversized = new Map<Incarnation, number>();
  const volumes = [...parts.ledger.state.volumes.values()];
  for (let start = 0; start < volumes.length; start += VOLUMES_PER_SLICE) {
    for (const volume of volumes.slice(start, start + VOLUMES_PER_SLICE)) {
      const key = sourceKey(volume.source);
      const usedBytes = usageOf(parts, volume)?.usedBytes;
      accounts.set(key, entered(accounts.get(key) ?? NO_ACCOUNT, volume, usedBytes));
      if (isOversized(volume, usedBytes)) oversized.set(volume.uuid, usedBytes);
      noteUsage(parts, volume, usedBytes);
      rememberUse(parts, volume, usedBytes);
    }
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
  const { observations } = parts;
  for (const key of parts.disks.keys()) observations.promised.set(key, accounts.get(key)?.promised ?? 0);
  observations.oversized = oversized;
  return accounts;
}

function entered(account: DiskAccount, volume: Volume, usedBytes: number | undefined): DiskAccount {
  if (usedBytes === undefined) return { ...account, unmeasured: account.unmeasured + 1 };
  if (volume.phase !== "live") return { ...account, usedByRetained: account.usedByRetained + usedBytes };
  return {
    ...account,
    usedByVolumes: account.usedByVolumes + usedBytes,
    promised: account.promised + Math.max(0, toBytes(volume.size) - usedBytes),
  };
}

function isOversized({ phase, size }: Volume, usedBytes: number | undefined): usedBytes is number {
  return phase === "live" && usedBytes !== undefined && usedBytes > toBytes(size);
}
