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

interface CallOptions {
  readonly timeout: number;
  /** Besides the environment of the tests. */
  readonly env?: Readonly<Record<string, string>>;
}

/** Runs a program to its end, however that is. */
export async function runToEnd(program: string, args: readonly string[], options: CallOptions): Promise<Outcome> {
  const { exitCode, stdout, stderr } = await execa(program, args, { stdin: "ignore", reject: false, ...options });
  return { status: exitCode, stdout, stderr };
}

/** What a command printed that must have worked; `command` is for the message. */
export function printedBy(command: string, { status, stdout, stderr }: Outcome): string {
  if (status !== 0) throw new Error(`${command}: status ${status}: ${stderr}`);
  return stdout;
}

/** Runs `scripts/holdfast` to its end, however that is. */
export function holdfast(...args: string[]): Promise<Outcome> {
  return runToEnd(HOLDFAST, args, { timeout: END_MS_MAX });
}

/** Like `holdfast`, for callers that know that it must work; returns what it printed. */
export async function mustHoldfast(...args: string[]): Promise<string> {
  return printedBy(`holdfast ${args.join(" ")}`, await holdfast(...args));
}
