import { codeOf } from "../../domain/error.ts";
import type { Actor, Operation } from "../../domain/operation.ts";
import type { Engine } from "../../engine/engine.ts";

/** Performs the first list for which there is disk. */
export async function performFirst(
  engine: Engine,
  actor: Actor,
  [first, ...others]: readonly (readonly Operation[])[],
): Promise<void> {
  if (first === undefined) return;
  try {
    await engine.perform(actor, first);
  } catch (error) {
    if (codeOf(error) !== "insufficient" || others.length === 0) throw error;
    await performFirst(engine, actor, others);
  }
}
