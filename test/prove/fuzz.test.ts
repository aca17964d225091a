import { fuzz } from "./fuzz.ts";
import { proveInTests } from "./in-tests.ts";

proveInTests(fuzz);
