/** Lists, page by page: a page's token is the id of its last entry, so that it stays good whatever comes and goes. */
import { z } from "zod";
import type { Actor } from "../../domain/operation.ts";
import type { Volume } from "../../domain/records.ts";
import type { VolumeView } from "../../engine/engine.ts";
import type { Csi } from "./context.ts";
import { entries, optionalText, parseRequest, requiredText } from "./fields.ts";
import { mustFind } from "./find.ts";
import { fitsWire, parseWireId, type VolumeName, wireId } from "./names.ts";
import { CsiError } from "./status.ts";
import { condition, volumeEntry } from "./views.ts";

const REQUEST = z.object({ max_entries: entries, starting_token: optionalText });
const ONE = z.object({ volume_id: requiredText });

/** Also where all are asked for: an answer must fit into a message. */
const PAGE_MAX = 1_000;

export interface Page {
  readonly views: readonly VolumeView[];
  /** Empty at the end. */
  readonly next: string;
}

/** As `ListVolumes`. */
export async function listVolumes(csi: Csi, request: unknown, actor: Actor): Promise<object> {
  const asked = parseRequest(REQUEST, request);
  const { views, next } = await readPage(csi, actor, asked, ({ snapshotOf }) => snapshotOf === undefined);
  return { entries: views.map((view) => entry(csi, view)), next_token: next };
}

/** As `ControllerGetVolume`. */
export async function getVolume(csi: Csi, request: unknown, actor: Actor): Promise<object> {
  const { volume_id: id } = parseRequest(ONE, request);
  return entry(csi, await mustFind(csi.engine, actor, id));
}

function entry(csi: Csi, view: VolumeView): object {
  return { volume: volumeEntry(csi, view), status: { volume_condition: condition(view.problem) } };
}

/** What is asked of every list. */
interface Paging {
  readonly max_entries: number;
  readonly starting_token: string;
}

/** The live volumes, or snapshots, of a page: one more is looked for, which tells whether there is another page. */
export async function readPage(
  { engine }: Csi,
  actor: Actor,
  { max_entries: max, starting_token: token }: Paging,
  isWanted: (volume: Volume) => boolean,
): Promise<Page> {
  const size = max === 0 ? PAGE_MAX : Math.min(max, PAGE_MAX);
  const found = await engine.volumes(actor, {
    where: (volume) => volume.phase === "live" && isWanted(volume) && fitsWire(volume),
    limit: size + 1,
    ...behindToken(token),
  });
  const views = found.slice(0, size);
  const last = views.at(-1);
  return { views, next: found.length > size && last !== undefined ? wireId(last.volume) : "" };
}

/** Where a list goes on. @throws ABORTED for a token that is none of ours */
export function behindToken(token: string): { readonly behind?: VolumeName } {
  const behind = parseWireId(token);
  if (behind !== undefined) return { behind };
  if (token === "") return {};
  throw new CsiError("ABORTED", "Cannot go on with the list: starting_token is none that was given, begin anew");
}
