/**
 * ACCEPT: the operations on disk are one list, performed as a whole or not at all, on what was offered and nothing else.
 * A list that is repeated, because its answer was lost, is not performed again; what became of it is told again.
 *
 * Of tasks each gets a status that says that none run here; that does not hinder the operations beside them.
 */
import { completeOperations } from "../../domain/complete.ts";
import { codeOf, type ErrorCode, HoldfastError, messageOf } from "../../domain/error.ts";
import { fieldOf, type JsonObject, listOf, parseObject } from "../../domain/json.ts";
import { applyToOffer, conversionOf } from "../../domain/offer-apply.ts";
import type { Actor, Operation } from "../../domain/operation.ts";
import { show } from "../../domain/refusal.ts";
import { type DiskResource, poolKey } from "../../domain/resource.ts";
import { validateOperations } from "../../domain/validate-operation.ts";
import type { Engine } from "../../engine/engine.ts";
import type { Log } from "../../ports/log.ts";
import { operationFrom } from "../http/operations.ts";
import type { Accept, AskedOperation } from "./call.ts";
import { type OperationState, operationStatusEvent } from "./events.ts";
import type { Framework } from "./framework.ts";
import type { Offering, TakenOffers } from "./offering.ts";
import { isSame, type NamedOperation, type Performed } from "./outcomes.ts";
import { refuseTasks } from "./tasks.ts";

export interface AcceptOptions {
  readonly engine: Pick<Engine, "perform">;
  readonly offering: Offering;
  readonly log: Log;
  readonly nowMs: () => number;
}

/** An operation on disk, or what its place in the list was meant for. */
type ListedOperation = Exclude<AskedOperation, { kind: "launch" }>;

/** A call by who subscribed; resolves when all is done and told. */
export async function acceptOffers(
  framework: Framework,
  actor: Actor,
  { offerIds, operations, refuseMs }: Accept,
  options: AcceptOptions,
): Promise<void> {
  const { offering } = options;
  const taken = offering.take(framework, offerIds);
  const tasks = operations.flatMap((operation) => (operation.kind === "launch" ? operation.taskIds : []));
  refuseTasks(framework, tasks, "refusal" in taken ? taken.refusal : undefined, options.nowMs());
  const list = operations.filter((operation) => operation.kind !== "launch");
  const decline = (resources: readonly DiskResource[]) => {
    if (!("refusal" in taken)) framework.refuse(taken.role, resources, refuseMs, () => offering.soon());
  };
  if (list.length === 0) {
    if (!("refusal" in taken)) decline(taken.resources);
    return;
  }
  await inTurn(framework, list, async () => {
    await performList({ framework, actor, taken, list, decline, ...options });
  });
  offering.soon();
}

/** One list after the other, so that one that is repeated meets the outcome of the first. */
async function inTurn(framework: Framework, list: readonly ListedOperation[], work: () => Promise<void>) {
  const ids = list.flatMap(({ id }) => id ?? []);
  for (const id of ids) framework.performing.add(id);
  framework.listsPerforming += 1;
  framework.epoch += 1;
  const mine = framework.turn.then(work);
  framework.turn = mine.catch(() => undefined);
  try {
    await mine;
  } finally {
    for (const id of ids) framework.performing.delete(id);
    framework.listsPerforming -= 1;
    framework.epoch += 1;
  }
}

interface List extends AcceptOptions {
  readonly framework: Framework;
  readonly actor: Actor;
  readonly taken: TakenOffers | { readonly refusal: string };
  readonly list: readonly ListedOperation[];
  /** Does not want these for a while. */
  readonly decline: (resources: readonly DiskResource[]) => void;
}

async function performList(list: List): Promise<void> {
  const { framework, taken } = list;
  const role = "refusal" in taken ? undefined : taken.role;
  let untouched = "refusal" in taken ? [] : taken.resources;
  let wanted: readonly WantedOperation[] = [];
  try {
    const asked = list.list.map((operation, index) => readOperation(operation, index, role));
    wanted = await leaveOutPerformed(list, onlyOnce(asked));
    if (wanted.length === 0) return;
    if ("refusal" in taken) return drop(list, wanted, taken.refusal);
    if (framework.feedback.isFull) return drop(list, wanted, "Too many operations wait to be acknowledged");
    const rest = requireGood(wanted);
    const operations = rest.map(({ operation }) => operation);
    const complete = completed(taken.resources, list.actor, operations);
    requireCapable(framework, complete);
    untouched = applyToOffer(taken.resources, taken.role, complete);
    await perform(list, rest, complete);
  } catch (error) {
    refuseList(list, wanted, error);
  } finally {
    list.decline(untouched);
  }
}

