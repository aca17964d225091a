/** Visits the namespace of a process with a way home that leads nowhere, and says so if it lives on. */
import { openSync } from "node:fs";
import { parentPort, workerData } from "node:worker_threads";
import { O, openat2Abroad } from "../../src/host/syscalls.ts";

const journey = {
  namespace: openSync(`/proc/${workerData}/ns/mnt`, "r"),
  home: { namespace: openSync("/proc/self/ns/user", "r"), root: -1, directory: -1 },
};
try {
  openat2Abroad(journey, "/", { flags: O.PATH });
} finally {
  parentPort?.postMessage("still here");
}
