import { proveInTests } from "./in-tests.ts";
import { powerCuts } from "./power-cuts.ts";

proveInTests(powerCuts);
