/** Runs expensive tasks few at a time, in order, and refuses to let a crowd wait. */
import { HoldfastError } from "../domain/error.ts";

export interface Limits {
  readonly running: number;
  readonly waiting: number;
}

/** @throws `unavailable`, from the returned function, when too many wait already */
export function createLimiter({ running, waiting }: Limits): <T>(task: () => Promise<T>) => Promise<T> {
  const queue: (() => void)[] = [];
  let active = 0;

  return async (task) => {
    if (active < running) active += 1;
    else if (queue.length < waiting) await new Promise<void>((start) => queue.push(start));
    else throw new HoldfastError("unavailable", "Cannot check credentials: too many logins at once, try again");
    try {
      return await task();
    } finally {
      // A waiting task takes over the place, which stays counted.
      const next = queue.shift();
      if (next === undefined) active -= 1;
      else next();
    }
  };
}
