/**
 * Operation lists: completed, validated, authorised, prepared, decided, committed, carried out. What can be repeated
 * harmlessly (directories for new volumes, the look for holders) is done before the commit; what destroys, after it.
 */
import { authorise } from "../domain/authorise.ts";
import { completeOperations } from "../domain/complete.ts";
import { type Decision, type DecisionContext, decideOperations } from "../domain/decide.ts";
import { HoldfastError } from "../domain/error.ts";
import type { Transaction } from "../domain/node.ts";
import { type Actor, actorName, type Operation } from "../domain/operation.ts";
import { type OperationRecord, operationKey, type Retirement, type Volume } from "../domain/records.ts";
import { type DiskResource, type DiskSource, roleOf, sourceKey } from "../domain/resource.ts";
import type { Incarnation } from "../domain/units.ts";
import { validateOperations } from "../domain/validate-operation.ts";
import type { Disk, Spare } from "../ports/disk.ts";
import { retire } from "./destroy.ts";
import type { PerformOptions } from "./engine.ts";
import { diskOf } from "./handed-ports.ts";
import { holdToSize } from "./hold.ts";
import type { VolumeName } from "./in-use.ts";
import type { CommitKind } from "./ledger.ts";
import { usageOf } from "./measure.ts";
import type { Parts } from "./parts.ts";
import { settleBooks } from "./settle-books.ts";

/** What changes together with a list of operations: all of it, or nothing. Both run in the transaction; both may refuse. */
export interface Companion {
  readonly before?: (tx: Transaction) => void;
  /** Returns the volumes that were created as they shall be labelled. */
  /** What else a new volume is. */
  readonly complete?: (volume: Volume) => Volume;
  readonly after?: (tx: Transaction, created: readonly Volume[]) => readonly Volume[];
}

export async function performOperations(
  parts: Parts,
  actor: Actor,
  asked: readonly Operation[],
  options: PerformOptions,
  companion: Companion = {},
): Promise<OperationRecord> {
  const { ledger } = parts;
  const identity = options.id === undefined ? undefined : { id: options.id, request: JSON.stringify(asked) };
  // What an actor was told before, it may be told again: a volume that it destroyed has no creator to ask for any more.
  const earlier = identity === undefined ? undefined : await ledger.read(() => knownOutcome(parts, actor, identity));
  if (earlier !== undefined) return earlier;

  const operations = validateOperations(actor, completeOperations(ledger.state, actor, asked));
  const requireAllowed = () =>
    authorise(parts.acls(), actor, operations, { creator: (volume) => creatorOf(parts, volume) });
  requireAllowed();

  const directories = await prepareDirectories(parts, operations);
  try {
    const context = {
      by: actorName(actor),
      now: parts.clock.now(),
      retirement: () => retirementNow(parts),
      takeDirectory: (source: DiskSource) => directories.take(source),
      heldBy: await lookForHolders(parts, operations, (uuid) => directories.has(uuid)),
      usedBytes: (volume: Volume) => usageOf(parts, volume)?.usedBytes,
      damageOf: (uuid: Incarnation) => parts.observations.damageOf(uuid),
      closedTo: (source: DiskSource) => parts.observations.closedDisks.get(sourceKey(source)),
      nextRevision: () => ledger.nextRevision(),
      ...(companion.complete === undefined ? {} : { complete: companion.complete }),
    };
    const decide = (tx: Transaction): Decision => {
      try {
        // Another volume may have taken the name meanwhile.
        requireAllowed();
        companion.before?.(tx);
        const decision = decideOperations(tx, operations, context);
        return { ...decision, created: companion.after?.(tx, decision.created) ?? decision.created };
      } catch (error) {
        directories.untake();
        throw error;
      }
    };
    const describe = (decision: Decision) => outcome(actor, identity, decision, context);
    if (options.dryRun === true) {
      const decision = await ledger.rehearse(decide);
      directories.untake();
      return describe(decision);
    }
    const known = () => (identity === undefined ? undefined : knownOutcome(parts, actor, identity));
    const kind = { durable: true, releases: operations.every(releases), by: context.by };
    return await commit(parts, kind, known, decide, describe);
  } finally {
    directories.giveBackUntaken();
  }
}

interface Identity {
  readonly id: string;
  readonly request: string;
}

async function commit(
  parts: Parts,
  kind: CommitKind,
  known: () => OperationRecord | undefined,
  decide: (tx: Transaction) => Decision,
  describe: (decision: Decision) => OperationRecord,
): Promise<OperationRecord> {
  const { ledger, labeller } = parts;
  let decision: Decision | undefined;
  let record: OperationRecord;
  try {
    record = await ledger.transact(kind, (tx) => {
      // The same id may have been decided while this one was prepared.
      const earlier = known();
      if (earlier !== undefined) return earlier;
      decision = decide(tx);
      labeller.expect([...decision.created, ...decision.resized]);
      return remember(tx, describe(decision));
    });
  } catch (error) {
    if (decision !== undefined) labeller.forget([...decision.created, ...decision.resized]);
    throw error;
  }
  if (decision !== undefined) await carryOut(parts, decision);
  return record;
}

async function carryOut(parts: Parts, decision: Decision): Promise<void> {
  holdToSize(parts, [...decision.created, ...decision.resized]);
  parts.labeller.write([...decision.created, ...decision.resized]);
  if (decision.reservationsChanged) parts.labeller.reservationsChanged();
  if (decision.destroyed.length > 0) await retire(parts, decision.destroyed);
}

