/** RECONCILE_OPERATIONS: how operations stand, told once each, of those that are asked after or of all that are open. */
import type { Actor } from "../../domain/operation.ts";
import { type OperationStatus, operationStatusEvent } from "./events.ts";
import type { Framework } from "./framework.ts";

/** @param operationIds none: all that are being performed, or were performed and not acknowledged since we are here */
export async function reconcileOperations(
  framework: Framework,
  actor: Actor,
  operationIds: readonly string[],
): Promise<void> {
  const asked = operationIds.length === 0 ? openOperations(framework) : operationIds;
  for (const operationId of asked) {
    await framework.room();
    const { uuid: _uuid, ...status } = await statusOf(framework, actor, operationId);
    framework.send(operationStatusEvent(status, framework.info, framework.agent));
  }
}

function openOperations({ performing, feedback, outcomes }: Framework): Iterable<string> {
  return new Set([...performing, ...feedback.operationIds(), ...outcomes.openIds()]);
}

async function statusOf(framework: Framework, actor: Actor, operationId: string): Promise<OperationStatus> {
  if (framework.performing.has(operationId)) return { operationId, state: "OPERATION_PENDING" };
  const told = framework.feedback.latest(operationId);
  if (told !== undefined) return told;
  const performed = await framework.outcomes.find(actor, operationId);
  if (performed === undefined) return { operationId, state: "OPERATION_UNKNOWN" };
  const message = performed.record.operations[performed.index]?.summary;
  return { operationId, state: "OPERATION_FINISHED", ...(message === undefined ? {} : { message }) };
}
