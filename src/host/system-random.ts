import { randomUUID } from "node:crypto";
import type { Random } from "../ports/random.ts";

/** Ids from the kernel's random numbers. */
export const systemRandom: Random = { uuid: () => randomUUID() };
