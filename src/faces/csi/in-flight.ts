import { setTimeout as sleep } from "node:timers/promises";
import { CsiError } from "./status.ts";

/** Runs work on a key while no other work on it is under way. */
type Alone = <Result>(key: string, work: () => Promise<Result>) => Promise<Result>;

export interface Turns {
  /** Whoever comes while work on the key is under way, whether its caller still waits or not, is ABORTED: to come again. */
  readonly alone: Alone;
  /** As `alone`, but for its turn one waits a while: Nomad gives a task up whose publishing is ABORTED. */
  readonly inTurn: Alone;
}

const PATIENCE_MS = 1_000;

export function takeTurns(): Turns {
  const running = new Map<string, Promise<unknown>>();
  const alone: Alone = async (key, work) => {
    if (running.has(key)) {
      throw new CsiError("ABORTED", `Cannot begin with ${key}: another call for it is under way, repeat this one`);
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    running.set(key, promise);
    try {
      return await work();
    } finally {
      running.delete(key);
      resolve();
    }
  };
  const inTurn: Alone = async (key, work) => {
    const deadline = performance.now() + PATIENCE_MS;
    for (let before = running.get(key); before !== undefined; before = running.get(key)) {
      const leftMs = deadline - performance.now();
      if (leftMs <= 0) break;
      await endOrTimeout(before, leftMs);
    }
    return alone(key, work);
  };
  return { alone, inTurn };
}

async function endOrTimeout(work: Promise<unknown>, ms: number): Promise<void> {
  const over = new AbortController();
  const timeout = sleep(ms, undefined, { signal: over.signal }).catch(() => undefined);
  await Promise.race([work, timeout]);
  over.abort();
}
