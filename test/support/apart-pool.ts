/**
 * Test files beside each other, each process of them in a mount namespace of its own: a namespace that one test makes and
 * keeps has copies of all mounts there are, and a volume of another test that is among them would be in use.
 */
import os from "node:os";
import { ForksPoolWorker, type PoolOptions, type PoolRunnerInitializer } from "vitest/node";
import { mayMount } from "../e2e/privileges.ts";

/** Most of a test's time is spent waiting for others to start and to end. */
const WORKERS = os.availableParallelism();

/** What a project sets; without the right to mount there is one worker, and nothing to keep apart. */
export const apart = mayMount ? { pool: apartPool(), maxWorkers: WORKERS } : ({ pool: "forks" } as const);

function apartPool(): PoolRunnerInitializer {
  return { name: "apart", createPoolWorker: (options) => new ApartWorker(options) };
}

class ApartWorker extends ForksPoolWorker {
  override readonly name = "apart";

  constructor(options: PoolOptions) {
    super({ ...options, env: { ...options.env, HOLDFAST_TEST_NODE: process.execPath } });
  }

  /** The worker is forked before this returns, by the path that this process takes for its own. */
  override start(): Promise<void> {
    const { execPath } = process;
    process.execPath = `${import.meta.dirname}/apart-node`;
    try {
      return super.start();
    } finally {
      process.execPath = execPath;
    }
  }
}
