/** What the engine's modules share: the ports, and the engine's own state. */
import type { CollectRule } from "../domain/collect.ts";
import type { Events } from "./events.ts";
import type { Ports } from "./handed-ports.ts";
import type { Labeller } from "./labeller.ts";
import type { Ledger } from "./ledger.ts";
import type { Observations } from "./observations.ts";
import type { Serial } from "./serial.ts";

export interface Parts extends Ports {
  readonly ledger: Ledger;
  readonly labeller: Labeller;
  /** What happens, for the audit trail; what the ledger commits gets there by itself. */
  readonly events: Events;
  readonly observations: Observations;
  /** One thing at a time for each container, and for each incarnation whose directory moves. */
  readonly serial: Serial;
  /** When retained volumes are collected. */
  readonly gc: CollectRule;
}
