/** Waiting for an answer, but not for ever. */
import type { Clock } from "../ports/clock.ts";

/** Whether work has ended within so much time; it goes on either way. @throws what it throws until then */
export function endsSoon(clock: Clock, withinMs: number, work: Promise<unknown>): Promise<boolean> {
  const { promise, resolve, reject } = Promise.withResolvers<boolean>();
  const cancel = clock.after(withinMs, () => resolve(false));
  work.then(() => resolve(true), reject).finally(cancel);
  return promise;
}
