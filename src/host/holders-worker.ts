/** The thread that looks for holders. Started by `holders.ts`. */
import { answerCalls } from "./call-thread.ts";
import { findDirectoryHolders } from "./directory-holders.ts";
import { findHeldMounts } from "./held-mounts.ts";
import { findHoldingProcesses } from "./holding-processes.ts";

/** Processes vanish all the time while we look; nobody reads where in our code that was noticed. */
Error.stackTraceLimit = 0;

export const HOLDERS_METHODS = {
  mounts: findHeldMounts,
  processes: findHoldingProcesses,
  ofDirectories: findDirectoryHolders,
};

answerCalls(HOLDERS_METHODS);
