/** The audit trail: what happened on the node, kept over restarts, up to a bound. */
import type { EventDraft, EventFilter, NodeEvent } from "../domain/event.ts";

export interface EventTrail {
  /** The number of the newest event; 0 when there never was one. */
  readonly last: number;
  /** Why events are not being kept, or what of them is lost; `undefined` when all is well. */
  readonly problem: string | undefined;
  /**
   * Keeps the events and gives them their numbers. When it returns they survive the daemon's death, and a second later
   * the machine's. Never throws: what cannot be kept is counted, and an `events-lost` says so as soon as it can.
   * @returns what was given, and perhaps an `events-lost` in front of it
   */
  append(drafts: readonly EventDraft[]): readonly NodeEvent[];
  /**
   * Events that are kept, oldest first: the newest ones below `before`, or with `after` the first ones behind it. What is
   * damaged is left out.
   */
  read(range: EventRange): Promise<readonly NodeEvent[]>;
  /** Syncs what is kept. Nothing is appended any more. */
  close(): Promise<void>;
}

export interface EventRange {
  readonly filter: EventFilter;
  /** Whether an event that is wanted may be seen. */
  readonly admits: (event: NodeEvent) => boolean;
  readonly limit: number;
  /** Only events with a greater number, first ones first. */
  readonly after?: number;
  /** Only events with a lower number. */
  readonly before?: number;
}