/** @param complete the same operations, with what the engine fills in */
async function perform(
  { framework, actor, engine }: List,
  named: readonly NamedOperation[],
  complete: readonly Operation[],
): Promise<void> {
  const listId = framework.outcomes.listId(named);
  const operations = named.map(({ operation }) => operation);
  const record = await engine.perform(actor, operations, listId === undefined ? {} : { id: listId });
  if (listId !== undefined) framework.outcomes.performed(named, listId);
  for (const [index, { id }] of named.entries()) {
    const conversion = complete[index] === undefined ? undefined : conversionOf(complete[index]);
    if (id !== undefined) reportFinished(framework, id, { record, index }, conversion?.converted);
  }
}

/** An operation that was not performed before: as it was read, or why it cannot be. */
type WantedOperation = NamedOperation | { readonly id?: string; readonly refusal: HoldfastError };

/**
 * Tells again what became of operations that were performed before, and leaves them out. Of a list that is repeated as a
 * whole nothing is left, also not what has no id.
 */
async function leaveOutPerformed(
  { framework, actor }: List,
  asked: readonly WantedOperation[],
): Promise<readonly WantedOperation[]> {
  const { outcomes } = framework;
  const listId = outcomes.listId(asked);
  const request = JSON.stringify(asked.map((one) => ("refusal" in one ? null : one.operation)));
  const wanted: WantedOperation[] = [];
  let isRepeated = false;
  for (const one of asked) {
    const before = one.id === undefined ? undefined : await outcomes.find(actor, one.id);
    if (one.id === undefined || before === undefined) wanted.push(one);
    else if ("refusal" in one || !isSame(before, one.operation)) wanted.push({ id: one.id, refusal: reused(one.id) });
    else {
      isRepeated ||= before.record.id === listId && before.record.request === request;
      reportFinished(framework, one.id, before);
    }
  }
  return isRepeated ? [] : wanted;
}

/** An id tells operations apart: who says one twice may have meant one operation. */
function onlyOnce(asked: readonly WantedOperation[]): readonly WantedOperation[] {
  const ids = new Set<string>();
  return asked.map((one) => {
    if (one.id === undefined || !ids.has(one.id)) {
      if (one.id !== undefined) ids.add(one.id);
      return one;
    }
    const message = `Cannot perform operation ${one.id}: its id is in the list twice`;
    return { id: one.id, refusal: new HoldfastError("invalid", message) };
  });
}

/** What a framework would never be offered again it may not make. @throws `invalid`, with the `index` in the details */
function requireCapable({ info }: Framework, operations: readonly Operation[]): void {
  for (const [index, operation] of operations.entries()) {
    if (operation.type !== "CREATE" || info.takesShared) continue;
    const shared = operation.volumes.find(({ volume }) => volume?.shared === true)?.volume;
    if (shared === undefined) continue;
    const reason = `volume ${shared.id} is shared, and the framework does not have the capability SHARED_RESOURCES`;
    throw new HoldfastError("invalid", `Cannot CREATE: ${reason}`, { details: { index } });
  }
}

/** @throws the first refusal, with its `index` in the details */
function requireGood(wanted: readonly WantedOperation[]): readonly NamedOperation[] {
  return wanted.map((one, index) => {
    if (!("refusal" in one)) return one;
    const { code, message } = one.refusal;
    throw new HoldfastError(code, message, { cause: one.refusal, details: { index } });
  });
}

function reused(id: string): HoldfastError {
  const message = `Cannot perform operation ${id}: the id was used before for other content`;
  return new HoldfastError("operation_id_reused", message);
}

function reportFinished(
  framework: Framework,
  operationId: string,
  { record, index }: Performed,
  converted?: readonly DiskResource[],
): void {
  const message = record.operations[index]?.summary;
  framework.feedback.report({
    operationId,
    state: "OPERATION_FINISHED",
    ...(message === undefined ? {} : { message }),
    ...(converted === undefined ? {} : { converted }),
  });
}

