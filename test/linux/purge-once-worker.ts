/** Deletes `<first argument>/<second argument>`, with what powers this process has, and says as JSON what was thrown. */
import { openSync } from "node:fs";
import { HoldfastError } from "../../src/domain/error.ts";
import type { Incarnation } from "../../src/domain/units.ts";
import { purgeTree } from "../../src/host/purge-tree.ts";

const [, , path = "", uuid = ""] = process.argv;
const steps = purgeTree({ fd: openSync(path, "r"), path }, uuid as Incarnation);
try {
  while (steps.next().done !== true);
  process.stdout.write("{}");
} catch (error) {
  if (!(error instanceof HoldfastError)) throw error;
  process.stdout.write(JSON.stringify({ code: error.code, message: error.message }));
}
