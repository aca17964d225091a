/** The mount thread, started by `mount-thread.ts`. */
import { workerData } from "node:worker_threads";
import { BIND_METHODS } from "./bind-mounter.ts";
import { answerCalls } from "./call-thread.ts";
import type { MountThreadMethods } from "./mount-thread.ts";
import { SYMLINK_METHODS } from "./symlink-mounter.ts";

const methods: MountThreadMethods = {
  ...(workerData === "bind" ? BIND_METHODS : SYMLINK_METHODS),
  ready: () => {},
};
answerCalls(methods);
