/** The events of Mesos's v1 scheduler API that are sent here, in its JSON. */
import { printResource } from "../../domain/mesos-format.ts";
import type { DiskResource } from "../../domain/resource.ts";
import { HEARTBEAT_INTERVAL_MS } from "./event-stream.ts";
import type { FrameworkInfo } from "./framework-info.ts";

/** Which node the events speak of. */
export interface AgentIdentity {
  readonly agentId: string;
  readonly hostname: string;
}

export interface Offer {
  readonly id: string;
  readonly role: string;
  readonly resources: readonly DiskResource[];
}

export type OperationState =
  | "OPERATION_PENDING"
  | "OPERATION_FINISHED"
  | "OPERATION_FAILED"
  | "OPERATION_ERROR"
  | "OPERATION_DROPPED"
  | "OPERATION_UNKNOWN";

/** What became of an operation. */
export interface OperationStatus {
  readonly operationId: string;
  readonly state: OperationState;
  readonly message?: string;
  /** What there is now in place of what the operation took. */
  readonly converted?: readonly DiskResource[];
  /** Base64; with it the status is sent again until it is acknowledged. */
  readonly uuid?: string;
}

export interface TaskStatus {
  readonly taskId: string;
  readonly state: "TASK_ERROR" | "TASK_LOST" | "TASK_DROPPED" | "TASK_GONE" | "TASK_UNKNOWN";
  readonly reason: "REASON_TASK_INVALID" | "REASON_INVALID_OFFERS" | "REASON_RECONCILIATION";
  readonly message: string;
}

export function subscribedEvent(frameworkId: string): object {
  const heartbeat_interval_seconds = HEARTBEAT_INTERVAL_MS / 1000;
  return { type: "SUBSCRIBED", subscribed: { framework_id: { value: frameworkId }, heartbeat_interval_seconds } };
}

export function offersEvent(
  offers: readonly Offer[],
  frameworkId: string,
  info: FrameworkInfo,
  { agentId, hostname }: AgentIdentity,
): object {
  const printed = offers.map(({ id, role, resources }) => ({
    id: { value: id },
    framework_id: { value: frameworkId },
    agent_id: { value: agentId },
    hostname,
    resources: resources.map((resource) => ({ ...printFor(info, resource), ...printAllocation(info, role) })),
    attributes: [],
    executor_ids: [],
    ...printAllocation(info, role),
  }));
  return { type: "OFFERS", offers: { offers: printed } };
}

export function rescindEvent(offerId: string): object {
  return { type: "RESCIND", rescind: { offer_id: { value: offerId } } };
}

export function operationStatusEvent(
  { operationId, state, message, converted, uuid }: OperationStatus,
  info: FrameworkInfo,
  { agentId }: AgentIdentity,
): object {
  const status = {
    operation_id: { value: operationId },
    state,
    ...(message === undefined ? {} : { message }),
    ...(converted === undefined ? {} : { converted_resources: converted.map((one) => printFor(info, one)) }),
    ...(uuid === undefined ? {} : { uuid: { value: uuid } }),
    agent_id: { value: agentId },
  };
  return { type: "UPDATE_OPERATION_STATUS", update_operation_status: { status } };
}

/** Of a task that is not there; nobody has to acknowledge it. */
export function taskStatusEvent(
  { taskId, state, reason, message }: TaskStatus,
  { agentId }: AgentIdentity,
  nowMs: number,
): object {
  const status = {
    task_id: { value: taskId },
    state,
    message,
    source: "SOURCE_MASTER",
    reason,
    agent_id: { value: agentId },
    timestamp: nowMs / 1000,
  };
  return { type: "UPDATE", update: { status } };
}

export function errorEvent(message: string): object {
  return { type: "ERROR", error: { message } };
}

/** A stack that the older form cannot say is not shown to those who know only that. */
function printFor({ takesRefined }: FrameworkInfo, resource: DiskResource): object {
  return printResource(resource, takesRefined || resource.reservations.length > 1 ? "post" : "pre");
}

function printAllocation({ multiRole }: FrameworkInfo, role: string): object {
  return multiRole ? { allocation_info: { role } } : {};
}
