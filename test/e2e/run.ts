import { execa } from "execa";

/** Runs a program of the system to its end and returns what it printed; failing throws with what it said. */
export async function run(program: string, ...args: string[]): Promise<string> {
  const { stdout } = await execa(program, args, { stdin: "ignore" });
  return stdout;
}
