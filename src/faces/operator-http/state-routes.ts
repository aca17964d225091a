/** Mesos's listings: `/state` of the agent, and `/slaves` of a master that has this one agent. */
import type { FastifyInstance, FastifyRequest } from "fastify";
import type { Engine } from "../../engine/engine.ts";
import { type AgentFacts, agentListItem, agentView } from "./agent-view.ts";

export function addStateRoutes(app: FastifyInstance, engine: Engine, facts: AgentFacts): void {
  const state = async ({ actor }: FastifyRequest): Promise<object> => agentView(await engine.resources(actor), facts);
  for (const path of ["/state", "/master/state", "/slave(1)/state"]) app.get(path, state);

  const slaves = async ({ actor }: FastifyRequest): Promise<object> => ({
    slaves: [agentListItem(await engine.resources(actor), facts)],
    recovered_slaves: [],
  });
  for (const path of ["/slaves", "/master/slaves"]) app.get(path, slaves);
}
