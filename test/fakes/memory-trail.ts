/** An audit trail in memory: keeps everything, and can be told that its disk is full. */
import { type EventDraft, isWanted, type NodeEvent } from "../../src/domain/event.ts";
import type { EventRange, EventTrail } from "../../src/ports/event-trail.ts";

export class MemoryTrail implements EventTrail {
  readonly kept: NodeEvent[] = [];
  problem: string | undefined;
  #last = 0;

  get last(): number {
    return this.#last;
  }

  append(drafts: readonly EventDraft[]): readonly NodeEvent[] {
    const events = drafts.map((draft): NodeEvent => {
      this.#last += 1;
      return { seq: this.#last, ...draft };
    });
    if (this.problem === undefined) this.kept.push(...events);
    return events;
  }

  async read({ filter, admits, limit, after = 0, before = Number.POSITIVE_INFINITY }: EventRange) {
    const found = this.kept.filter(
      (event) => event.seq > after && event.seq < before && isWanted(event, filter) && admits(event),
    );
    return after > 0 ? found.slice(0, limit) : found.slice(-limit);
  }

  async close(): Promise<void> {}
}
