/** The calls of Mesos's v1 scheduler API: their envelope. What operations are about is read when they are performed. */
import {
  fieldOf,
  type JsonObject,
  listOf,
  parseNumber,
  parseObject,
  parseString,
  parseWord,
} from "../../domain/json.ts";
import type { OperationType } from "../../domain/operation.ts";
import { refuse } from "../../domain/refusal.ts";
import { type FrameworkInfo, parseFrameworkInfo, parseId, type RefusedInfo } from "./framework-info.ts";

/** Who says what it is, and in which of its roles it wants no offers for now. */
export interface Introduction {
  readonly info: FrameworkInfo | RefusedInfo;
  /** What the call itself, and the info in it, say about who it is. */
  readonly frameworkId: string | undefined;
  readonly principal: string | undefined;
  readonly suppressedRoles: readonly string[];
}

/** An operation as it came. */
export type AskedOperation =
  | { readonly kind: "disk"; readonly id?: string; readonly type: OperationType; readonly message: unknown }
  | { readonly kind: "launch"; readonly taskIds: readonly string[] }
  | { readonly kind: "foreign"; readonly id?: string; readonly type: string };

export interface Accept {
  readonly offerIds: readonly string[];
  readonly operations: readonly AskedOperation[];
  readonly refuseMs: number;
}

export interface AskedTask {
  readonly taskId: string;
  readonly agentId?: string;
}

/** What a framework that is subscribed may say. */
export type FrameworkCall =
  | { readonly type: "TEARDOWN" }
  | ({ readonly type: "ACCEPT" } & Accept)
  | { readonly type: "DECLINE"; readonly offerIds: readonly string[]; readonly refuseMs: number }
  /** Of no roles: of all. */
  | { readonly type: "REVIVE" | "SUPPRESS"; readonly roles: readonly string[] }
  | { readonly type: "KILL" | "RECONCILE"; readonly tasks: readonly AskedTask[] }
  | { readonly type: "ACKNOWLEDGE_OPERATION_STATUS"; readonly operationId: string; readonly uuid: string }
  | { readonly type: "RECONCILE_OPERATIONS"; readonly operationIds: readonly string[] }
  | ({ readonly type: "UPDATE_FRAMEWORK" } & Introduction)
  /** What concerns tasks, executors or maintenance, of which there is none. */
  | { readonly type: "IDLE" };

export type Call =
  | ({ readonly type: "SUBSCRIBE" } & Introduction)
  | { readonly frameworkId: string; readonly call: FrameworkCall };

const IDLE_CALLS = [
  "ACCEPT_INVERSE_OFFERS",
  "DECLINE_INVERSE_OFFERS",
  "SHUTDOWN",
  "ACKNOWLEDGE",
  "MESSAGE",
  "REQUEST",
] as const;

const CALLS = [
  "SUBSCRIBE",
  "TEARDOWN",
  "ACCEPT",
  "DECLINE",
  "REVIVE",
  "SUPPRESS",
  "KILL",
  "RECONCILE",
  "ACKNOWLEDGE_OPERATION_STATUS",
  "RECONCILE_OPERATIONS",
  "UPDATE_FRAMEWORK",
  ...IDLE_CALLS,
] as const;

const DISK_OPERATIONS: readonly string[] = [
  "RESERVE",
  "UNRESERVE",
  "CREATE",
  "DESTROY",
  "GROW_VOLUME",
  "SHRINK_VOLUME",
] satisfies OperationType[];

/** What Mesos takes where `refuse_seconds` is missing or wrong, and the most that it takes. */
const REFUSE_SECONDS = 5;
const REFUSE_SECONDS_MAX = 365 * 86_400;

/** @throws `invalid` a malformed call */
export function parseCall(value: unknown): Call {
  const call = parseObject(value, "the call");
  const type = parseWord(fieldOf(call, "type"), CALLS, "the call: type");
  const id = fieldOf(call, "framework_id");
  const frameworkId = id === undefined ? undefined : parseId(id, "the call: framework_id");
  if (type === "SUBSCRIBE") return { type, ...parseIntroduction(call, "subscribe", frameworkId) };
  if (frameworkId === undefined) return refuse("the call: framework_id", "missing", "the id that SUBSCRIBED told");
  return { frameworkId, call: parseFrameworkCall(type, call, frameworkId) };
}

