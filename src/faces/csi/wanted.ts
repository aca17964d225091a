import type { Role, VolumeId } from "../../domain/units.ts";
import type { CapacityRange } from "./capacity-range.ts";
import type { Parameters } from "./parameters.ts";

/** What a volume's content is to be a copy of. */
export interface Source {
  readonly kind: "snapshot" | "volume";
  readonly id: string;
  /** As it was asked for, to be answered. */
  readonly wire: object;
}

/** A volume as it was asked for. */
export interface Wanted {
  readonly name: string;
  readonly role: Role;
  readonly id: VolumeId;
  readonly range: CapacityRange | null | undefined;
  readonly shared: boolean;
  /** Of file systems; empty for any. */
  readonly fsTypes: readonly string[];
  readonly parameters: Parameters;
  readonly source: Source | undefined;
  /** It ends with the pod that it is made for. */
  readonly ephemeral?: boolean;
  /** Not on what the role has reserved otherwise, either. */
  readonly onlyUnreserved?: boolean;
}
