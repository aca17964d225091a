import { readlinkSync } from "node:fs";
import { parentPort } from "node:worker_threads";
import { CLONE, unshare } from "../../src/host/syscalls.ts";

unshare(CLONE.NEWNS);
parentPort?.postMessage(readlinkSync("/proc/thread-self/ns/mnt"));
