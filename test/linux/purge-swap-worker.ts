/**
 * A process of a container that races deletions, as uid 1000: swaps `data` and `link` in the directories that are named
 * on its standard input, as fast as it can. Says how often it won, one line for each directory.
 */
import { closeSync } from "node:fs";
import { createInterface } from "node:readline";
import { AT, isErrno, O, openat2, RENAME, renameat2 } from "../../src/host/syscalls.ts";

const UID = 1000;
const LONGEST_RACE_MS = 2_000;

process.setgid?.(UID);
process.setuid?.(UID);
process.stdout.write("ready\n");
for await (const directory of createInterface({ input: process.stdin })) {
  process.stdout.write(`${race(directory)}\n`);
}

function race(directory: string): number {
  const fd = openat2(AT.FDCWD, directory, { flags: O.PATH | O.DIRECTORY });
  process.stdout.write("racing\n");
  const endMs = performance.now() + LONGEST_RACE_MS;
  let won = 0;
  while (performance.now() < endMs) {
    try {
      renameat2(fd, "data", fd, "link", RENAME.EXCHANGE);
      won += 1;
    } catch (error) {
      // One of them is gone: the deletion has come by.
      if (isErrno(error, "ENOENT")) break;
    }
  }
  closeSync(fd);
  return won;
}
