/** Runs `committer-worker.ts` in a process of its own and reads what it said. */
import { spawn } from "node:child_process";
import { once } from "node:events";

export interface Outcome {
  readonly lines: readonly string[];
  readonly acknowledged: readonly number[];
  readonly rejected: readonly number[];
  readonly status: number | null;
}

export interface CommitterOptions {
  readonly directory: string;
  readonly count: number;
  readonly kind?: "durable" | "soft";
  /** A program with its arguments that starts the process, like strace. */
  readonly under?: readonly string[];
  /** Kills it so many milliseconds after its first line. */
  readonly killAfterMs?: number;
}

export async function runCommitter({
  directory,
  count,
  kind = "durable",
  under = [],
  killAfterMs,
}: CommitterOptions): Promise<Outcome> {
  const script = `${import.meta.dirname}/committer-worker.ts`;
  const [program = "", ...arguments_] = [...under, process.execPath, script, directory, String(count), kind];
  const child = spawn(program, arguments_, { stdio: ["ignore", "pipe", "ignore"] });
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    if (killAfterMs !== undefined && output === "") setTimeout(() => child.kill("SIGKILL"), killAfterMs);
    output += text;
  });
  const [status] = (await once(child, "close")) as [number | null];
  const lines = output.split("\n").slice(0, -1);
  return { lines, acknowledged: numbers(lines, "acknowledged"), rejected: numbers(lines, "rejected"), status };
}

function numbers(lines: readonly string[], word: string): readonly number[] {
  return lines.filter((line) => line.startsWith(`${word} `)).map((line) => Number(line.split(" ")[1]));
}
