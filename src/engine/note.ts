/** Descriptions and labels of volumes: what people want to know, and nothing else depends on. */
import { may } from "../domain/authorise.ts";
import { nameOf } from "../domain/decide.ts";
import { HoldfastError } from "../domain/error.ts";
import type { NodeState } from "../domain/node.ts";
import { changedNote, isSameNote } from "../domain/note.ts";
import { type Actor, actorName } from "../domain/operation.ts";
import type { Volume } from "../domain/records.ts";
import type { Incarnation } from "../domain/units.ts";
import type { DescribeRequest } from "./engine.ts";
import type { Parts } from "./parts.ts";

/** As `Engine.describe`. */
export async function describeVolume(parts: Parts, actor: Actor, request: DescribeRequest): Promise<Incarnation> {
  const { labeller, ledger } = parts;
  let described: Volume | undefined;
  try {
    const uuid = await ledger.transact({ durable: true, by: actorName(actor) }, (tx) => {
      const volume = find(parts, tx.state, actor, request);
      const { note: before, ...bare } = volume;
      const note = changedNote(before, request);
      if (isSameNote(before, note)) return volume.uuid;
      described = { ...bare, ...(note === undefined ? {} : { note }), revision: ledger.nextRevision() };
      tx.set("volumes", volume.uuid, described);
      labeller.expect([described]);
      return volume.uuid;
    });
    if (described !== undefined) labeller.write([described]);
    return uuid;
  } catch (error) {
    if (described !== undefined) labeller.forget([described]);
    throw error;
  }
}

/** Whether it may be described comes before whether it is there. */
function find(parts: Parts, state: NodeState, actor: Actor, { role, id }: DescribeRequest): Volume {
  if (!may(parts.acls(), actor, "create_volumes", role)) {
    const reason = `the ACLs do not allow create_volumes to ${actorName(actor)}`;
    throw new HoldfastError("forbidden", `Cannot describe volume ${role}/${id}: ${reason}`);
  }
  const volume = state.live(role, id) ?? state.retired(role, id)[0];
  if (volume === undefined) {
    throw new HoldfastError("no_such_volume", `Cannot describe volume ${role}/${id}: there is none`);
  }
  if (volume.phase === "live" || volume.phase === "retained") return volume;
  throw new HoldfastError("busy", `Cannot describe volume ${nameOf(volume)}: it is ${volume.phase}`);
}
