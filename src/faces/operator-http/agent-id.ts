/** Whom a request is for. One node has one agent, whose id anybody may know. */
import { HoldfastError } from "../../domain/error.ts";
import { show } from "../../domain/refusal.ts";
import type { Engine } from "../../engine/engine.ts";

/** @throws `unknown_agent` */
export function requireThisAgent(id: string, engine: Engine): void {
  if (id === engine.agentId) return;
  throw new HoldfastError("unknown_agent", `Cannot find agent ${show(id)}: this one is ${engine.agentId}`);
}