function parseFrameworkCall(
  type: Exclude<(typeof CALLS)[number], "SUBSCRIBE">,
  call: JsonObject,
  frameworkId: string,
): FrameworkCall {
  switch (type) {
    case "TEARDOWN":
      return { type };
    case "ACCEPT": {
      const accept = messageOf(call, "accept");
      const operations = listOf(fieldOf(accept, "operations")).map((item, index) => parseOperation(item, index));
      return { type, ...parseAnswer(accept, "accept"), operations };
    }
    case "DECLINE":
      return { type, ...parseAnswer(messageOf(call, "decline"), "decline") };
    case "REVIVE":
    case "SUPPRESS":
      return { type, roles: parseRoles(call, type.toLowerCase()) };
    case "KILL":
      return { type, tasks: [parseTask(messageOf(call, "kill"), "kill")] };
    case "RECONCILE": {
      const tasks = listOf(fieldOf(messageOf(call, "reconcile"), "tasks"));
      return { type, tasks: tasks.map((task) => parseTask(parseObject(task, "reconcile: tasks"), "reconcile: tasks")) };
    }
    case "ACKNOWLEDGE_OPERATION_STATUS": {
      const what = "acknowledge_operation_status";
      const message = messageOf(call, what);
      const operationId = parseId(fieldOf(message, "operation_id"), `${what}: operation_id`);
      return { type, operationId, uuid: parseString(fieldOf(message, "uuid"), `${what}: uuid`) };
    }
    case "RECONCILE_OPERATIONS": {
      const what = "reconcile_operations: operations";
      const operations = listOf(fieldOf(messageOf(call, "reconcile_operations"), "operations"));
      return {
        type,
        operationIds: operations.map((one) =>
          parseId(fieldOf(parseObject(one, what), "operation_id"), `${what}: operation_id`),
        ),
      };
    }
    case "UPDATE_FRAMEWORK":
      return { type, ...parseIntroduction(call, "update_framework", frameworkId) };
    case "ACCEPT_INVERSE_OFFERS":
    case "DECLINE_INVERSE_OFFERS":
    case "SHUTDOWN":
    case "ACKNOWLEDGE":
    case "MESSAGE":
    case "REQUEST":
      return { type: "IDLE" };
  }
}

function parseIntroduction(call: JsonObject, what: string, frameworkId: string | undefined): Introduction {
  const message = messageOf(call, what);
  const place = `${what}: framework_info`;
  const raw = fieldOf(message, "framework_info");
  const info = parseFrameworkInfo(raw, place);
  const { id, principal } = parseIdentity(parseObject(raw, place), place);
  if (id !== frameworkId) refuse(`${place}: id`, "another one", "framework_id of the call");
  const suppressedRoles = parseStrings(message, "suppressed_roles", what);
  return { info, frameworkId, principal, suppressedRoles };
}

/** Also of an info that is refused for something else. */
function parseIdentity(info: JsonObject, what: string) {
  const id = fieldOf(info, "id");
  const principal = fieldOf(info, "principal");
  return {
    id: id === undefined ? undefined : parseId(id, `${what}: id`),
    principal: principal === undefined ? undefined : parseString(principal, `${what}: principal`),
  };
}

function parseAnswer(message: JsonObject, what: string): { readonly offerIds: readonly string[]; refuseMs: number } {
  const ids = listOf(fieldOf(message, "offer_ids")).map((id) => parseId(id, `${what}: offer_ids`));
  const filters = fieldOf(message, "filters");
  const seconds =
    filters === undefined ? undefined : fieldOf(parseObject(filters, `${what}: filters`), "refuse_seconds");
  const wanted = seconds === undefined ? REFUSE_SECONDS : parseNumber(seconds, `${what}: filters.refuse_seconds`);
  const refuseSeconds = wanted >= 0 ? Math.min(wanted, REFUSE_SECONDS_MAX) : REFUSE_SECONDS;
  return { offerIds: ids, refuseMs: refuseSeconds * 1000 };
}

/** The message of a call that may be left out. */
function parseRoles(call: JsonObject, what: string): readonly string[] {
  const message = fieldOf(call, what);
  if (message === undefined) return [];
  return parseStrings(parseObject(message, what), "roles", what);
}

function parseStrings(message: JsonObject, field: string, what: string): readonly string[] {
  return listOf(fieldOf(message, field)).map((item) => parseString(item, `${what}: ${field}`));
}

function parseTask(task: JsonObject, what: string): AskedTask {
  const agent = fieldOf(task, "agent_id");
  return {
    taskId: parseId(fieldOf(task, "task_id"), `${what}: task_id`),
    ...(agent === undefined ? {} : { agentId: parseId(agent, `${what}: agent_id`) }),
  };
}

function parseOperation(value: unknown, index: number): AskedOperation {
  const what = `accept: operation ${index + 1}`;
  const operation = parseObject(value, what);
  const type = parseString(fieldOf(operation, "type"), `${what}: type`);
  if (type === "LAUNCH" || type === "LAUNCH_GROUP")
    return { kind: "launch", taskIds: parseLaunch(operation, type, what) };
  const id = fieldOf(operation, "id");
  const identity = id === undefined ? {} : { id: parseId(id, `${what}: id`) };
  if (!DISK_OPERATIONS.includes(type)) return { kind: "foreign", ...identity, type };
  const message = fieldOf(operation, type.toLowerCase());
  return { kind: "disk", ...identity, type: type as OperationType, message };
}

function parseLaunch(operation: JsonObject, type: "LAUNCH" | "LAUNCH_GROUP", what: string): readonly string[] {
  const launch = parseObject(fieldOf(operation, type.toLowerCase()), `${what}: ${type.toLowerCase()}`);
  const group = fieldOf(launch, "task_group");
  const tasks =
    type === "LAUNCH"
      ? fieldOf(launch, "task_infos")
      : group === undefined
        ? undefined
        : fieldOf(parseObject(group, `${what}: task_group`), "tasks");
  return listOf(tasks).map((task) => parseId(fieldOf(parseObject(task, what), "task_id"), `${what}: task_id`));
}

function messageOf(call: JsonObject, name: string): JsonObject {
  return parseObject(fieldOf(call, name), name);
}
