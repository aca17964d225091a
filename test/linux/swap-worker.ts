/** A container that races an attach: swaps the place of the mount with a symlink to a canary, as fast as it can. */
import { workerData } from "node:worker_threads";
import {
  AT,
  CLONE,
  MS,
  mount,
  O,
  openat2,
  RENAME,
  renameat2,
  symlinkat,
  unlinkat,
  unshare,
} from "../../src/host/syscalls.ts";
import { STOP, SWAPS, type SwapOrder } from "./swap-order.ts";

const { sandbox, canary, how, ownNamespace, shared } = workerData as SwapOrder;
if (ownNamespace) {
  unshare(CLONE.NEWNS);
  mount(null, "/", null, MS.REC | MS.PRIVATE);
}
const directory = openat2(AT.FDCWD, sandbox, { flags: O.PATH | O.DIRECTORY });
while (Atomics.load(shared, STOP) === 0) {
  try {
    if (how === "exchange") renameat2(directory, "data", directory, "other", RENAME.EXCHANGE);
    else plantAndRemove();
    Atomics.add(shared, SWAPS, 1);
  } catch {
    // It lost this race.
  }
}

function plantAndRemove(): void {
  symlinkat(canary, directory, "data");
  unlinkat(directory, "data", 0);
}
