/** Refusals because of somebody who has a volume, for people who know their containers by other ids than the loans'. */
import { codeOf, HoldfastError, messageOf } from "../../domain/error.ts";
import type { Actor } from "../../domain/operation.ts";
import type { Engine, HolderView } from "../../engine/engine.ts";
import type { LiveVolume } from "./names.ts";

/** Does the work; where that is refused because the volume is in use, the refusal says who is seen with it. */
export async function namingHolders<Result>(
  engine: Engine,
  actor: Actor,
  { role, id }: LiveVolume,
  work: () => Promise<Result>,
): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    if (codeOf(error) !== "in_use") throw error;
    const holders = await engine.volume(actor, role, id).then(
      (view) => view.holders ?? [],
      () => [],
    );
    throw withHolders(error, holders);
  }
}

function withHolders(cause: unknown, holders: readonly HolderView[]): unknown {
  const message = messageOf(cause);
  const unnamed = holders.filter(({ pid }) => !message.includes(`process ${pid}`));
  if (unnamed.length === 0) return cause;
  return new HoldfastError("in_use", `${message}; seen with it: ${unnamed.map(describe).join(", ")}`, { cause });
}

function describe({ engine, container, pid, command, cgroup }: HolderView): string {
  const who = container === undefined ? command : `${engine ?? ""} container ${container}`.trimStart();
  return `${who} (process ${pid}, ${cgroup})`;
}
