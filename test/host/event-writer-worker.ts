/** A process that appends events to the trail in its first argument as fast as it can, and prints each number it got. */
import { writeSync } from "node:fs";
import type { BootId, WallMs } from "../../src/domain/units.ts";
import { openEventTrail } from "../../src/host/event-trail.ts";

const now = () => Date.now() as WallMs;
const log = { debug() {}, info() {}, warn() {}, error() {} };
const bytesMax = 16 * 1024 * 1024;
const trail = openEventTrail({ directory: process.argv[2] ?? "", bytesMax, bootId: "boot" as BootId, now, log });
for (;;) {
  for (const { seq } of trail.append([{ at: now(), type: "created", by: "ops" }])) writeSync(1, `${seq}\n`);
}
