/**
 * All volumes by role, id, then newest first. Sorting 100,000 names takes longer than anybody wants to wait, so the order
 * is kept, and only what has changed since the last look is put in its place.
 */
import type { NodeState } from "../domain/node.ts";
import type { Volume } from "../domain/records.ts";

interface Order {
  readonly version: number;
  readonly volumes: readonly Volume[];
}

const orders = new WeakMap<NodeState, Order>();

export function volumesByName(state: NodeState): readonly Volume[] {
  const order = orders.get(state) ?? { version: -1, volumes: [] };
  if (order.version === state.volumesVersion) return order.volumes;
  // Records never change: a changed volume has another one.
  const kept = order.volumes.filter((volume) => state.volumes.get(volume.uuid) === volume);
  const present = new Set(kept);
  const added = [...state.volumes.values()].filter((volume) => !present.has(volume)).sort(byName);
  const volumes = merge(kept, added);
  orders.set(state, { version: state.volumesVersion, volumes });
  return volumes;
}

/** Where the list goes on behind a volume of it. */
export function placeBehind(ordered: readonly Volume[], volume: Volume): number {
  let place = firstPlace(ordered, (other) => byName(other, volume) >= 0);
  // Incarnations of one name that were made in the same millisecond lie beside each other.
  while (place < ordered.length && ordered[place] !== volume) place += 1;
  return place + 1;
}

/** Where the list goes on behind every incarnation of a name, whether there is any. */
export function placeBehindName(ordered: readonly Volume[], name: Pick<Volume, "role" | "id">): number {
  return firstPlace(ordered, (volume) => compareNames(volume, name) > 0);
}

export function byName(left: Volume, right: Volume): number {
  return compareNames(left, right) || right.createdAt - left.createdAt;
}

function compareNames(left: Pick<Volume, "role" | "id">, right: Pick<Volume, "role" | "id">): number {
  if (left.role !== right.role) return left.role < right.role ? -1 : 1;
  if (left.id !== right.id) return left.id < right.id ? -1 : 1;
  return 0;
}

/** The first one of which this is true, as it is of all behind it. */
function firstPlace(ordered: readonly Volume[], isBehind: (volume: Volume) => boolean): number {
  let low = 0;
  for (let high = ordered.length; low < high; ) {
    const middle = (low + high) >>> 1;
    if (isBehind(ordered[middle] as Volume)) high = middle;
    else low = middle + 1;
  }
  return low;
}

function merge(kept: readonly Volume[], added: readonly Volume[]): readonly Volume[] {
  if (kept.length === 0) return added;
  const merged: Volume[] = [];
  let next = 0;
  for (const volume of added) {
    while (next < kept.length && byName(kept[next] as Volume, volume) <= 0) merged.push(kept[next++] as Volume);
    merged.push(volume);
  }
  for (; next < kept.length; next += 1) merged.push(kept[next] as Volume);
  return merged;
}
