/**
 * What volumes took over time, for a small picture: a few points of those that containers have, kept in memory and gone
 * with the daemon. A volume that nobody has does not change.
 */
import type { Volume } from "../domain/records.ts";
import { toBytes } from "../domain/units.ts";
import type { UsePoint } from "./observations.ts";
import type { Parts } from "./parts.ts";

/** More are thinned out to half, so that they reach back to the beginning. */
const POINTS_MAX = 64;
/** Less of its size is no change. */
const CHANGE = 1 / 200;

/** To be told whenever a volume's usage was looked at. */
export function rememberUse(
  { observations, ledger, clock }: Parts,
  volume: Volume,
  usedBytes: number | undefined,
): void {
  if (usedBytes === undefined || ledger.state.containersOf(volume.uuid).length === 0) return;
  const points = observations.useHistory.get(volume.uuid) ?? [];
  const last = points.at(-1);
  if (last !== undefined && Math.abs(usedBytes - last.usedBytes) < toBytes(volume.size) * CHANGE) return;
  const grown = [...points, { at: clock.now(), usedBytes }];
  observations.useHistory.set(volume.uuid, grown.length > POINTS_MAX ? thinned(grown) : grown);
}

/** The first and the last one stay. */
function thinned(points: readonly UsePoint[]): readonly UsePoint[] {
  return points.filter((_point, index) => index % 2 === 0 || index === points.length - 1);
}
