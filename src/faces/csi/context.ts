import type { MilliMb, Role } from "../../domain/units.ts";
import type { Engine } from "../../engine/engine.ts";
import type { Turns } from "./in-flight.ts";
import type { Targets } from "./targets.ts";

/** What the calls stand on; turns are taken by the id of a volume or snapshot. */
export interface Csi extends Turns {
  readonly engine: Engine;
  /** Of the volumes that are made without a role. */
  readonly role: Role;
  /** Of a volume that is made without a size. */
  readonly defaultSize: MilliMb;
  /** What the cluster calls this node. */
  readonly nodeId: string;
  /** The program's. */
  readonly version: string;
  readonly targets: Targets;
}
