import type { Moment } from "../domain/collect.ts";
import type { Clock } from "../ports/clock.ts";

/** This moment by every clock there is. */
export function momentNow({ clock }: { readonly clock: Clock }): Moment {
  return { now: clock.now(), bootId: clock.bootId(), bootTimeMs: clock.bootTimeMs() };
}
