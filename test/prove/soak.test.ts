import { proveInTests } from "./in-tests.ts";
import { soak } from "./soak.ts";

proveInTests(soak);
