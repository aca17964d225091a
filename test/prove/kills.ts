/**
 * kill -9 at every system call: the daemon is stopped by strace right before a call that changes or looks at the world,
 * in the middle of an operation or of its start; the next start has to bring everything together.
 */
import { existsSync } from "node:fs";
import { mayMount } from "../e2e/privileges.ts";
import { tryKills } from "./kills/run.ts";
import type { Protocol } from "./protocol.ts";
import { STRACE } from "./traced-daemon.ts";

export const kills: Protocol = {
  name: "kills",
  title: "kill -9 at every system call of every operation and of the start",
  unit: "kill points",
  target: 900,
  share: 2,
  unavailable: () => {
    if (!mayMount) return "it needs root with CAP_SYS_ADMIN";
    return existsSync(STRACE) ? undefined : "strace is not installed";
  },
  run: tryKills,
};
