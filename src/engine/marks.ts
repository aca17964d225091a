/**
 * Marks that people put on volumes: `protect` keeps a live one from being destroyed, `pin` a retained one from being
 * collected. A pinned one takes its size from unreserved disk, because nobody else answers for it.
 */
import { may } from "../domain/authorise.ts";
import { nameOf } from "../domain/decide.ts";
import { type ErrorCode, HoldfastError } from "../domain/error.ts";
import { freeOf, type NodeState, type Transaction } from "../domain/node.ts";
import { type Actor, actorName } from "../domain/operation.ts";
import type { Volume } from "../domain/records.ts";
import { type Incarnation, toMb, ZERO_MB } from "../domain/units.ts";
import type { Mark, MarkRequest } from "./engine.ts";
import type { Parts } from "./parts.ts";

/** Which volumes a mark is for, what becomes of them, and who may: whoever could bring the volume about, or end it. */
const MARKS: Readonly<Record<Mark, { readonly of: "live" | "retained"; readonly needs: Needs }>> = {
  protect: { of: "live", needs: "create_volumes" },
  unprotect: { of: "live", needs: "destroy_volumes" },
  pin: { of: "retained", needs: "create_volumes" },
  unpin: { of: "retained", needs: "destroy_volumes" },
};

type Needs = "create_volumes" | "destroy_volumes";

export async function markVolume(parts: Parts, actor: Actor, request: MarkRequest): Promise<Incarnation> {
  const { labeller, ledger } = parts;
  let marked: Volume | undefined;
  try {
    const uuid = await ledger.transact({ durable: true, by: actorName(actor) }, (tx) => {
      const volume = find(parts, tx.state, actor, request);
      const changed = withMark(volume, request.mark);
      if (changed === volume) return volume.uuid;
      marked = { ...changed, revision: ledger.nextRevision() };
      tx.set("volumes", volume.uuid, marked);
      if (request.mark === "pin") requireRoom(tx, volume);
      labeller.expect([marked]);
      return volume.uuid;
    });
    if (marked !== undefined) labeller.write([marked]);
    return uuid;
  } catch (error) {
    if (marked !== undefined) labeller.forget([marked]);
    throw error;
  }
}

/** The volume itself when it has the mark, or has not, already. */
function withMark(volume: Volume, mark: Mark): Volume {
  const { protected: _protected, pinned: _pinned, ...bare } = volume;
  switch (mark) {
    case "protect":
      return volume.protected === true ? volume : { ...volume, protected: true };
    case "pin":
      return volume.pinned === true ? volume : { ...volume, pinned: true };
    case "unprotect":
      return volume.protected === undefined ? volume : bare;
    case "unpin":
      return volume.pinned === undefined ? volume : bare;
  }
}

/** Whether it may be marked comes before whether it is there. */
function find(parts: Parts, state: NodeState, actor: Actor, request: MarkRequest): Volume {
  const { mark } = request;
  const { of: phase, needs } = MARKS[mark];
  const found = request.uuid === undefined ? named(state, request, phase) : state.volumes.get(request.uuid);
  const wanted = request.uuid ?? `${request.role}/${request.id}`;
  const refuse = (code: ErrorCode, reason: string): never => {
    throw new HoldfastError(code, `Cannot ${mark} volume ${wanted}: ${reason}`);
  };
  const role = found?.role ?? (request.uuid === undefined ? request.role : undefined);
  const creator = found === undefined ? undefined : (found.principal ?? "");
  if (!may(parts.acls(), actor, needs, needs === "create_volumes" ? role : creator)) {
    refuse("forbidden", `the ACLs do not allow ${needs} to ${actorName(actor)}`);
  }
  if (found === undefined) return refuse("no_such_volume", `no ${phase} volume is called so`);
  if (found.copying !== undefined) return refuse("busy", "its content is being copied");
  if (found.phase === phase) return found;
  if (found.phase === "live") return refuse("in_use", "it is live, protect it instead");
  return refuse("busy", `it is ${found.phase}`);
}

function named(
  state: NodeState,
  { role, id }: Pick<Volume, "role" | "id">,
  phase: "live" | "retained",
): Volume | undefined {
  if (phase === "live") return state.live(role, id);
  return state.retired(role, id).find((volume) => volume.phase === "retained");
}

/** Called when the pin is on the books already: what is missing then is too much. */
function requireRoom(tx: Transaction, volume: Volume): void {
  const pool = tx.state.pool(volume.source, []);
  const free = pool === undefined ? ZERO_MB : freeOf(pool);
  if (pool !== undefined && free >= 0) return;
  const had = Math.max(0, free + volume.size) as Volume["size"];
  throw new HoldfastError(
    "insufficient",
    `Cannot pin volume ${nameOf(volume)}: it takes ${toMb(volume.size)} MB of unreserved disk, and ${toMb(had)} MB are free there`,
    { details: { wantedMb: toMb(volume.size), freeMb: toMb(had) } },
  );
}
