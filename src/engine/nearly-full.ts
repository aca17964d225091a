/** Warns of live volumes that are nearly full, once each: again only after they had room in between. */
import { mayView } from "../domain/authorise.ts";
import { nameOf } from "../domain/decide.ts";
import type { NodeState } from "../domain/node.ts";
import type { Actor } from "../domain/operation.ts";
import type { Volume } from "../domain/records.ts";
import { toBytes } from "../domain/units.ts";
import type { Parts } from "./parts.ts";

const NEARLY_FULL = 0.9;
/** Less than that is room again. */
const ROOM_AGAIN = 0.85;
/** So many are named in a notice. */
const NAMED_MAX = 5;

/** To be told whenever a volume's usage was looked at. */
export function noteUsage({ observations, events }: Parts, volume: Volume, usedBytes: number | undefined): void {
  const { uuid, phase, size } = volume;
  const sizeBytes = toBytes(size);
  const part = usedBytes === undefined || sizeBytes === 0 ? 0 : usedBytes / sizeBytes;
  if (phase !== "live" || (usedBytes !== undefined && part < ROOM_AGAIN)) {
    observations.nearlyFull.delete(uuid);
    return;
  }
  if (part < NEARLY_FULL) return;
  const isNew = !observations.nearlyFull.has(uuid);
  observations.nearlyFull.set(uuid, part);
  if (!isNew) return;
  const { role, id, app } = volume;
  const message = `${percent(part)} of its size is used`;
  events.note({ type: "nearly-full", role, id, uuid, size, ...(app === undefined ? {} : { app: app.id }), message });
}

/** One sentence for all of them, as far as the actor may view them. */
export function listNearlyFull({ observations, acls }: Parts, state: NodeState, actor: Actor): readonly string[] {
  const full = [...observations.nearlyFull].flatMap(([uuid, part]) => {
    const volume = state.volumes.get(uuid);
    return volume?.phase === "live" && mayView(acls(), actor, volume.role) ? [{ volume, part }] : [];
  });
  if (full.length === 0) return [];
  full.sort((left, right) => right.part - left.part);
  const named = full.slice(0, NAMED_MAX).map(({ volume, part }) => `${nameOf(volume)} (${percent(part)})`);
  const more = full.length > named.length ? ` and ${full.length - named.length} more` : "";
  return [`Nearly full: ${named.join(", ")}${more}: grow them, or make room in them`];
}

function percent(part: number): string {
  return `${Math.floor(part * 100)} %`;
}
