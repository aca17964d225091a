/**
 * The engine's side of the audit trail: gives committed changes and other happenings to it, and answers whoever asks for
 * them or follows them. Who follows reads at his own pace: from memory when he is close behind, else from the trail.
 */
import type { Acls } from "../domain/acl.ts";
import { mayView } from "../domain/authorise.ts";
import { DAEMON_ITSELF, type EventDraft, type EventFacts, isWanted, type NodeEvent } from "../domain/event.ts";
import type { Actor } from "../domain/operation.ts";
import type { Clock } from "../ports/clock.ts";
import type { EventTrail } from "../ports/event-trail.ts";
import type { Log } from "../ports/log.ts";
import type { EventListener, EventPage, EventsQuery } from "./engine.ts";
import type { CommitKind } from "./ledger.ts";

const LIMIT_DEFAULT = 100;
const LIMIT_MAX = 1_000;
/** Newest events in memory: who is no further behind costs no look at the disk. */
const RECENT_MAX = 1_000;
const MESSAGE_CHARACTERS_MAX = 2_000;

export interface EventsOptions {
  readonly trail: EventTrail;
  readonly clock: Clock;
  readonly acls: () => Acls;
  readonly log: Log;
}

export class Events {
  readonly #options: EventsOptions;
  #recent: NodeEvent[] = [];
  readonly #followers = new Set<() => void>();
  #isStopped = false;

  constructor(options: EventsOptions) {
    this.#options = options;
  }

  /** Why events are not kept, for the status. */
  get problem(): string | undefined {
    return this.#options.trail.problem;
  }

  /** What the ledger has committed just now. */
  readonly committed = (facts: readonly EventFacts[], { by = DAEMON_ITSELF, because }: CommitKind): void => {
    const at = this.#options.clock.now();
    this.#append(facts.map((fact) => ({ ...fact, ...reasoned(fact.message, because), at, by })));
  };

  /** What is no change of a record. */
  note(facts: EventFacts, by: string = DAEMON_ITSELF): void {
    this.#append([{ ...facts, ...reasoned(facts.message, undefined), at: this.#options.clock.now(), by }]);
  }

  /** As `Engine.events`. */
  async page(actor: Actor, query: EventsQuery): Promise<EventPage> {
    const { after, before, limit = LIMIT_DEFAULT, ...filter } = query;
    const { trail } = this.#options;
    const { last } = trail;
    const admits = (event: NodeEvent) => event.seq <= last && this.#mayView(actor, event);
    const range = { ...(after === undefined ? {} : { after }), ...(before === undefined ? {} : { before }) };
    const events = await trail.read({ filter, admits, limit: Math.min(limit, LIMIT_MAX), ...range });
    return { events, last };
  }

  /** As `Engine.follow`. */
  follow(actor: Actor, query: EventsQuery, listener: EventListener, onEnd?: () => void): () => void {
    const { after, before: _before, limit: _limit, ...filter } = query;
    let isOver = this.#isStopped;
    let wake: (() => void) | undefined;
    const nudge = (): void => wake?.();
    const end = (): void => {
      isOver = true;
      this.#followers.delete(nudge);
      nudge();
    };
    const admits = (event: NodeEvent) => isWanted(event, filter) && this.#mayView(actor, event);
    const run = async (): Promise<void> => {
      // A number that was never given is of a trail that is gone.
      let position = Math.min(after ?? Number.POSITIVE_INFINITY, this.#options.trail.last);
      while (!isOver && !this.#isStopped) {
        const { events, upTo } = await this.#behind(position, { filter, admits });
        for (const event of events) {
          if (isOver) return;
          await listener(event);
        }
        position = Math.max(position, upTo);
        if (position < this.#options.trail.last || isOver || this.#isStopped) continue;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    };
    this.#followers.add(nudge);
    run()
      .catch((error: unknown) => this.#options.log.warn({ error }, "Cannot go on telling somebody what happens"))
      .finally(() => {
        end();
        onEnd?.();
      });
    return end;
  }

  /** Nobody is told any more. */
  stop(): void {
    this.#isStopped = true;
    for (const nudge of this.#followers) nudge();
  }

  #append(drafts: readonly EventDraft[]): void {
    const events = this.#options.trail.append(drafts);
    this.#recent.push(...events);
    if (this.#recent.length >= 2 * RECENT_MAX) this.#recent = this.#recent.slice(-RECENT_MAX);
    for (const nudge of this.#followers) nudge();
  }

  /** What there is behind a number, and up to where that is all. */
  async #behind(
    position: number,
    wanted: Pick<Parameters<EventTrail["read"]>[0], "filter" | "admits">,
  ): Promise<{ readonly events: readonly NodeEvent[]; readonly upTo: number }> {
    const { trail } = this.#options;
    const { last } = trail;
    if (position >= last) return { events: [], upTo: position };
    const oldest = this.#recent[0]?.seq ?? Number.POSITIVE_INFINITY;
    if (oldest <= position + 1) {
      // From the end, because who follows is close behind.
      let start = this.#recent.length;
      while ((this.#recent[start - 1]?.seq ?? 0) > position) start -= 1;
      return { events: this.#recent.slice(start).filter(wanted.admits), upTo: last };
    }
    const events = await trail.read({ ...wanted, after: position, limit: LIMIT_MAX });
    // What is full may go on behind its last one; what is not had everything that was there when it was asked.
    return {
      events,
      upTo: events.length < LIMIT_MAX ? Math.max(last, events.at(-1)?.seq ?? 0) : (events.at(-1)?.seq ?? last),
    };
  }

  #mayView(actor: Actor, event: NodeEvent): boolean {
    return mayView(this.#options.acls(), actor, event.role);
  }
}

/** Why stands behind what. */
function reasoned(message: string | undefined, because: string | undefined): Pick<EventFacts, "message"> {
  const parts = [message, because].filter((part) => part !== undefined);
  return parts.length === 0 ? {} : { message: parts.join(": ").slice(0, MESSAGE_CHARACTERS_MAX) };
}
