/** A process that runs a shell script, says that it is through, and stays until it is stopped. */
import { spawn } from "node:child_process";
import { once } from "node:events";

export interface Resident {
  readonly pid: number;
  stop(): Promise<void>;
}

export interface ResidentOptions {
  /** In a mount namespace of its own, from which nothing spreads. */
  readonly ownNamespace?: boolean;
  readonly cwd?: string;
}

/** What the script prints is discarded; it must not fail. */
export async function startResident(script: string, options: ResidentOptions = {}): Promise<Resident> {
  const shell = ["sh", "-ec", `{ ${script}\n} >&2; echo ready; exec cat`];
  const [file = "", ...args] =
    options.ownNamespace === true ? ["unshare", "-m", "--propagation", "private", ...shell] : shell;
  // A group of its own: what the script left running is stopped with it.
  const child = spawn(file, args, { cwd: options.cwd, stdio: ["pipe", "pipe", "pipe"], detached: true });
  const errors: Buffer[] = [];
  child.stderr.on("data", (chunk: Buffer) => errors.push(chunk));
  const exit = once(child, "exit");
  const ready = once(child.stdout, "data").then(() => true);
  if (!(await Promise.race([ready, exit.then(() => false)]))) {
    throw new Error(`Cannot start a resident: ${Buffer.concat(errors).toString()}`);
  }
  const { pid } = child;
  if (pid === undefined) throw new Error("Cannot start a resident: it has no pid");
  return {
    pid,
    async stop() {
      if (child.exitCode === null && child.signalCode === null) process.kill(-pid, "SIGKILL");
      await exit;
    },
  };
}

/**
 * A script: short-lived processes, each in a new mount namespace with a file open that has no name any more.
 * @param directory where their files are made
 */
export function manyComeAndGo(directory: string): string {
  const life = `exec 3>"$0.$$"; rm "$0.$$"; exec sleep 0.02`;
  const one = `unshare -m --propagation private sh -c '${life}' "${directory}/gone"`;
  return `for lane in 1 2 3; do while :; do ${one} || exit; done & done`;
}
