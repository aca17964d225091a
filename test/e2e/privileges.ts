import { readFileSync } from "node:fs";
import type { User } from "./place.ts";
import type { CommandLine } from "./program.ts";

const CAP_SYS_ADMIN = 1n << 21n;

/** `nobody`: a user that every system knows and that owns nothing. */
export const NOBODY: User = { uid: 65534, gid: 65534 };

export const isRoot = process.getuid?.() === 0;

/** Root that can mount. In most containers root cannot. */
export const mayMount = isRoot && (effectiveCapabilities() & CAP_SYS_ADMIN) !== 0n;

/** Puts a command line under another user; only root can. */
export function underUser(user: User, commandLine: readonly string[]): CommandLine {
  return ["setpriv", `--reuid=${user.uid}`, `--regid=${user.gid}`, "--clear-groups", "--", ...commandLine];
}

function effectiveCapabilities(): bigint {
  const mask = /^CapEff:\s*(\w+)/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
  return BigInt(`0x${mask ?? "0"}`);
}
