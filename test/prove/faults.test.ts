import { faults } from "./faults.ts";
import { proveInTests } from "./in-tests.ts";

proveInTests(faults);
