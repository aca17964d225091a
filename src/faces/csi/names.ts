/**
 * What CSI's ids mean. A volume's id on the wire is `ROLE/ID` for every volume of the node, also for those that the
 * operator made; the last slash divides, because a role may have slashes itself. A snapshot is a volume of its own kind,
 * and its id reads the same.
 *
 * The name that a volume shall be created under becomes its ID. A name that is none (it has a slash, or is too long with
 * its role) becomes `csi-` and a digest of it, so that it means the same volume every time.
 */
import { createHash } from "node:crypto";
import { HoldfastError } from "../../domain/error.ts";
import { parseRole, parseVolumeId } from "../../domain/names.ts";
import type { Label, Reservation } from "../../domain/resource.ts";
import type { ContainerId, Role, VolumeId } from "../../domain/units.ts";
import { STRING_BYTES_MAX } from "./fields.ts";

const LABEL_KEY = "io.holdfast.csi";
const EPHEMERAL_KEY = "io.holdfast.csi.ephemeral";
const DIGEST_CHARACTERS = 32;

export interface VolumeName {
  readonly role: Role;
  readonly id: VolumeId;
}

/** `undefined` for what cannot be the id of any volume. */
export function parseWireId(text: string): VolumeName | undefined {
  const slash = text.lastIndexOf("/");
  if (slash < 0) return undefined;
  try {
    return { role: parseRole(text.slice(0, slash)), id: parseVolumeId(text.slice(slash + 1)) };
  } catch (error) {
    if (error instanceof HoldfastError) return undefined;
    throw error;
  }
}

export function wireId({ role, id }: VolumeName): string {
  return `${role}/${id}`;
}

/** Whether CSI can name it at all. */
export function fitsWire(name: VolumeName): boolean {
  return Buffer.byteLength(wireId(name)) <= STRING_BYTES_MAX;
}

/** What a volume or snapshot of this name is called in a role. */
export function idForName(role: Role, name: string): VolumeId {
  const own = parseWireId(`${role}/${name}`);
  const isItself = own !== undefined && own.id === name && fitsWire(own);
  return isItself ? own.id : (`csi-${digest(name)}` as VolumeId);
}

/** As `idForName`, of what is created. @throws `invalid` when nobody could name it after that */
export function newName(role: Role, name: string): VolumeName {
  const made = { role, id: idForName(role, name) };
  if (fitsWire(made)) return made;
  throw new HoldfastError(
    "invalid",
    `Cannot create ${wireId(made)}: its id would be longer than ${STRING_BYTES_MAX} bytes, choose a shorter role`,
  );
}

/** The container that stands for what is published at a path. */
export function containerAt(target: string): ContainerId {
  return `csi-${digest(target)}` as ContainerId;
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, DIGEST_CHARACTERS);
}

/** What a volume is reserved with that is created here, so that its name and its end are known to be ours. */
export function ownReservation(role: Role, name: string, options: { readonly ephemeral?: boolean } = {}): Reservation {
  const labels: Label[] = [{ key: LABEL_KEY, value: name }];
  if (options.ephemeral === true) labels.push({ key: EPHEMERAL_KEY });
  return { type: "DYNAMIC", role, labels };
}

/** Whether it was made for one pod, and ends with it. */
export function isEphemeral(reservations: readonly Reservation[]): boolean {
  return reservations.at(-1)?.labels?.some(({ key }) => key === EPHEMERAL_KEY) === true;
}

/** The name that it was reserved under here; `undefined` for disk that was reserved otherwise. */
export function nameReserved(reservations: readonly Reservation[]): string | undefined {
  return reservations.at(-1)?.labels?.find(({ key }: Label) => key === LABEL_KEY)?.value;
}
