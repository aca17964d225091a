/**
 * Volumes that container engines mount by themselves. What an engine says about it is a hint: `docker cp` gives back what
 * a running container has, and an engine that was killed never gives back. So a loan lasts until nobody is seen with
 * the volume any more, and who is seen with it counts without a loan too.
 */
import { decideLoan, setAttachments } from "../domain/attach.ts";
import type { NodeState, Transaction } from "../domain/node.ts";
import { type Actor, actorName } from "../domain/operation.ts";
import type { Attachment, LentRecord, Volume } from "../domain/records.ts";
import type { ContainerId, Incarnation } from "../domain/units.ts";
import type { HeldMount } from "../ports/holders.ts";
import { attachContext } from "./attach.ts";
import type { LendRequest } from "./engine.ts";
import { mustBeAlone, requireHeldByNobody } from "./in-use.ts";
import type { CommitKind } from "./ledger.ts";
import type { Parts } from "./parts.ts";

const BOOT_SCOPED = { durable: false } as const;
const RELEASE = { durable: false, releases: true } as const;

/** How long an engine may take to mount what it was given; it takes a second. */
const UNSEEN_MS = 120_000;

export async function lendVolume(parts: Parts, actor: Actor, request: LendRequest): Promise<Volume> {
  const wanted = parts.ledger.state.live(request.role, request.id);
  if (wanted !== undefined && mustBeAlone(parts, request.borrower, wanted)) {
    await requireHeldByNobody(parts, request.borrower, wanted);
  }
  const context = { ...attachContext(parts, actor), bootTimeMs: parts.clock.bootTimeMs() };
  const kind = { ...BOOT_SCOPED, by: context.by, because: `lent to ${request.runtime}` };
  return parts.ledger.transact(kind, (tx) => decideLoan(tx, request, context));
}

/** Of one volume, or of all that the borrower has. */
export async function takeLoansBack(
  parts: Parts,
  actor: Actor,
  borrower: ContainerId,
  only?: Incarnation,
): Promise<void> {
  const container = parts.ledger.state.containers.get(borrower);
  if (container === undefined || container.sandbox !== undefined) return;
  const returned = container.attachments.filter(({ uuid }) => only === undefined || uuid === only);
  const by = actorName(actor);
  await parts.ledger.transact({ ...RELEASE, by }, (tx) => {
    const current = tx.state.containers.get(borrower)?.attachments ?? [];
    const isReturned = ({ uuid }: Attachment) => returned.some((one) => one.uuid === uuid);
    setAttachments(
      tx,
      borrower,
      current.map((one) => (isReturned(one) ? { ...one, phase: "lingering" as const } : one)),
    );
  });
  await settleLoans(
    parts,
    returned.map(({ uuid }) => uuid),
    { by },
  );
}

/** Ends the loans of these volumes that are over, and notes which have been seen. */
export async function settleLoans(
  parts: Parts,
  uuids: readonly Incarnation[],
  why: Pick<CommitKind, "by" | "because"> = { because: "nobody is seen with it any more" },
): Promise<void> {
  const lent = uuids.filter((uuid) => loansOf(parts.ledger.state, uuid).length > 0);
  if (lent.length === 0) return;
  const seen = await lookForBorrowers(parts, lent);
  // Unknown means in use.
  if (seen === undefined) return;
  const nowMs = parts.clock.bootTimeMs();
  await parts.ledger.transact({ ...RELEASE, ...why }, (tx) => {
    for (const uuid of lent) settleVolume(tx, uuid, seen(tx.state, uuid), nowMs);
  });
}

/** Every volume that is lent to somebody. */
export function lentVolumes(state: NodeState): readonly Incarnation[] {
  const lent = [...state.containers.values()].filter(({ sandbox }) => sandbox === undefined);
  return [...new Set(lent.flatMap(({ attachments }) => attachments.map(({ uuid }) => uuid)))];
}

/** Mounts of lent volumes that engines made: not those of containers whose mount namespace we mounted into. */
export function mountsOfBorrowers(state: NodeState, mounts: readonly HeldMount[]): readonly HeldMount[] {
  return mounts.filter(({ uuid, namespace }) =>
    state.containersOf(uuid).every(({ process }) => process?.mountNamespace !== namespace),
  );
}

