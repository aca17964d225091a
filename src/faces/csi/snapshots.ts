/** Snapshots: volumes that nobody attaches, each what another one was at a moment. */
import { z } from "zod";
import type { Actor } from "../../domain/operation.ts";
import type { Volume } from "../../domain/records.ts";
import { oneOf, refuse, show } from "../../domain/refusal.ts";
import { sourceKey } from "../../domain/resource.ts";
import type { Role } from "../../domain/units.ts";
import type { CopyRequest, VolumeView } from "../../engine/engine.ts";
import { bytesOf } from "./capacity-range.ts";
import { copyToFirst, isOf, requireDone } from "./content-source.ts";
import type { Csi } from "./context.ts";
import { remove } from "./delete.ts";
import { entries, nameToBe, optionalText, parseRequest, requiredText, stringMap } from "./fields.ts";
import { mustFind } from "./find.ts";
import { behindToken, type Page, readPage } from "./list.ts";
import { nameReserved, newName, ownReservation, parseWireId, wireId } from "./names.ts";
import { parseParameters } from "./parameters.ts";
import { placesOfCopy } from "./places.ts";
import { CsiError } from "./status.ts";

const CREATE = z.object({ source_volume_id: requiredText, name: nameToBe, parameters: stringMap });
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
  const { id, role } = newName(roleIn(parameters) ?? csi.role, name);
  return csi.alone(wireId({ role, id }), async () => {
    const existing = await csi.engine.findVolume(actor, role, id);
    if (existing !== undefined) await requireSame(csi, actor, existing, { name, source });
    if (existing !== undefined && existing.copying === undefined) return { snapshot: entry(existing as Snapshot) };
    const asked = { role, id, snapshot: true, waitMs: COPY_WAIT_MS };
    const begun = sourceName(existing);
    const view =
      begun === undefined
        ? await begin(csi, actor, asked, { name, from: await mustFind(csi.engine, actor, source) })
        : await csi.engine.copy(actor, { ...asked, source: begun });
    requireDone(view);
    return { snapshot: entry(view as Snapshot) };
  });
}

/** A snapshot lies where its source does. */
async function begin(
  { engine }: Csi,
  actor: Actor,
  asked: Omit<CopyRequest, "source">,
  { name, from }: { readonly name: string; readonly from: VolumeView },
): Promise<VolumeView> {
  const { source, size } = from.volume;
  const { resources } = await engine.resources(actor);
  const beside = resources.filter((resource) => sourceKey(resource.source) === sourceKey(source));
  const places = placesOfCopy(beside, source, { own: ownReservation(asked.role, name), size });
  return copyToFirst(engine, actor, { request: { ...asked, source: nameOf(from) }, places });
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
  const isWanted = ({ snapshotOf, copying }: Volume) =>
    snapshotOf !== undefined && copying === undefined && (source === "" || wireId(snapshotOf) === source);
  const { views, next } =
    id === "" ? await readPage(csi, actor, asked, isWanted) : await readOne(csi, actor, asked, isWanted);
  return { entries: views.map((view) => ({ snapshot: entry(view as Snapshot) })), next_token: next };
}

/** The page with one snapshot at most. */
async function readOne(
  csi: Csi,
  actor: Actor,
  { snapshot_id: id, starting_token: token }: z.output<typeof LIST>,
  isWanted: (volume: Volume) => boolean,
): Promise<Page> {
  behindToken(token);
  const view = await find(csi, actor, id);
  return { views: view !== undefined && isWanted(view.volume) ? [view] : [], next: "" };
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

/** @throws `invalid` for what a volume alone can be told */
function roleIn(parameters: Readonly<Record<string, string>>): Role | undefined {
  const { role, ...others } = parseParameters(parameters);
  const [other] = Object.keys(others);
  return other === undefined ? role : refuse("the parameters of a snapshot", show(other), oneOf(["role"]));
}

/** @throws ALREADY_EXISTS when it is one of another volume, or no snapshot */
async function requireSame(
  { engine }: Csi,
  actor: Actor,
  { volume: { snapshotOf, reservations } }: VolumeView,
  { name, source }: { readonly name: string; readonly source: string },
): Promise<void> {
  const reserved = nameReserved(reservations) ?? name;
  if (reserved === name && snapshotOf !== undefined && (await isOf(engine, actor, snapshotOf, source))) return;
  const what = snapshotOf === undefined ? undefined : wireId(snapshotOf);
  const is =
    what === undefined ? "it is a volume" : `it is one of ${what === source ? "an earlier volume of that name" : what}`;
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
