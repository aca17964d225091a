/** Volumes by what CSI calls them. */
import type { Actor } from "../../domain/operation.ts";
import type { Engine, VolumeView } from "../../engine/engine.ts";
import { parseWireId } from "./names.ts";
import { CsiError } from "./status.ts";

/** The live volume of an id; `undefined` when there is none, or it is a snapshot. */
export async function findById(engine: Engine, actor: Actor, id: string): Promise<VolumeView | undefined> {
  const name = parseWireId(id);
  if (name === undefined) return undefined;
  const view = await engine.findVolume(actor, name.role, name.id);
  return view?.volume.snapshotOf === undefined ? view : undefined;
}

/** @throws NOT_FOUND */
export async function mustFind(engine: Engine, actor: Actor, id: string): Promise<VolumeView> {
  const view = await findById(engine, actor, id);
  if (view === undefined) throw noSuchVolume(id);
  return view;
}

export function noSuchVolume(id: string): CsiError {
  return new CsiError("NOT_FOUND", `Cannot find volume ${id}: there is no such volume on this node`);
}
