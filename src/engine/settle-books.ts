/**
 * What the books say may be over: a container that ended a moment ago, an engine that never told that it is done. So
 * before a request is refused because somebody has a volume, it is seen to that somebody does.
 */
import type { ContainerId } from "../domain/units.ts";
import { endIfOver } from "./ended.ts";
import type { VolumeName } from "./in-use.ts";
import { settleLoans } from "./loans.ts";
import type { Parts } from "./parts.ts";

/** Takes off the books who of those that have these volumes is over, and this container if it is. */
export async function settleBooks(parts: Parts, names: readonly VolumeName[], container?: ContainerId): Promise<void> {
  const { state } = parts.ledger;
  const uuids = names.flatMap(({ role, id }) => state.live(role, id)?.uuid ?? []);
  const ids = new Set(uuids.flatMap((uuid) => state.containersOf(uuid).map(({ id }) => id)));
  if (container !== undefined) ids.add(container);
  // One after the other: whoever has one container to itself must not wait for another.
  for (const id of ids) await endIfOver(parts, id);
  await settleLoans(parts, uuids);
}

/** The same before an attach: whoever else has a shared volume is in nobody's way, and need not be looked for. */
export function settleBeforeAttach(parts: Parts, names: readonly VolumeName[], container?: ContainerId): Promise<void> {
  const exclusive = names.filter(({ role, id }) => parts.ledger.state.live(role, id)?.shared === false);
  return settleBooks(parts, exclusive, container);
}
