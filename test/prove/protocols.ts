/** Every protocol, in the order in which they run. */
import { attackers } from "./attackers.ts";
import { corruption } from "./corruption.ts";
import { faults } from "./faults.ts";
import { fuzz } from "./fuzz.ts";
import { kills } from "./kills.ts";
import { model } from "./model.ts";
import { mountAdversary } from "./mount-adversary.ts";
import { mutants } from "./mutants.ts";
import { powerCuts } from "./power-cuts.ts";
import type { Protocol } from "./protocol.ts";
import { simulation } from "./simulation.ts";
import { soak } from "./soak.ts";
import { twoDaemons } from "./two-daemons.ts";

export const PROTOCOLS: readonly Protocol[] = [
  simulation,
  model,
  kills,
  faults,
  powerCuts,
  twoDaemons,
  soak,
  corruption,
  fuzz,
  attackers,
  mountAdversary,
  mutants,
];

/** What one of them gets of the time for all that are chosen, milliseconds. */
export function budgetOf(protocol: Protocol, chosen: readonly Protocol[], totalMs: number): number {
  return (totalMs * protocol.share) / chosen.reduce((sum, { share }) => sum + share, 0);
}