/** As Mesos's master does: told once, and it may be tried again. */
function drop({ framework, log }: List, operations: readonly { readonly id?: string }[], message: string): void {
  log.debug({ framework: framework.id, reason: message }, "Dropped operations of a framework");
  for (const { id } of operations) {
    if (id === undefined) continue;
    const status = { operationId: id, state: "OPERATION_ERROR", message } as const;
    framework.send(operationStatusEvent(status, framework.info, framework.agent));
  }
}

/** Nothing of the list was done. */
function refuseList({ framework, log }: List, operations: readonly { readonly id?: string }[], error: unknown): void {
  const refused = error instanceof HoldfastError ? error.details?.["index"] : undefined;
  const code = codeOf(error);
  const reason = code === "internal" ? "a failure inside Holdfast; its log has the details" : messageOf(error);
  if (code === "internal")
    log.error({ err: error, framework: framework.id }, "Cannot perform a framework's operations");
  else log.debug({ framework: framework.id, reason }, "Refused operations of a framework");
  for (const [index, { id }] of operations.entries()) {
    if (id === undefined) continue;
    const isCause = refused === undefined || refused === index;
    const state = isCause ? stateOf(code) : "OPERATION_DROPPED";
    const message = isCause
      ? reason
      : `Not performed, because operation ${Number(refused) + 1} of the list was not: ${reason}`;
    framework.feedback.report({ operationId: id, state, message });
  }
}

/** FAILED: not with the disk as it is; DROPPED: it may be tried again as it is; all else, ERROR, will never do. */
function stateOf(code: ErrorCode): OperationState {
  if (TRANSIENT.has(code)) return "OPERATION_DROPPED";
  return OBSTACLES.has(code) ? "OPERATION_FAILED" : "OPERATION_ERROR";
}

const TRANSIENT: ReadonlySet<ErrorCode> = new Set(["unavailable", "disk_full", "internal"]);
const OBSTACLES: ReadonlySet<ErrorCode> = new Set([
  "insufficient",
  "in_use",
  "protected",
  "busy",
  "conflict",
  "damaged",
]);

/** @param role whom the offers are to; `undefined` when they are not valid, and it makes no difference */
function readOperation(asked: ListedOperation, index: number, role: string | undefined): WantedOperation {
  const identity = asked.id === undefined ? {} : { id: asked.id };
  const what = `operation ${index + 1}`;
  try {
    return { ...identity, operation: parseOperation(asked, role, what) };
  } catch (error) {
    if (error instanceof HoldfastError) return { ...identity, refusal: error };
    throw error;
  }
}

function parseOperation(asked: ListedOperation, role: string | undefined, what: string): Operation {
  if (asked.kind === "foreign") {
    throw new HoldfastError("unsupported", `Cannot perform ${what}: ${show(asked.type)} does not concern this disk`);
  }
  const message = parseObject(asked.message, `${what}: ${asked.type.toLowerCase()}`);
  return operationFrom(asked.type, withoutAllocation(message, role, what), what);
}

/** Whom an offer's resources are allocated to is said in each of them; an operation may repeat it. */
function withoutAllocation(message: JsonObject, role: string | undefined, what: string): JsonObject {
  const strip = (value: unknown): unknown => {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, "allocation_info")) return value;
    const { allocation_info: allocation, ...rest } = value as Record<string, unknown>;
    const named =
      allocation === null ? undefined : fieldOf(parseObject(allocation, `${what}: allocation_info`), "role");
    if (role !== undefined && named !== undefined && named !== role) {
      const reason = `its allocation_info names role ${show(named)}, and the offer is to role ${role}`;
      throw new HoldfastError("invalid", `Cannot perform ${what}: ${reason}`);
    }
    return rest;
  };
  const stripped = Object.entries(message).map(([field, value]) => [
    field,
    Array.isArray(value) ? listOf(value).map(strip) : strip(value),
  ]);
  return Object.fromEntries(stripped) as JsonObject;
}

/** With the principals that the engine will fill in, so that it is clear which disk is meant. */
function completed(
  offered: readonly DiskResource[],
  actor: Actor,
  operations: readonly Operation[],
): readonly Operation[] {
  const pools = new Set(offered.map(({ source, reservations }) => poolKey(source, reservations)));
  const state = {
    pool: (...[source, reservations]: Parameters<typeof poolKey>) =>
      pools.has(poolKey(source, reservations)) || undefined,
  };
  return validateOperations(actor, completeOperations(state, actor, operations));
}
