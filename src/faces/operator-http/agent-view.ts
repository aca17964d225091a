/** The node as Mesos lists an agent: sums of its disk, and every resource in full. */
import { printResource } from "../../domain/mesos-format.ts";
import { type DiskResource, roleOf } from "../../domain/resource.ts";
import { addSizes, type MilliMb, toMb, ZERO_MB } from "../../domain/units.ts";
import type { NodeResources } from "../../engine/engine.ts";

/** What the machine and the program say about themselves. */
export interface AgentFacts {
  readonly hostname: string;
  readonly version: string;
}

const CAPABILITIES = ["MULTI_ROLE", "HIERARCHICAL_ROLE", "RESERVATION_REFINEMENT", "RESIZE_VOLUME"];

/** What `/state` shows. */
export function agentView({ agentId, resources }: NodeResources, { hostname, version }: AgentFacts): object {
  const reserved = byRole(resources);
  const unreserved = resources.filter(({ reservations }) => reservations.length === 0);
  return {
    id: agentId,
    hostname,
    version,
    capabilities: CAPABILITIES,
    attributes: {},
    resources: sum(resources),
    reserved_resources: mapValues(reserved, sum),
    unreserved_resources: sum(unreserved),
    reserved_resources_full: mapValues(reserved, printAll),
    unreserved_resources_full: printAll(unreserved),
  };
}

/** An item of `/slaves`. Nothing is ever lent to a framework here. */
export function agentListItem(node: NodeResources, facts: AgentFacts): object {
  return {
    ...agentView(node, facts),
    active: true,
    used_resources: sum([]),
    offered_resources: sum([]),
    used_resources_full: [],
    offered_resources_full: [],
  };
}

/** An item of GET_AGENTS. */
export function agentV1View({ agentId, resources }: NodeResources, { hostname, version }: AgentFacts): object {
  const full = printAll(resources);
  return {
    agent_info: { hostname, id: { value: agentId }, resources: full },
    active: true,
    version,
    capabilities: CAPABILITIES.map((type) => ({ type })),
    total_resources: full,
    allocated_resources: [],
    offered_resources: [],
  };
}

function byRole(resources: readonly DiskResource[]): ReadonlyMap<string, readonly DiskResource[]> {
  const roles = new Map<string, DiskResource[]>();
  for (const resource of resources) {
    const role = roleOf(resource.reservations);
    if (role === undefined) continue;
    const known = roles.get(role);
    if (known === undefined) roles.set(role, [resource]);
    else known.push(resource);
  }
  return roles;
}

// Mesos names these four in every sum; only disk is ours.
function sum(resources: readonly DiskResource[]): object {
  const disk = resources.reduce<MilliMb>((total, { size }) => addSizes(total, size), ZERO_MB);
  return { cpus: 0, gpus: 0, mem: 0, disk: toMb(disk) };
}

function printAll(resources: readonly DiskResource[]): readonly object[] {
  return resources.map((resource) => printResource(resource, "endpoint"));
}

/** As an object whose keys are data, so that no role is taken for more than its name. */
function mapValues<In, Out>(map: ReadonlyMap<string, In>, change: (value: In) => Out): Record<string, Out> {
  return Object.fromEntries([...map].map(([key, value]) => [key, change(value)]));
}
