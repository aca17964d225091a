/**
 * One page of the volumes for people who look around in many: filtered, counted, and in the order that was asked for.
 * All volumes are looked at once, and only the page is sorted, so that 100,000 of them take a blink.
 */
import type { VolumeState } from "../domain/lifecycle.ts";
import type { NodeState } from "../domain/node.ts";
import type { Actor } from "../domain/operation.ts";
import type { Volume } from "../domain/records.ts";
import type { Role } from "../domain/units.ts";
import { candidateOf } from "./collect-request.ts";
import type { VolumePage, VolumeQuery, VolumeSort } from "./engine.ts";
import { usageOf } from "./measure.ts";
import { volumesByName } from "./name-order.ts";
import type { Parts } from "./parts.ts";
import { sortRange } from "./sort-range.ts";
import { hasLabel, viewVolume, visibleTo, volumeState } from "./views.ts";

/** So many roles are named for people to choose from. */
const ROLES_MAX = 100;

interface Row {
  readonly volume: Volume;
  readonly state: VolumeState;
  /** Its place among all by name. */
  readonly rank: number;
}

type Key = (parts: Parts, row: Row) => string | number;

const KEYS: Readonly<Record<VolumeSort, Key>> = {
  role: (_parts, { rank }) => rank,
  id: (_parts, { volume }) => volume.id,
  size: (_parts, { volume }) => volume.size,
  state: (_parts, { state }) => state,
  containerPath: (_parts, { volume }) => volume.containerPath,
  used: (parts, { volume }) => usageOf(parts, volume)?.usedBytes ?? -1,
  createdAt: (_parts, { volume }) => volume.createdAt,
  retiredAt: (_parts, { volume }) => volume.retired?.at ?? 0,
  // What is pinned is never due.
  dueAt: (parts, { volume }) => candidateOf(parts, volume).dueAt ?? Number.POSITIVE_INFINITY,
};

export function pageVolumes(parts: Parts, state: NodeState, actor: Actor, query: VolumeQuery): VolumePage {
  const wanted = wantedBy(query);
  const roles = new Map<Role, number>();
  const isVisible = visibleTo(parts, actor);
  const counts: Partial<Record<VolumeState, number>> = {};
  const inPage = placesOf(query);
  const rows: Row[] = [];
  let total = 0;
  const ordered = volumesByName(state);
  for (const { role, start, end } of runsOfRoles(ordered)) {
    if (!isVisible(role)) continue;
    roles.set(role, end - start);
    for (let rank = start; rank < end; rank += 1) {
      const volume = ordered[rank] as Volume;
      if (!wanted(volume)) continue;
      const row = { volume, state: volumeState(parts, state, volume), rank };
      counts[row.state] = (counts[row.state] ?? 0) + 1;
      if (query.state !== undefined && query.state !== row.state) continue;
      if (inPage(total)) rows.push(row);
      total += 1;
    }
  }
  const page = inOrder(parts, rows, query);
  return {
    volumes: page.map(({ volume }) => viewVolume(parts, state, volume)),
    total,
    counts,
    roles: [...roles].sort(([left, many], [right, more]) => more - many || (left < right ? -1 : 1)).slice(0, ROLES_MAX),
  };
}

/** Volumes of one role lie together: from `start` to before `end`. */
function* runsOfRoles(ordered: readonly Volume[]): Generator<{ role: Role; start: number; end: number }> {
  for (let start = 0, end = 0; start < ordered.length; start = end) {
    const { role } = ordered[start] as Volume;
    while (ordered[end]?.role === role) end += 1;
    yield { role, start, end };
  }
}

/** Which may be on the page, by their place among all that are found: as they are met, or any. */
function placesOf({ sort, order, offset, limit }: VolumeQuery): (place: number) => boolean {
  return sort === "role" && order === "asc" ? (place) => place >= offset && place < offset + limit : () => true;
}

/** Everything but the state, which is not known from the record alone. */
function wantedBy({ role, retired, app, label, search }: VolumeQuery): (volume: Volume) => boolean {
  const text = search?.toLowerCase();
  return (volume) =>
    (role === undefined || volume.role === role) &&
    (retired === undefined || (volume.phase !== "live") === retired) &&
    (app === undefined || volume.app?.id === app) &&
    (label === undefined || hasLabel(volume, label)) &&
    (text === undefined || isFound(volume, text));
}

function isFound({ role, id, note, uuid }: Volume, text: string): boolean {
  return (
    `${role}/${id}`.toLowerCase().includes(text) ||
    note?.description?.toLowerCase().includes(text) === true ||
    uuid.startsWith(text)
  );
}

function inOrder(parts: Parts, rows: readonly Row[], { sort, order, offset, limit }: VolumeQuery): readonly Row[] {
  if (sort === "role") return order === "asc" ? rows : rows.toReversed().slice(offset, offset + limit);
  const keyOf = KEYS[sort];
  const keyed = rows.map((row) => ({ row, key: keyOf(parts, row) }));
  const sign = order === "desc" ? -1 : 1;
  const page = sortRange(keyed, { start: offset, end: offset + limit }, (left, right) => {
    if (left.key !== right.key) return left.key < right.key ? -sign : sign;
    return left.row.rank - right.row.rank;
  });
  return page.map(({ row }) => row);
}
