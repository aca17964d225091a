/** Which volume a body names: by role and id, or one incarnation by its UUID. */
import { z } from "zod";
import { HoldfastError } from "../../domain/error.ts";
import { parseIncarnation, parseRole, parseVolumeId } from "../../domain/names.ts";
import type { Incarnation, Role, VolumeId } from "../../domain/units.ts";

export type WhichVolume =
  | { readonly role: Role; readonly id: VolumeId; readonly uuid?: undefined }
  | { readonly uuid: Incarnation };

/** The fields of a body's schema; what is in them is for `parseWhich`. */
export const WHICH = {
  role: z.unknown().optional(),
  id: z.unknown().optional(),
  uuid: z.unknown().optional(),
};

/** @throws `invalid` neither, both, or not a name */
export function parseWhich(
  { role, id, uuid }: { readonly role?: unknown; readonly id?: unknown; readonly uuid?: unknown },
  verb: string,
): WhichVolume {
  if (uuid === undefined) return { role: parseRole(role, "role"), id: parseVolumeId(id, "id") };
  if (role !== undefined || id !== undefined) {
    throw new HoldfastError("invalid", `Cannot ${verb}: the body names a uuid and a role or id, expected one of them`);
  }
  return { uuid: parseIncarnation(uuid, "uuid") };
}
