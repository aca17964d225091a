/**
 * How one disk has the kernel hold volumes to their sizes. Whatever differs between the ways is behind this: how the
 * content of a spare is made, kept and removed, what limits it, and what counts it.
 */
import type { Volume } from "../domain/records.ts";
import type { Incarnation } from "../domain/units.ts";
import type { Disk, Spare } from "../ports/disk.ts";
import type { Log } from "../ports/log.ts";
import type { Census, CensusParent } from "./census.ts";
import type { DiskPlaces } from "./disk-places.ts";
import type { Durability } from "./durability.ts";

/** What an enforcer works on. */
export interface EnforcerParts {
  readonly root: string;
  readonly places: Pick<DiskPlaces, "volumes" | "trash">;
  /** How plain directories become durable here. */
  readonly durability: Durability;
  readonly census: Pick<Census, "measure" | "enlist">;
  readonly log: Log;
}

/** Where a walk begins: below which open directory, and at what name. */
export interface Walk {
  readonly parent: CensusParent;
  readonly name: string;
}

/** Members that the port has too do what it says there. */
export interface Enforcer extends Pick<Disk, "enforcement" | "limit" | "looseness" | "usageOf" | "newProjectId"> {
  readonly durability: Durability;
  /** How many spares may lie ready when so many do. */
  mostSpares(ready: number): number;
  /** What is in the books is nobody else's. */
  claim(volume: Pick<Volume, "uuid" | "projectId">): void;
  /** Makes `<uuid>/content`, empty, not yet durable. */
  make(uuid: Incarnation): Spare;
  /** What an earlier process left, as a spare of ours; `undefined` when it cannot be one. */
  keep(spare: Spare): Spare | undefined;
  /** Removes an incarnation without a label and content; anything else stays. */
  discard(uuid: Incarnation): void;
  /** As `Disk.enlist`, when it has been found where the volume is. */
  enlist(volume: Volume, walk: Walk, options: { readonly signal?: AbortSignal }): ReturnType<Disk["enlist"]>;
  /**
   * Removes the content of a destroyed volume at once, its label before, where that can be done and nothing speaks
   * against it. Returns how many names it removed; the rest is to be purged.
   */
  destroy(uuid: Incarnation): Promise<number>;
  /** Waits until some of the room of discarded spares may have come back; `false` when no more is to be expected. */
  reclaimed(attempt: number): Promise<boolean>;
  /** The volume is gone for good. */
  forget(uuid: Incarnation): void;
}
