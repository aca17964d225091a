/** What a worker process says to whoever watches it: one line of JSON at a time, all of it before it goes on. */
import { writeSync } from "node:fs";

const STDOUT = 1;
const MOMENT = new Int32Array(new SharedArrayBuffer(4));

export function tell(line: object): void {
  const bytes = Buffer.from(`${JSON.stringify(line)}\n`);
  for (let written = 0; written < bytes.length; ) written += writeSome(bytes.subarray(written));
}

/** A pipe that is full takes nothing until somebody has read. */
function writeSome(bytes: Buffer): number {
  try {
    return writeSync(STDOUT, bytes);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EAGAIN")) throw error;
    Atomics.wait(MOMENT, 0, 0, 1);
    return 0;
  }
}
