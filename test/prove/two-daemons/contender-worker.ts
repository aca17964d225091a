/** A process that takes and releases a work root with the daemon's own lock, as it is told by lines; answers in JSON. */
import { createInterface } from "node:readline";
import { codeOf, messageOf } from "../../../src/domain/error.ts";
import { lockWorkRoot, type WorkRootLock } from "../../../src/host/lock.ts";
import { createMemoryLog } from "../../auth/memory-log.ts";

let held: WorkRootLock | undefined;

async function obey(line: string): Promise<object> {
  if (line === "release") {
    held?.release();
    held = undefined;
    return { released: true };
  }
  try {
    held = await lockWorkRoot(line, { log: createMemoryLog() });
    return { owner: true };
  } catch (error) {
    return { code: codeOf(error), message: messageOf(error) };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(await obey(line))}\n`);
}
