import { proveInTests } from "./in-tests.ts";
import { kills } from "./kills.ts";

proveInTests(kills);
