/** What happens between start and readiness; then what may be done behind it. */
import { messageOf } from "../domain/error.ts";
import { freeOf } from "../domain/node.ts";
import type { Volume } from "../domain/records.ts";
import { sourceKey } from "../domain/resource.ts";
import { type Incarnation, type MilliMb, toBytes, toMb } from "../domain/units.ts";
import type { Disk } from "../ports/disk.ts";
import type { NodeStatus } from "./engine.ts";
import { measureDisk } from "./measure.ts";
import type { Parts } from "./parts.ts";
import { reconcileContainers, reconcileVolumes } from "./reconcile.ts";

export type RecoverySummary = NodeStatus["recovery"];

/** Examining directories holds up readiness for so long at most: some 20,000 volumes. An attach looks for itself. */
const EXAMINE_MS = 100;

export interface Recovered {
  readonly summary: RecoverySummary;
  /** Volumes whose directories have yet to be looked at. */
  readonly rest: readonly Volume[];
}

/** Brings records and world together. Nobody else is served yet. */
export async function recover(parts: Parts): Promise<Recovered> {
  const startedAt = performance.now();
  const { resumed, rest } = await reconcileVolumes(parts, [...parts.ledger.state.volumes.values()], EXAMINE_MS);
  const containers = await reconcileContainers(parts);
  await checkDisks(parts);
  const durationMs = performance.now() - startedAt;
  parts.metrics.reconciled("recover", durationMs);
  const summary: RecoverySummary = {
    at: parts.clock.now(),
    durationMs: Math.round(durationMs),
    adopted: containers.adopted,
    cleared: containers.cleared,
    completed: containers.completed + resumed,
    damaged: parts.observations.damage.size + parts.ledger.damaged.length,
    orphans: [],
  };
  const { at: _, ...counts } = summary;
  parts.log.info(counts, "Recovered");
  return { summary, rest };
}

/** What is on the books is nobody's spare, and nobody else's project id. Before anything else is asked of a disk. */
export function claimVolumes({ ledger }: Pick<Parts, "ledger">, disk: Disk): void {
  const key = sourceKey(disk.source);
  disk.claim([...ledger.state.volumes.values()].filter(({ source }) => sourceKey(source) === key));
}

/** What may be many, and is done behind readiness: further directories, labels that were lost or spoiled, orphans. */
export async function recoverBehind(parts: Parts, rest: readonly Volume[], signal: AbortSignal): Promise<void> {
  await reconcileVolumes(parts, rest);
  await parts.labeller.rewriteStale();
  await parts.labeller.repair(signal);
  // The node's own label tells a lost checkpoint from a first start, so it does not wait for quiet.
  await parts.labeller.flush();
  await findOrphans(parts);
}

/** Directories without a record are shown, never deleted: `holdfast rebuild` or the operator decides. */
export async function findOrphans(parts: Parts): Promise<void> {
  const orphans: string[] = [];
  for (const disk of parts.disks.values()) orphans.push(...(await orphansOn(parts, disk)));
  for (const orphan of orphans) {
    if (!parts.observations.orphans.includes(orphan)) parts.log.warn({ orphan }, "Found a directory without a record");
  }
  parts.observations.orphans = orphans;
}

/** What cannot be listed now is shown as it was seen last. */
async function orphansOn(parts: Parts, disk: Disk): Promise<readonly string[]> {
  try {
    const unknown = await unknownOn(parts, disk);
    if (unknown.length === 0) return [];
    // What was collected while the names were read has no record any more, and no directory.
    const still = new Set(await unknownOn(parts, disk));
    return unknown.filter((directory) => still.has(directory));
  } catch (error) {
    parts.log.warn({ error, disk: disk.root }, "Cannot look for directories without a record");
    return parts.observations.orphans.filter((orphan) => orphan.startsWith(`${disk.root}/`));
  }
}

async function unknownOn(parts: Parts, disk: Disk): Promise<readonly string[]> {
  const { volumes, trash } = await disk.list((uuid) => isKnown(parts, uuid));
  const unknown = (folder: string, uuids: readonly Incarnation[]) =>
    uuids.filter((uuid) => !isKnown(parts, uuid)).map((uuid) => `${disk.root}/${folder}/${uuid}`);
  return [...unknown("volumes", volumes), ...unknown("trash", trash)];
}

function isKnown(parts: Parts, uuid: string): boolean {
  return (
    parts.ledger.state.volumes.has(uuid) ||
    parts.ledger.damaged.some((record) => record.table === "volumes" && record.key === uuid)
  );
}

/** A disk that cannot keep what was declared or reserved takes no new reservations. */
export async function checkDisks(parts: Parts): Promise<void> {
  await Promise.all([...parts.disks.values()].map((disk) => checkDisk(parts, disk)));
}

export async function checkDisk(parts: Parts, disk: Disk): Promise<void> {
  const key = sourceKey(disk.source);
  const reason = parts.observations.readOnly.get(key) ?? (await overdrawn(parts, disk)) ?? shortfall(parts, key);
  // It may have gone away meanwhile, which is the better reason.
  if (!parts.disks.has(key)) return;
  if (reason === undefined) parts.observations.closedDisks.delete(key);
  else if (parts.observations.closedDisks.get(key) !== reason) {
    parts.observations.closedDisks.set(key, reason);
    parts.log.warn({ disk: disk.root }, `Disk ${disk.root} takes no new reservations: ${reason}`);
  }
}

async function overdrawn(parts: Parts, disk: Disk): Promise<string | undefined> {
  const declared = declaredOf(parts, sourceKey(disk.source));
  try {
    const { totalBytes } = await measureDisk(parts, disk);
    if (toBytes(declared) <= totalBytes) return undefined;
    return `${toMb(declared)} MB are declared, its file system has ${Math.floor(totalBytes / 1024 / 1024)} MB`;
  } catch (error) {
    return `its file system cannot be measured (${messageOf(error)})`;
  }
}

function shortfall(parts: Parts, key: string): string | undefined {
  for (const pool of parts.ledger.state.pools) {
    const free = freeOf(pool);
    if (sourceKey(pool.source) !== key || free >= 0) continue;
    return `${toMb(-free as MilliMb)} MB more are reserved or under volumes than are declared`;
  }
  return undefined;
}

/** What the operator declared of a disk: unreserved and static, without double counting. */
export function declaredOf(parts: Parts, key: string): MilliMb {
  let declared = 0;
  for (const pool of parts.ledger.state.pools) {
    if (sourceKey(pool.source) === key && pool.reservations.at(-1)?.type !== "DYNAMIC") declared += pool.total;
  }
  return declared as MilliMb;
}
