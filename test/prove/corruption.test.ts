import { corruption } from "./corruption.ts";
import { proveInTests } from "./in-tests.ts";

proveInTests(corruption);
