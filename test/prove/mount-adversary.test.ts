import { proveInTests } from "./in-tests.ts";
import { mountAdversary } from "./mount-adversary.ts";

proveInTests(mountAdversary);
