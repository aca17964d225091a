import path from "node:path";
import { run } from "../../test/e2e/run.ts";

/** What rows need beside what every machine has: a program, and the packages of Debian that bring it. */
const NEEDED = {
  dockerd: { rows: ["create", "clients"], packages: ["docker.io"] },
  podman: { rows: ["podman"], packages: ["podman", "runc"] },
  gcc: { rows: ["calls"], packages: ["gcc", "libc6-dev"] },
} as const satisfies Record<string, { readonly rows: readonly string[]; readonly packages: readonly string[] }>;

/**
 * Makes sure that the programs are there which the rows need.
 * @throws when one is missing and must not be installed
 */
export async function needPrograms(rows: readonly string[], install: boolean): Promise<void> {
  for (const [program, needed] of Object.entries(NEEDED)) {
    if (!needed.rows.some((row) => rows.includes(row)) || (await answers(program))) continue;
    if (!install) throw new Error(`${program} is missing: install ${needed.packages[0]}, or let --install do it`);
    await run(path.join(import.meta.dirname, "../test-setup"), ...needed.packages);
  }
}

function answers(program: string): Promise<boolean> {
  return run(program, "--version").then(
    () => true,
    () => false,
  );
}
