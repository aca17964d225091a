/**
 * An unprivileged process that exchanges names in directories of its own, as fast as it can: uid 1000. A line on its
 * standard input says which, from then on; it answers with how often it has won since the line before.
 */
import { closeSync } from "node:fs";
import { createInterface } from "node:readline";
import { AT, O, openat2, RENAME, renameat2 } from "../../src/host/syscalls.ts";
import type { Exchange } from "./exchanger.ts";

const UID = 1000;
const BURST = 100;

interface Held {
  readonly fd: number;
  readonly names: readonly [string, string];
}

let held: readonly Held[] = [];
let won = 0;

process.setgroups?.([]);
process.setgid?.(UID);
process.setuid?.(UID);
createInterface({ input: process.stdin })
  .on("line", (line) => {
    for (const { fd } of held) closeSync(fd);
    held = (JSON.parse(line) as readonly Exchange[]).map(({ directory, names }) => ({
      fd: openat2(AT.FDCWD, directory, { flags: O.PATH | O.DIRECTORY }),
      names,
    }));
    process.stdout.write(`${won}\n`);
    won = 0;
  })
  .on("close", () => process.exit());
process.stdout.write("ready\n");
race();

/** In bursts, so that it listens in between. */
function race(): void {
  for (let attempt = 0; attempt < BURST; attempt += 1) {
    for (const { fd, names } of held) exchange(fd, names);
  }
  if (held.length > 0) setImmediate(race);
  else setTimeout(race, 1);
}

function exchange(fd: number, [one, other]: Held["names"]): void {
  try {
    renameat2(fd, one, fd, other, RENAME.EXCHANGE);
    won += 1;
  } catch {
    // It lost this race, or one of them is gone.
  }
}
