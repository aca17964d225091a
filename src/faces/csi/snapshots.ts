/** Snapshots: volumes that nobody attaches, each what another one was at a moment. */
import { z } from "zod";
import type { Actor } from "../../domain/operation.ts";
import type { Volume } from "../../domain/records.ts";
import type { VolumeView } from "../../engine/engine.ts";
import { bytesOf } from "./capacity-range.ts";
import { requireDone } from "./content-source.ts";
import type { Csi } from "./context.ts";
import { remove } from "./delete.ts";
import { entries, newName, optionalText, parseRequest, requiredText, stringMap } from "./fields.ts";
import { mustFind } from "./find.ts";
import { pageOf } from "./list.ts";
import { idForName, nameReserved, ownReservation, parseWireId, wireId } from "./names.ts";
import { parseParameters } from "./parameters.ts";
import { CsiError } from "./status.ts";

const CREATE = z.object({ source_volume_id: requiredText, name: newName, parameters: stringMap });
const ONE = z.object({ snapshot_id: requiredText });
const LIST = z.object({
  max_entries: entries,
  starting_token: optionalText,
  source_volume_id: optionalText,
  snapshot_id: optionalText,
});

/** How long a call waits for a snapshot before the caller is told to come again. */
const COPY_WAIT_MS = 5_000;

type Snapshot = VolumeView & { readonly volume: Volume & Required<Pick<Volume, "snapshotOf">> };

/** As `CreateSnapshot`. */
export async function createSnapshot(csi: Csi, request: unknown, actor: Actor): Promise<object> {
  const { source_volume_id: source, name, parameters } = parseRequest(CREATE, request);
  const { role = csi.role } = parseParameters(parameters);
  const id = idForName(role, name);
  return csi.alone(wireId({ role, id }), async () => {
    const existing = await csi.engine.findVolume(actor, role, id);
    if (existing !== undefined) requireSame(existing, name, source);
    if (existing !== undefined && existing.copying === undefined) return { snapshot: entry(existing as Snapshot) };
    const from = sourceName(existing) ?? nameOf(await mustFind(csi.engine, actor, source));
    const reservations = [ownReservation(role, name)];
    const view = await csi.engine.copy(actor, {
      source: from,
      role,
      id,
      snapshot: true,
      reservations,
      waitMs: COPY_WAIT_MS,
    });
    requireDone(view);
    return { snapshot: entry(view as Snapshot) };
  });
}

/** As `DeleteSnapshot`. One that is not there is fine. */
export async function deleteSnapshot(csi: Csi, request: unknown, actor: Actor): Promise<object> {
  const { snapshot_id: id } = parseRequest(ONE, request);
  return csi.alone(id, async () => {
    const view = await find(csi, actor, id);
    if (view !== undefined) await remove(csi.engine, actor, view);
    return {};
  });
}

/** As `ListSnapshots`. What there is none of is an empty list. */
export async function listSnapshots(csi: Csi, request: unknown, actor: Actor): Promise<object> {
  const asked = parseRequest(LIST, request);
  const { snapshot_id: id, source_volume_id: source } = asked;
  const found = id === "" ? await csi.engine.volumes(actor) : [(await find(csi, actor, id)) ?? []].flat();
  const fitting = found
    .filter(isSnapshot)
    .filter(({ volume, copying }) => copying === undefined && volume.phase === "live")
    .filter(({ volume }) => source === "" || wireId(volume.snapshotOf) === source);
  const { views, next } = pageOf(fitting, asked);
  return { entries: views.map((view) => ({ snapshot: entry(view as Snapshot) })), next_token: next };
}

/** As `GetSnapshot`. */
export async function getSnapshot(csi: Csi, request: unknown, actor: Actor): Promise<object> {
  const { snapshot_id: id } = parseRequest(ONE, request);
  const view = await find(csi, actor, id);
  if (view === undefined) throw new CsiError("NOT_FOUND", `Cannot find snapshot ${id}: there is none on this node`);
  return { snapshot: entry(view) };
}

async function find({ engine }: Csi, actor: Actor, id: string): Promise<Snapshot | undefined> {
  const name = parseWireId(id);
  const view = name && (await engine.findVolume(actor, name.role, name.id));
  return view !== undefined && isSnapshot(view) ? view : undefined;
}

function isSnapshot(view: VolumeView): view is Snapshot {
  return view.volume.snapshotOf !== undefined;
}

/** @throws ALREADY_EXISTS when it is one of another volume, or no snapshot */
function requireSame({ volume }: VolumeView, name: string, source: string): void {
  const reserved = nameReserved(volume.reservations) ?? name;
  if (reserved === name && volume.snapshotOf !== undefined && wireId(volume.snapshotOf) === source) return;
  const is = volume.snapshotOf === undefined ? "it is a volume" : `it is one of ${wireId(volume.snapshotOf)}`;
  throw new CsiError("ALREADY_EXISTS", `Cannot create snapshot ${name} of ${source}: it exists already, and ${is}`);
}

function entry({ volume, copying }: Snapshot): object {
  const { at } = volume.snapshotOf;
  return {
    size_bytes: bytesOf(volume.size),
    snapshot_id: wireId(volume),
    source_volume_id: wireId(volume.snapshotOf),
    creation_time: { seconds: Math.floor(at / 1000), nanos: (at % 1000) * 1_000_000 },
    ready_to_use: copying === undefined,
  };
}

function sourceName(view: VolumeView | undefined) {
  return view?.volume.snapshotOf === undefined
    ? undefined
    : { role: view.volume.snapshotOf.role, id: view.volume.snapshotOf.id };
}

function nameOf({ volume: { role, id } }: VolumeView) {
  return { role, id };
}
