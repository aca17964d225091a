/** Where a guest can be booted, and must be: what is missing there is a failure. Elsewhere its tests are left out. */
import { existsSync, readFileSync } from "node:fs";
import { mayMount } from "../e2e/privileges.ts";

/** Why there is no guest here. */
export const whyNoGuest: string | undefined = reason();

function reason(): string | undefined {
  if (process.arch !== "x64") return "needs x64";
  if (!isDebian()) return "needs Debian, for its kernel";
  if (!mayMount) return "needs root that can mount";
  return undefined;
}

function isDebian(): boolean {
  return existsSync("/etc/os-release") && /^ID=debian$/m.test(readFileSync("/etc/os-release", "utf8"));
}
