/** Starts an unprivileged process that exchanges names, and tells it which. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";

/** Two names in one directory that change places: usually a directory and a symlink to somewhere else. */
export interface Exchange {
  /** Absolute path; opened once, so that it may move. */
  readonly directory: string;
  readonly names: readonly [string, string];
}

export interface Exchanger {
  /** From when this resolves, exchanges these and no others. Returns how often it won since it was told last. */
  race(exchanges: readonly Exchange[]): Promise<number>;
  stop(): Promise<void>;
}

/** The user that it runs as. */
export const ATTACKER = { uid: 1000, gid: 1000 } as const;

/** @param options `ownNamespace`: in a mount namespace of its own, where mountpoints of ours may be exchanged too */
export async function startExchanger(options: { readonly ownNamespace?: boolean } = {}): Promise<Exchanger> {
  const worker = [process.execPath, join(import.meta.dirname, "exchanger-worker.ts")];
  const namespace = options.ownNamespace === true ? ["unshare", "-m", "--propagation", "private"] : [];
  const [program = "", ...args] = [...namespace, ...worker];
  const child = spawn(program, args, { stdio: ["pipe", "pipe", "inherit"] });
  const ended = once(child, "exit");
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async (): Promise<string> => {
    const { value, done } = await lines.next();
    if (done === true) throw new Error("The exchanging process ended");
    return value;
  };
  await next();
  return {
    async race(exchanges) {
      child.stdin.write(`${JSON.stringify(exchanges)}\n`);
      return Number(await next());
    },
    async stop() {
      child.kill("SIGKILL");
      await ended;
    },
  };
}
