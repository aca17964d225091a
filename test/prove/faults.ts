/**
 * An error at every system call: strace answers calls of the daemon with an error, once or from then on. Every request
 * gets a definite answer in time, and nothing that was acknowledged is lost.
 */
import { existsSync } from "node:fs";
import { mayMount } from "../e2e/privileges.ts";
import { tryFaults } from "./faults/run.ts";
import type { Protocol } from "./protocol.ts";
import { STRACE } from "./traced-daemon.ts";

export const faults: Protocol = {
  name: "faults",
  title: "an error at every system call, once and from then on",
  unit: "faults",
  target: 3_000,
  share: 2,
  unavailable: () => {
    if (!mayMount) return "it needs root with CAP_SYS_ADMIN";
    return existsSync(STRACE) ? undefined : "strace is not installed";
  },
  run: tryFaults,
};
