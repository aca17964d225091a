/** A process that tries to take the work root in its first argument, says how that went, and keeps it. */
import { codeOf } from "../../src/domain/error.ts";
import { lockWorkRoot } from "../../src/host/lock.ts";
import { createMemoryLog } from "../auth/memory-log.ts";

try {
  await lockWorkRoot(process.argv[2] ?? "", { log: createMemoryLog() });
  process.stdout.write("owner\n");
  setInterval(() => {}, 1000);
} catch (error) {
  process.stdout.write(`${codeOf(error)}\n`);
}
