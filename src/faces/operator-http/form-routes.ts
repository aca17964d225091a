/**
 * Mesos's four endpoints for forms: `/reserve`, `/unreserve`, `/create-volumes`, `/destroy-volumes`, each also below
 * `/master`. The answer to success is 200 without a body: what was asked for is durable.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { HoldfastError } from "../../domain/error.ts";
import type { OperationType } from "../../domain/operation.ts";
import type { Engine } from "../../engine/engine.ts";
import { readText } from "../http/body.ts";
import { parseForm } from "../http/form.ts";
import { parseJson } from "../http/json.ts";
import { operationFrom } from "../http/operations.ts";
import { requireThisAgent } from "./agent-id.ts";

interface FormRoute {
  readonly path: string;
  readonly type: OperationType;
  /** For people: "reserve", "create volumes". */
  readonly action: string;
  readonly required: string;
  readonly optional?: string;
}

const ROUTES: readonly FormRoute[] = [
  { path: "/reserve", type: "RESERVE", action: "reserve", required: "resources", optional: "source" },
  { path: "/unreserve", type: "UNRESERVE", action: "unreserve", required: "resources" },
  { path: "/create-volumes", type: "CREATE", action: "create volumes", required: "volumes" },
  { path: "/destroy-volumes", type: "DESTROY", action: "destroy volumes", required: "volumes" },
];

export function addFormRoutes(app: FastifyInstance, engine: Engine): void {
  for (const route of ROUTES) {
    const handler = async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
      const operation = parseRequest(request, route, engine);
      await engine.perform(request.actor, [operation]);
      return reply.send();
    };
    app.post(route.path, { onRequest: ignoreContentType }, handler);
    app.post(`/master${route.path}`, { onRequest: ignoreContentType }, handler);
  }
}

function parseRequest(request: FastifyRequest, { type, action, required, optional }: FormRoute, engine: Engine) {
  const form = parseForm(readText(request));
  const agentId = fieldOf(form, "slaveId", action);
  const fields = { [required]: parseJson(fieldOf(form, required, action), required) };
  const more = optional === undefined ? undefined : form.get(optional);
  if (optional !== undefined && more !== undefined) fields[optional] = parseJson(more, optional);
  const operation = operationFrom(type, fields, `the form`);
  requireThisAgent(agentId, engine);
  return operation;
}

function fieldOf(form: ReadonlyMap<string, string>, name: string, action: string): string {
  const value = form.get(name);
  if (value === undefined) throw new HoldfastError("invalid", `Cannot ${action}: the form field ${name} is missing`);
  return value;
}

/** Mesos never looks at it, and clients send anything; fastify would refuse what it cannot read. */
function ignoreContentType(request: FastifyRequest, _reply: FastifyReply, done: () => void): void {
  delete request.raw.headers["content-type"];
  done();
}
