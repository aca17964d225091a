/** What is done to single volumes, in the model: restore, protect and pin, collect. */
import {
  forget,
  freeMb,
  isCollectable,
  live,
  type Model,
  type ModelVolume,
  may,
  mustBeDue,
  present,
  Refusal,
  requireMay,
  reserveMb,
  retained,
  roleOf,
  type Who,
} from "./reference.ts";

export type Which = { readonly uuid: string } | { readonly role: string; readonly id: string };
export type Mark = "protect" | "unprotect" | "pin" | "unpin";

function byUuid(model: Model, uuid: string): ModelVolume | undefined {
  return present(model).find((one) => one.uuid === uuid);
}

export function restore(model: Model, by: Who, which: Which, as?: string): void {
  const volume = "uuid" in which ? byUuid(model, which.uuid) : retained(model, which.role, which.id)[0];
  requireMay(
    by,
    "uuid" in which ? (volume === undefined ? { role: "" } : { role: volume.role }) : { role: which.role },
  );
  if (volume === undefined) throw new Refusal("no_such_volume", JSON.stringify(which));
  const id = as ?? volume.id;
  if (volume.phase === "live" || live(model, volume.role, id) !== undefined) throw new Refusal("duplicate_volume", id);
  delete volume.pinned;
  const missing = volume.sizeMb - freeMb(model, volume.stack);
  if (missing > 0) {
    const isDynamic = volume.stack.at(-1)?.type === "DYNAMIC";
    if (!isDynamic || freeMb(model, volume.stack.slice(0, -1)) < missing)
      throw new Refusal("insufficient", `${missing} MB`);
    requireMay(by, { role: roleOf(volume.stack) });
    reserveMb(model, volume.stack, missing);
  }
  volume.id = id;
  volume.phase = "live";
  delete volume.retired;
}

export function mark(model: Model, by: Who, kind: Mark, which: Which): void {
  const phase = kind === "protect" || kind === "unprotect" ? "live" : "retained";
  const volume = "uuid" in which ? byUuid(model, which.uuid) : named(model, which, phase);
  const role = volume?.role ?? ("role" in which ? which.role : "");
  const isAllowed = kind === "protect" || kind === "pin" ? may(by, { role }) : may(by, { owner: volume?.principal });
  if (!isAllowed) throw new Refusal("forbidden", kind);
  if (volume === undefined) throw new Refusal("no_such_volume", JSON.stringify(which));
  if (volume.phase !== phase) throw new Refusal(phase === "retained" ? "in_use" : "busy", `it is ${volume.phase}`);
  switch (kind) {
    case "protect":
      volume.protected = true;
      break;
    case "unprotect":
      delete volume.protected;
      break;
    case "unpin":
      delete volume.pinned;
      break;
    case "pin":
      if (volume.pinned !== true && freeMb(model, []) < volume.sizeMb)
        throw new Refusal("insufficient", "nothing unreserved");
      volume.pinned = true;
  }
}

function named(
  model: Model,
  { role, id }: { readonly role: string; readonly id: string },
  phase: ModelVolume["phase"],
) {
  return phase === "live" ? live(model, role, id) : retained(model, role, id)[0];
}

/** What an answer must say of each volume that it may know by name. */
export interface Collection {
  /** Gone, or would be. */
  readonly collected: readonly string[];
  readonly kept: readonly string[];
}

export function collect(
  model: Model,
  by: Who,
  { dryRun, uuids }: { readonly dryRun: boolean; readonly uuids?: readonly string[] },
): Collection {
  const candidates = uuids === undefined ? viewable(model, by) : uuids.map((uuid) => mustBeRetained(model, by, uuid));
  const isGone = (one: ModelVolume) =>
    uuids === undefined ? mustBeDue(model, one) && may(by, { owner: one.principal }) : isCollectable(one);
  const collected = candidates.filter(isGone);
  const kept = candidates.filter((one) => !isGone(one));
  if (!dryRun) for (const one of collected) forget(model, one);
  const uuidOf = ({ uuid }: ModelVolume) => uuid ?? "";
  return { collected: collected.map(uuidOf), kept: kept.map(uuidOf) };
}

function viewable(model: Model, by: Who): ModelVolume[] {
  return present(model).filter(({ phase, role }) => phase === "retained" && may(by, { role }));
}

function mustBeRetained(model: Model, by: Who, uuid: string): ModelVolume {
  const volume = byUuid(model, uuid);
  requireMay(by, { owner: volume?.principal });
  if (volume === undefined) throw new Refusal("no_such_volume", uuid);
  if (volume.phase === "live") throw new Refusal("in_use", "it is not destroyed");
  return volume;
}
