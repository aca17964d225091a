/** Runs code in a Node of its own, which lacks something. */
import { execFileSync } from "node:child_process";

export interface OtherNode {
  /** What it runs under: `setpriv`, `prlimit`. */
  readonly under: readonly string[];
  /** Statements of a module; modules of the repository are imported by `from`. */
  readonly code: string;
}

/** Returns what it writes to its standard output, as JSON. */
export function runOtherNode({ under: [file = "", ...args], code }: OtherNode): unknown {
  const node = [process.execPath, "--input-type=module", "-e", code];
  return JSON.parse(execFileSync(file, [...args, ...node], { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] }));
}

/** The specifier of a module of the repository, as a literal. */
export function from(path: string): string {
  return JSON.stringify(new URL(`../../${path}`, import.meta.url).href);
}
