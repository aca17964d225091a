import { proveInTests } from "./in-tests.ts";
import { twoDaemons } from "./two-daemons.ts";

proveInTests(twoDaemons);
