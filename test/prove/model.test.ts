import { proveInTests } from "./in-tests.ts";
import { model } from "./model.ts";

proveInTests(model);
