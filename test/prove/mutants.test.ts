import { proveInTests } from "./in-tests.ts";
import { mutants } from "./mutants.ts";

proveInTests(mutants);
