import path from "node:path";
import { execa } from "execa";

export const HOLDFAST = path.resolve(import.meta.dirname, "../../scripts/holdfast");

/** How a command ended. */
export interface Outcome {
  readonly status: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

/** The daemon may start where it should not: then it is stopped. */
const END_MS_MAX = 10_000;

/** Runs `scripts/holdfast` to its end, however that is. */
export async function holdfast(...args: string[]): Promise<Outcome> {
  const { exitCode, stdout, stderr } = await execa(HOLDFAST, args, {
    stdin: "ignore",
    reject: false,
    timeout: END_MS_MAX,
  });
  return { status: exitCode, stdout, stderr };
}

/** Like `holdfast`, for callers that know that it must work; returns what it printed. */
export async function mustHoldfast(...args: string[]): Promise<string> {
  const { status, stdout, stderr } = await holdfast(...args);
  if (status !== 0) throw new Error(`holdfast ${args.join(" ")}: status ${status}: ${stderr}`);
  return stdout;
}
