import { attackers } from "./attackers.ts";
import { proveInTests } from "./in-tests.ts";

proveInTests(attackers);
