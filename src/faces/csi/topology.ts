/** Where volumes are: on this node and nowhere else. */
import { z } from "zod";
import { stringMap } from "./fields.ts";
import { CsiError } from "./status.ts";

const NODE_KEY = "csi.holdfast.dev/node";

export interface Topology {
  readonly segments: Readonly<Record<string, string>>;
}

export const topology = z.object({ segments: stringMap });
export const topologyRequirement = z.object({ requisite: z.array(topology), preferred: z.array(topology) }).nullish();

export function topologyOf(nodeId: string): Topology {
  return { segments: { [NODE_KEY]: nodeId } };
}

/** Whether what is here can be reached from there; what says nothing is everywhere. */
export function isHere({ segments }: Topology, nodeId: string): boolean {
  return Object.entries(segments).every(([key, value]) => key === NODE_KEY && value === nodeId);
}

/** @throws RESOURCE_EXHAUSTED when the volume must be reached from other nodes only */
export function requireHere(required: z.output<typeof topologyRequirement>, nodeId: string): void {
  const places = required?.requisite.length === 0 ? required.preferred : (required?.requisite ?? []);
  if (places.length === 0 || places.some((place) => isHere(place, nodeId))) return;
  throw new CsiError(
    "RESOURCE_EXHAUSTED",
    `Cannot create the volume: it must be reached elsewhere, and this node is ${nodeId}`,
  );
}
