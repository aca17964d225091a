/** Every protocol, in the order in which they run. */
import type { Protocol } from "./protocol.ts";
import { simulation } from "./simulation.ts";

export const PROTOCOLS: readonly Protocol[] = [simulation];
