/**
 * Volumes that container engines mount by themselves. What an engine says about it is a hint: `docker cp` gives back what
 * a running container has, and an engine that was killed never gives back. So a loan lasts until nobody is seen with
 * the volume any more, and who is seen with it counts without a loan too.
 */
import { decideLoan, setAttachments } from "../domain/attach.ts";
import type { NodeState, Transaction } from "../domain/node.ts";
import type { Actor } from "../domain/operation.ts";
import type { Attachment, LentRecord, Volume } from "../domain/records.ts";
import type { ContainerId, Incarnation, WallMs } from "../domain/units.ts";
import type { HeldMount } from "../ports/holders.ts";
import { attachContext } from "./attach.ts";
import type { LendRequest } from "./engine.ts";
import { requireHeldByNobody } from "./in-use.ts";
import type { Parts } from "./parts.ts";

const BOOT_SCOPED = { durable: false } as const;
const RELEASE = { durable: false, releases: true } as const;

/** How long an engine may take to mount what it was given; it takes a second. */
const UNSEEN_MS = 30_000;

export async function lendVolume(parts: Parts, actor: Actor, request: LendRequest): Promise<Volume> {
  await requireHeldByNobody(parts, request.borrower, [request]);
  return parts.ledger.transact(BOOT_SCOPED, (tx) => decideLoan(tx, request, attachContext(parts, actor)));
}

/** Of one volume, or of all that the borrower has. */
export async function takeLoansBack(parts: Parts, borrower: ContainerId, only?: Incarnation): Promise<void> {
  const container = parts.ledger.state.containers.get(borrower);
  if (container === undefined || container.sandbox !== undefined) return;
  const returned = container.attachments.filter(({ uuid }) => only === undefined || uuid === only);
  await parts.ledger.transact(RELEASE, (tx) => {
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
  );
}

/** Ends the loans of these volumes that are over, and notes which have been seen. */
export async function settleLoans(parts: Parts, uuids: readonly Incarnation[]): Promise<void> {
  const lent = uuids.filter((uuid) => loansOf(parts.ledger.state, uuid).length > 0);
  if (lent.length === 0) return;
  const mounts = await lookElsewhere(parts, lent);
  // Unknown means in use.
  if (mounts === undefined) return;
  await parts.ledger.transact(RELEASE, (tx) => {
    for (const uuid of lent) settleVolume(tx, uuid, borrowersSeen(tx.state, uuid, mounts), parts.clock.now());
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

async function lookElsewhere(parts: Parts, uuids: readonly Incarnation[]): Promise<readonly HeldMount[] | undefined> {
  try {
    return await parts.holders.mounts(uuids, "elsewhere");
  } catch (error) {
    parts.log.warn({ error }, "Cannot tell which lent volumes are still in use");
    return undefined;
  }
}

/** In how many mount namespaces an engine has it. */
function borrowersSeen(state: NodeState, uuid: Incarnation, mounts: readonly HeldMount[]): number {
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
function settleVolume(tx: Transaction, uuid: Incarnation, seen: number, now: WallMs): void {
  const loans = loansOf(tx.state, uuid);
  const isFresh = ({ attachment, record }: Loan) =>
    attachment.phase === "attached" && !record.seen && now - record.at < UNSEEN_MS;
  const older = loans.filter((loan) => !isFresh(loan)).sort(byReturnThenAge);
  const over = older.slice(0, Math.max(0, older.length - seen));
  for (const loan of over) change(tx, loan, undefined);
  const left = loans.filter((loan) => !over.includes(loan));
  if (left.length > seen) return;
  for (const loan of left) {
    if (!loan.record.seen) change(tx, loan, { ...loan.attachment, mount: { ...loan.record, seen: true } });
  }
}

function byReturnThenAge(left: Loan, right: Loan): number {
  if (left.attachment.phase !== right.attachment.phase) return left.attachment.phase === "lingering" ? -1 : 1;
  return left.record.at - right.record.at;
}

function change(tx: Transaction, { borrower, attachment }: Loan, after: Attachment | undefined): void {
  const current = tx.state.containers.get(borrower)?.attachments ?? [];
  setAttachments(
    tx,
    borrower,
    current.flatMap((one) => (one.uuid === attachment.uuid ? (after ?? []) : one)),
  );
}
