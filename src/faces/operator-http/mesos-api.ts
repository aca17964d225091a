/**
 * `POST /api/v1`: Mesos's v1 operator calls that concern disk. Unknown fields are ignored, as Mesos does. In this order
 * it refuses: a missing Content-Type (400), one that is not JSON (415), a malformed call (400), an Accept without JSON (406).
 */
import type { FastifyInstance, FastifyRequest } from "fastify";
import { HoldfastError } from "../../domain/error.ts";
import { fieldOf, type JsonObject, parseObject, parseString, parseWord } from "../../domain/json.ts";
import type { Operation, OperationType } from "../../domain/operation.ts";
import type { OperationRecord } from "../../domain/records.ts";
import type { Engine } from "../../engine/engine.ts";
import { acceptsJson, NOT_ACCEPTABLE } from "../http/accepts.ts";
import { mediaTypeOf, readJson } from "../http/body.ts";
import { operationFrom } from "../http/operations.ts";
import { requireThisAgent } from "./agent-id.ts";
import { type AgentFacts, agentV1View } from "./agent-view.ts";

/** The calls that change something. The message of each is in the field of its name in lower case. */
const CHANGES: ReadonlyMap<string, OperationType> = new Map([
  ["RESERVE_RESOURCES", "RESERVE"],
  ["UNRESERVE_RESOURCES", "UNRESERVE"],
  ["CREATE_VOLUMES", "CREATE"],
  ["DESTROY_VOLUMES", "DESTROY"],
  ["GROW_VOLUME", "GROW_VOLUME"],
  ["SHRINK_VOLUME", "SHRINK_VOLUME"],
]);

/** The calls that ask something. The answer of each is in the field of its name in lower case. */
const QUESTIONS: ReadonlyMap<string, (request: FastifyRequest, engine: Engine, facts: AgentFacts) => Promise<object>> =
  new Map([
    ["GET_AGENTS", getAgents],
    ["GET_OPERATIONS", getOperations],
    ["GET_HEALTH", async () => ({ healthy: true })],
    ["GET_VERSION", async (_request, _engine, { version }) => ({ version_info: { version } })],
  ]);

const CALLS = [...CHANGES.keys(), ...QUESTIONS.keys()];

export function addMesosApi(app: FastifyInstance, engine: Engine, facts: AgentFacts): void {
  app.post("/api/v1", async (request, reply) => {
    const call = parseObject(readCall(request), "the call");
    const type = parseWord(fieldOf(call, "type"), CALLS, "the call: type");
    const change = CHANGES.get(type);
    const operation = change === undefined ? undefined : parseChange(change, type.toLowerCase(), call, engine);
    if (!acceptsJson(request.headers.accept)) return reply.code(406).send(NOT_ACCEPTABLE);
    if (operation === undefined) {
      const answer = await QUESTIONS.get(type)?.(request, engine, facts);
      return reply.send({ type, [type.toLowerCase()]: answer });
    }
    await engine.perform(request.actor, [operation]);
    return reply.send();
  });
}

function readCall(request: FastifyRequest): unknown {
  if (mediaTypeOf(request) === undefined) {
    throw new HoldfastError("invalid", "Cannot read the call: the Content-Type header is missing");
  }
  return readJson(request);
}

function parseChange(type: OperationType, field: string, call: JsonObject, engine: Engine): Operation {
  const message = parseObject(fieldOf(call, field), field);
  const agentId = parseObject(fieldOf(message, "agent_id"), `${field}: agent_id`);
  const id = parseString(fieldOf(agentId, "value"), `${field}: agent_id.value`);
  const operation = operationFrom(type, message, field);
  requireThisAgent(id, engine);
  return operation;
}

async function getAgents({ actor }: FastifyRequest, engine: Engine, facts: AgentFacts): Promise<object> {
  return { agents: [agentV1View(await engine.resources(actor), facts)], recovered_agents: [] };
}

async function getOperations({ actor }: FastifyRequest, engine: Engine): Promise<object> {
  const records = await engine.operations(actor);
  return { operations: records.flatMap((record) => operationViews(record, engine.agentId)) };
}

/** A list under one id is several operations of Mesos's, all of them with this id. */
function operationViews({ id, operations }: OperationRecord, agentId: string): readonly object[] {
  return operations.map(({ type, summary }) => {
    const status = { operation_id: { value: id }, state: "OPERATION_FINISHED", message: summary };
    return {
      agent_id: { value: agentId },
      info: { id: { value: id }, type },
      latest_status: status,
      statuses: [status],
    };
  });
}
