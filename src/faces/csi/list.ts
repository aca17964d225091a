/** Lists, page by page: a page's token is the id of its last entry, so that it stays good whatever comes and goes. */
import { z } from "zod";
import type { Actor } from "../../domain/operation.ts";
import type { VolumeView } from "../../engine/engine.ts";
import type { Csi } from "./context.ts";
import { entries, optionalText, parseRequest, requiredText } from "./fields.ts";
import { mustFind } from "./find.ts";
import { fitsWire, parseWireId, wireId } from "./names.ts";
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
  const all = await csi.engine.volumes(actor);
  const { views, next } = pageOf(
    all.filter(({ volume }) => volume.phase === "live" && volume.snapshotOf === undefined),
    asked,
  );
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

/** @throws ABORTED for a token that is none of ours */
export function pageOf(
  views: readonly VolumeView[],
  { max_entries: max, starting_token: token }: { readonly max_entries: number; readonly starting_token: string },
): Page {
  if (token !== "" && parseWireId(token) === undefined) {
    throw new CsiError("ABORTED", "Cannot go on with the list: starting_token is none that was given, begin anew");
  }
  const sorted = views
    .filter(({ volume }) => fitsWire(volume))
    .map((view) => ({ view, id: wireId(view.volume) }))
    .sort((left, right) => (left.id < right.id ? -1 : 1));
  const rest = sorted.filter(({ id }) => token === "" || id > token);
  const page = rest.slice(0, max === 0 ? PAGE_MAX : Math.min(max, PAGE_MAX));
  return {
    views: page.map(({ view }) => view),
    next: page.length < rest.length ? (page.at(-1)?.id ?? "") : "",
  };
}
