import { CsiError } from "./status.ts";

/** Lets one piece of work on a key run at a time; whoever comes meanwhile is told to come again. */
export type Alone = <Result>(key: string, work: () => Promise<Result>) => Promise<Result>;

/** @returns what throws ABORTED while work on the same key is under way, whether its caller still waits for it or not */
export function oneAtATime(): Alone {
  const running = new Set<string>();
  return async (key, work) => {
    if (running.has(key)) {
      throw new CsiError("ABORTED", `Cannot begin with ${key}: another call for it is under way, repeat this one`);
    }
    running.add(key);
    try {
      return await work();
    } finally {
      running.delete(key);
    }
  };
}
