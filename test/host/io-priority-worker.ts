/** A thread of low I/O priority: says its id, and stays. */
import { readlinkSync } from "node:fs";
import { parentPort } from "node:worker_threads";
import { lowerIoPriority } from "../../src/host/syscalls.ts";

lowerIoPriority();
parentPort?.on("message", () => {});
parentPort?.postMessage(Number(readlinkSync("/proc/thread-self").split("/").at(-1)));
