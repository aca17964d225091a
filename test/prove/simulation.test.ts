import { proveInTests } from "./in-tests.ts";
import { simulation } from "./simulation.ts";

proveInTests(simulation);