function outcome(
  actor: Actor,
  identity: Identity | undefined,
  decision: Decision,
  context: DecisionContext,
): OperationRecord {
  return {
    id: identity?.id ?? "",
    by: actorName(actor),
    at: context.now,
    request: identity?.request ?? "",
    operations: decision.summaries,
  };
}

/** Only a list that was given an id is remembered. */
function remember(tx: Transaction, record: OperationRecord): OperationRecord {
  if (record.id !== "") tx.set("operations", operationKey(record.by, record.id), record);
  return record;
}

function knownOutcome(parts: Parts, actor: Actor, identity: Identity): OperationRecord | undefined {
  const known = parts.ledger.state.operations.get(operationKey(actorName(actor), identity.id));
  if (known !== undefined && known.request !== identity.request) {
    throw new HoldfastError(
      "operation_id_reused",
      `Cannot perform operation ${identity.id}: the id was used before for other content`,
    );
  }
  return known;
}

function releases(operation: Operation): boolean {
  return operation.type === "DESTROY" || operation.type === "UNRESERVE";
}

/** The stored creator: what a request says about it decides nothing. */
function creatorOf(parts: Parts, resource: DiskResource): string | undefined {
  const role = roleOf(resource.reservations);
  if (role === undefined || resource.volume === undefined) return undefined;
  const volume = parts.ledger.state.live(role, resource.volume.id);
  return volume === undefined ? undefined : (volume.principal ?? "");
}

function retirementNow(parts: Pick<Parts, "clock">): Retirement {
  return { at: parts.clock.now(), bootId: parts.clock.bootId(), bootTimeMs: parts.clock.bootTimeMs() };
}

interface Directories {
  /** Whether this one was prepared for the list. */
  has(uuid: Incarnation): boolean;
  take(source: DiskSource): Spare;
  /** What was taken belongs to no volume after all. */
  untake(): void;
  /** To be called when all is decided. */
  giveBackUntaken(): void;
}

const NO_DIRECTORIES: Directories = {
  has: () => false,
  take() {
    throw new Error("No directory was prepared");
  },
  untake() {},
  giveBackUntaken() {},
};

/** Takes as many ready directories as the list will create volumes, by disk. */
async function prepareDirectories(parts: Parts, operations: readonly Operation[]): Promise<Directories> {
  const wanted = new Map<string, { source: DiskSource; count: number }>();
  for (const operation of operations) {
    if (operation.type !== "CREATE") continue;
    for (const { source } of operation.volumes) {
      const entry = wanted.get(sourceKey(source)) ?? { source, count: 0 };
      wanted.set(sourceKey(source), { source, count: entry.count + 1 });
    }
  }
  if (wanted.size === 0) return NO_DIRECTORIES;

  const prepared = new Map<string, Prepared>();
  const directories = directoriesOf(prepared, parts.disks);
  try {
    for (const [key, { source, count }] of wanted) {
      const disk = diskOf(parts.disks, source);
      prepared.set(key, { disk, spares: await disk.take(count), used: 0 });
    }
  } catch (error) {
    directories.giveBackUntaken();
    throw error;
  }
  return directories;
}

interface Prepared {
  readonly disk: Disk;
  readonly spares: readonly Spare[];
  used: number;
}

function directoriesOf(prepared: ReadonlyMap<string, Prepared>, disks: Parts["disks"]): Directories {
  return {
    has: (uuid) => [...prepared.values()].some(({ spares }) => spares.some((spare) => spare.uuid === uuid)),
    take(source) {
      const entry = prepared.get(sourceKey(source));
      const spare = entry?.spares[entry.used];
      if (entry === undefined || spare === undefined) throw new Error("Fewer directories were prepared than needed");
      // What went away meanwhile may be back, and take them for spares again.
      if (diskOf(disks, source) !== entry.disk) {
        throw new HoldfastError("unavailable", `Cannot use disk ${entry.disk.root}: it went away, try again`);
      }
      entry.used += 1;
      return spare;
    },
    untake() {
      for (const entry of prepared.values()) entry.used = 0;
    },
    giveBackUntaken() {
      for (const { disk, spares, used } of prepared.values()) {
        if (used < spares.length) disk.giveBack(spares.slice(used));
      }
    },
  };
}

/** Scans the mount namespaces once for everything that the list destroys. */
async function lookForHolders(
  parts: Parts,
  operations: readonly Operation[],
  isNew: (uuid: Incarnation) => boolean,
): Promise<(uuid: Incarnation) => string | undefined> {
  const named = operations.flatMap((operation) => (operation.type === "DESTROY" ? operation.volumes : []));
  await settleBooks(parts, named.flatMap(nameIn));
  const uuids = named.flatMap((volume) => uuidOf(parts, volume));
  const held = uuids.length === 0 ? [] : await parts.holders.mounts(uuids, "everywhere");
  return (uuid) => {
    if (!uuids.includes(uuid) && !isNew(uuid)) return "whoever has taken its name meanwhile";
    const copy = [...parts.observations.copies.values()].find(({ source }) => source === uuid);
    if (copy !== undefined) return `a copy of it that is being made, ${copy.name}`;
    const mount = held.find((entry) => entry.uuid === uuid);
    return mount === undefined
      ? undefined
      : `a mount at ${mount.mountPoint} (process ${mount.pid}, ${mount.command}, ${mount.cgroup})`;
  };
}

function uuidOf(parts: Parts, resource: DiskResource): Incarnation[] {
  return nameIn(resource).flatMap(({ role, id }) => parts.ledger.state.live(role, id)?.uuid ?? []);
}

function nameIn({ reservations, volume }: DiskResource): VolumeName[] {
  const role = roleOf(reservations);
  return role === undefined || volume === undefined ? [] : [{ role, id: volume.id }];
}
