import path from "node:path";
import { run } from "../../test/e2e/run.ts";
import type { Measured } from "./client-worker.ts";

/** Compiles the program that makes system calls and nothing else; `dir` takes it. */
export async function compileCalls(dir: string): Promise<string> {
  const program = path.join(dir, "calls");
  await run("gcc", "-O2", "-o", program, path.join(import.meta.dirname, "calls.c"));
  return program;
}

/** Runs it: its arguments are explained in `calls.c`. */
export async function runCalls(program: string, ...args: readonly string[]): Promise<Measured> {
  const latenciesMs = Float64Array.from((await run(program, ...args)).split("\n"), (line) => Number(line) / 1e6);
  return { latenciesMs, elapsedMs: latenciesMs.reduce((sum, latency) => sum + latency, 0) };
}
