/** Every protocol, in the order in which they run. */
import { attackers } from "./attackers.ts";
import { corruption } from "./corruption.ts";
import { faults } from "./faults.ts";
import { fuzz } from "./fuzz.ts";
import { kills } from "./kills.ts";
import { model } from "./model.ts";
import { mountAdversary } from "./mount-adversary.ts";
import { mutants } from "./mutants.ts";
import type { Protocol } from "./protocol.ts";
import { simulation } from "./simulation.ts";
import { soak } from "./soak.ts";
import { twoDaemons } from "./two-daemons.ts";

export const PROTOCOLS: readonly Protocol[] = [
  simulation,
  model,
  kills,
  faults,
  twoDaemons,
  soak,
  corruption,
  fuzz,
  attackers,
  mountAdversary,
  mutants,
];