interface Loan {
  readonly borrower: ContainerId;
  readonly attachment: Attachment;
  readonly record: LentRecord;
}

function loansOf(state: NodeState, uuid: Incarnation): readonly Loan[] {
  return state.containersOf(uuid).flatMap(({ id, attachments }) =>
    attachments.flatMap((attachment) => {
      const { mount } = attachment;
      const isLoan = attachment.uuid === uuid && mount?.backend === "lent";
      return isLoan ? [{ borrower: id, attachment, record: mount }] : [];
    }),
  );
}

interface Seen {
  /** In how many mount namespaces an engine has it. */
  readonly borrowers: number;
  /** Whether a process sits in it that no mount leads to. */
  readonly isBusy: boolean;
}

type BorrowersSeen = (state: NodeState, uuid: Incarnation) => Seen;

/** How many are seen with each volume; `undefined` when that cannot be told. */
async function lookForBorrowers(parts: Parts, uuids: readonly Incarnation[]): Promise<BorrowersSeen | undefined> {
  try {
    const mounts = await parts.holders.mounts(uuids, "elsewhere");
    const unmounted = uuids.filter((uuid) => isUnmountedForLong(parts, uuid, mounts));
    // Before it mounts a new volume, an engine may fill it with what the image has at its place.
    const processes = unmounted.length === 0 ? [] : await parts.holders.processes(unmounted);
    return (state, uuid) => ({
      borrowers: countBorrowers(state, uuid, mounts),
      isBusy: processes.some((process) => process.uuid === uuid),
    });
  } catch (error) {
    parts.log.warn({ error }, "Cannot tell which lent volumes are still in use");
    return undefined;
  }
}

/** A loan is about to end that was never seen. */
function isUnmountedForLong(parts: Parts, uuid: Incarnation, mounts: readonly HeldMount[]): boolean {
  const nowMs = parts.clock.bootTimeMs();
  return (
    !mounts.some((mount) => mount.uuid === uuid) &&
    loansOf(parts.ledger.state, uuid).some(({ record }) => !record.seen && nowMs - record.atBootMs >= UNSEEN_MS)
  );
}

function countBorrowers(state: NodeState, uuid: Incarnation, mounts: readonly HeldMount[]): number {
  const mine = mountsOfBorrowers(
    state,
    mounts.filter((mount) => mount.uuid === uuid),
  );
  return new Set(mine.map(({ namespace }) => namespace)).size;
}

/**
 * Which loan is whose container's nobody tells, so they are counted: there are no more than containers that are seen,
 * apart from those that were given out a moment ago. What was given back goes first, then the oldest.
 */
function settleVolume(tx: Transaction, uuid: Incarnation, { borrowers, isBusy }: Seen, nowMs: number): void {
  const loans = loansOf(tx.state, uuid);
  const isFresh = ({ attachment, record }: Loan) =>
    attachment.phase === "attached" && !record.seen && nowMs - record.atBootMs < UNSEEN_MS;
  const older = loans.filter((loan) => !isFresh(loan)).sort(byReturnThenAge);
  const over = older.slice(0, Math.max(0, older.length - Math.max(borrowers, isBusy ? 1 : 0)));
  for (const loan of over) change(tx, loan, undefined);
  const left = loans.filter((loan) => !over.includes(loan));
  if (left.length > borrowers) return;
  // Whoever is seen has it, also if he said that he gave it back.
  for (const loan of left) {
    if (loan.record.seen && loan.attachment.phase === "attached") continue;
    change(tx, loan, { ...loan.attachment, phase: "attached", mount: { ...loan.record, seen: true } });
  }
}

function byReturnThenAge(left: Loan, right: Loan): number {
  if (left.attachment.phase !== right.attachment.phase) return left.attachment.phase === "lingering" ? -1 : 1;
  return left.record.atBootMs - right.record.atBootMs;
}

function change(tx: Transaction, { borrower, attachment }: Loan, after: Attachment | undefined): void {
  const current = tx.state.containers.get(borrower)?.attachments ?? [];
  setAttachments(
    tx,
    borrower,
    current.flatMap((one) => (one.uuid === attachment.uuid ? (after ?? []) : one)),
  );
}
