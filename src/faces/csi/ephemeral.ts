/**
 * Ephemeral inline volumes: a pod brings its volume with it. Publish makes the volume, unpublish destroys it, and its
 * content is retained as ever. Kubernetes makes up the id, which has no role: it is a name in CSI's own one.
 *
 * Its reservation says that a volume is a pod's own. On disk that its role has reserved otherwise there is none, and its name
 * says it: nobody else makes up such names.
 */
import { HoldfastError } from "../../domain/error.ts";
import { isReservedForOne } from "../../domain/new-volume.ts";
import type { Actor } from "../../domain/operation.ts";
import { oneOf, refuse, show } from "../../domain/refusal.ts";
import { parseHumanSize } from "../../domain/size.ts";
import { BYTES_PER_MB, type MilliMb } from "../../domain/units.ts";
import type { VolumeView } from "../../engine/engine.ts";
import type { Capability } from "./capability.ts";
import type { Csi } from "./context.ts";
import { ensureVolume } from "./create.ts";
import { remove } from "./delete.ts";
import { findById, mustFind, noSuchVolume } from "./find.ts";
import { containerAt, idForName, isEphemeral, nameReserved, parseWireId, type VolumeName, wireId } from "./names.ts";
import { publishedAt } from "./published.ts";
import { CsiError } from "./status.ts";

const OF_KUBERNETES = ["csi.storage.k8s.io/", "storage.kubernetes.io/"];
const EPHEMERAL = "csi.storage.k8s.io/ephemeral";
const SIZE = "size";
/** `csi-` and a SHA-256. */
const MADE_UP = /^csi-[0-9a-f]{64}$/;

/** Whether the volume is the pod's own. */
export function isInline(context: Readonly<Record<string, string>>): boolean {
  return context[EPHEMERAL] === "true";
}

/** What an id means: a volume of the node, or a pod's own, whose role may have been another when it was published here. */
export function nameFor({ role }: Pick<Csi, "role">, id: string, published?: VolumeName): VolumeName {
  const name = parseWireId(id);
  if (name !== undefined) return name;
  const isOwn = published !== undefined && MADE_UP.test(id) && published.id === idForName(published.role, id);
  const own = isOwn ? published.role : role;
  return { role: own, id: idForName(own, id) };
}

interface InlineVolume {
  readonly view: VolumeView;
  readonly isNew: boolean;
}

/** The pod's volume, made where there is none yet. @throws ALREADY_EXISTS when another volume has its name */
export async function ensureInline(
  csi: Csi,
  actor: Actor,
  {
    id,
    context,
    wanted,
  }: { readonly id: string; readonly context: Readonly<Record<string, string>>; readonly wanted: Capability },
): Promise<InlineVolume> {
  const size = sizeIn(context) ?? csi.defaultSize;
  const name = nameFor(csi, id);
  const existing = await csi.engine.findVolume(actor, name.role, name.id);
  if (existing !== undefined) return { view: requireInline(existing, id), isNew: false };
  const bytes = (BigInt(size) * BigInt(BYTES_PER_MB)) / 1000n;
  const view = await ensureVolume(csi, actor, {
    ...name,
    name: id,
    range: { required_bytes: bytes, limit_bytes: 0n },
    shared: false,
    fsTypes: wanted.fsType === "" ? [] : [wanted.fsType],
    parameters: {},
    source: undefined,
    ephemeral: true,
    onlyUnreserved: !MADE_UP.test(id),
  });
  return { view, isNew: true };
}

/** Destroys the pod's volume, if it is one. */
export async function removeInline(
  { engine }: Csi,
  actor: Actor,
  { id, name }: { readonly id: string; readonly name: VolumeName },
): Promise<void> {
  const view = await engine.findVolume(actor, name.role, name.id);
  if (view !== undefined && isInlineOf(view, id)) await remove(engine, actor, view);
}

/** The live volume that an id means to whoever has it published. @throws NOT_FOUND */
export async function mustFindPublished(
  csi: Csi,
  actor: Actor,
  { id, path }: { readonly id: string; readonly path: string | undefined },
): Promise<VolumeView> {
  if (parseWireId(id) !== undefined) return mustFind(csi.engine, actor, id);
  const container = path === undefined ? undefined : await csi.engine.findContainer(actor, containerAt(path));
  const published = publishedAt(container);
  const view = await findById(csi.engine, actor, wireId(nameFor(csi, id, published)));
  if (view !== undefined && isInlineOf(view, id)) return view;
  throw noSuchVolume(id);
}

function requireInline(view: VolumeView, id: string): VolumeView {
  if (isInlineOf(view, id)) return view;
  throw new CsiError("ALREADY_EXISTS", `Cannot make the ephemeral volume ${id}: a volume of this name exists already`);
}

function isInlineOf({ volume: { role, id: own, reservations } }: VolumeView, id: string): boolean {
  if (isReservedForOne(reservations)) return isEphemeral(reservations) && nameReserved(reservations) === id;
  return MADE_UP.test(id) && own === idForName(role, id);
}

function sizeIn(context: Readonly<Record<string, string>>): MilliMb | undefined {
  const unknown = Object.keys(context).find(
    (key) => key !== SIZE && !OF_KUBERNETES.some((prefix) => key.startsWith(prefix)),
  );
  if (unknown !== undefined) return refuse("the volume's attributes", show(unknown), oneOf([SIZE]));
  const text = context[SIZE];
  if (text === undefined) return undefined;
  const size = parseHumanSize(binary(text), "the attribute size");
  if (size % 1000 === 0) return size;
  throw new HoldfastError("invalid", `Cannot parse the attribute size: it is ${show(text)}, expected whole MiB`);
}

/** Kubernetes writes `1Gi`, people `1G`: the same here. */
function binary(text: string): string {
  return text.replace(/i$/, "");
}
