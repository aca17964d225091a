/** One framework: who it is, whether it is connected, and what is out of its offers, filters and operations. */
import type { HoldfastError } from "../../domain/error.ts";
import { type Holding, hold } from "../../domain/offer.ts";
import { type Actor, actorName } from "../../domain/operation.ts";
import { show } from "../../domain/refusal.ts";
import type { DiskResource } from "../../domain/resource.ts";
import type { Clock } from "../../ports/clock.ts";
import type { EventStream } from "./event-stream.ts";
import { type AgentIdentity, type Offer, operationStatusEvent, rescindEvent } from "./events.ts";
import { Feedback } from "./feedback.ts";
import type { FrameworkInfo } from "./framework-info.ts";
import type { Outcomes } from "./outcomes.ts";

/** Each is looked at whenever disk is to be offered; without the oldest ones, more is offered. */
const FILTERS_MAX = 100;
/** How often it is looked whether a client has read more. */
const READ_CHECK_MS = 100;

/** Disk that is not wanted for a while. */
interface Filter {
  readonly role: string;
  readonly refused: Holding;
  cancel: () => void;
}

export interface FrameworkOptions {
  readonly id: string;
  readonly info: FrameworkInfo;
  readonly actor: Actor;
  readonly outcomes: Outcomes;
  readonly agent: AgentIdentity;
  readonly clock: Clock;
  readonly uuid: () => string;
}

export class Framework {
  readonly id: string;
  readonly agent: AgentIdentity;
  /** Who subscribed, and nobody else may speak for it. */
  readonly actor: Actor;
  readonly outcomes: Outcomes;
  readonly feedback: Feedback;
  info: FrameworkInfo;
  stream: EventStream | undefined;
  /** Why who subscribed would not be let in any more, as such a framework. */
  refusal: (info: FrameworkInfo) => HoldfastError | undefined = () => undefined;
  /** Roles that want no offers for now. */
  suppressed: ReadonlySet<string> = new Set();
  /** That are out, by id, the oldest first. */
  readonly offers = new Map<string, Offer>();
  /** Resolves when the lists of operations that were accepted so far are done. */
  turn: Promise<void> = Promise.resolve();
  /** Operations that are being performed, by id, and how many lists. */
  readonly performing = new Set<string>();
  listsPerforming = 0;
  /** Grows when a list begins or ends: what was looked at before may be stale. */
  epoch = 0;
  readonly #clock: Clock;
  readonly #filters = new Set<Filter>();

  constructor({ id, info, actor, outcomes, agent, clock, uuid }: FrameworkOptions) {
    this.id = id;
    this.info = info;
    this.actor = actor;
    this.outcomes = outcomes;
    this.agent = agent;
    this.#clock = clock;
    const send = (status: Parameters<typeof operationStatusEvent>[0]) => {
      if (this.stream?.isBusy === true) return false;
      this.send(operationStatusEvent(status, this.info, agent));
      return true;
    };
    this.feedback = new Feedback({ clock, uuid, send });
  }

  /** For people: `"Marathon" (1b4e...-0001)`. */
  get title(): string {
    const state = this.stream === undefined ? ", disconnected" : "";
    return `${show(this.info.name)} (${this.id}${state})`;
  }

  /** Whether somebody is this framework's own principal. */
  isOwnedBy(actor: Actor): boolean {
    return actor.kind === this.actor.kind && actorName(actor) === actorName(this.actor);
  }

  send(event: object): void {
    this.stream?.send(event);
  }

  /** Resolves when the client has read so much that more may be said, or is gone. */
  async room(): Promise<void> {
    while (this.stream?.isBusy === true) {
      await new Promise<void>((resolve) => void this.#clock.after(READ_CHECK_MS, resolve));
    }
  }

  /** The connection is another one now, or none: offers and filters were the old one's. */
  connect(stream: EventStream | undefined): void {
    this.stream = stream;
    this.offers.clear();
    for (const filter of this.#filters) this.#drop(filter);
    this.epoch += 1;
  }

  /** @param uuid of the status that it knows now */
  acknowledge(operationId: string, uuid: string): void {
    if (this.feedback.acknowledge(operationId, uuid)) this.outcomes.acknowledge(operationId);
  }

  /** @param role whose offers it was in */
  refuse(role: string, resources: readonly DiskResource[], durationMs: number, expired: () => void): void {
    if (durationMs === 0 || resources.length === 0 || this.stream === undefined) return;
    const filter: Filter = { role, refused: hold(resources), cancel: () => {} };
    filter.cancel = this.#clock.after(durationMs, () => {
      this.#filters.delete(filter);
      expired();
    });
    this.#filters.add(filter);
    for (const oldest of this.#filters) {
      if (this.#filters.size <= FILTERS_MAX) break;
      this.#drop(oldest);
    }
  }

  refusedBy(role: string): readonly Holding[] {
    return [...this.#filters].filter((filter) => filter.role === role).map(({ refused }) => refused);
  }

  /** Wants offers again, of everything. @param roles none: all of its roles */
  revive(roles: readonly string[]): void {
    const revived = roles.length === 0 ? this.info.roles : roles;
    this.suppressed = new Set([...this.suppressed].filter((role) => !revived.includes(role)));
    for (const filter of this.#filters) if (revived.includes(filter.role)) this.#drop(filter);
  }

  /** Wants no offers until it is revived. @param roles none: all of its roles */
  suppress(roles: readonly string[]): void {
    const suppressed = roles.length === 0 ? this.info.roles : roles;
    this.suppressed = new Set([...this.suppressed, ...suppressed.filter((role) => this.info.roles.includes(role))]);
  }

  /** It is in these roles from now on, and understands other things. */
  update(info: FrameworkInfo, suppressedRoles: readonly string[]): void {
    this.info = info;
    this.suppressed = new Set(suppressedRoles.filter((role) => info.roles.includes(role)));
    for (const { id, role } of this.offers.values()) if (!info.roles.includes(role)) this.rescind(id);
  }

  offersOf(role: string): readonly Offer[] {
    return [...this.offers.values()].filter((offer) => offer.role === role);
  }

  rescind(offerId: string): void {
    if (this.offers.delete(offerId)) this.send(rescindEvent(offerId));
  }

  /** It is gone for good. */
  stop(): void {
    this.connect(undefined);
    this.feedback.stop();
  }

  #drop(filter: Filter): void {
    filter.cancel();
    this.#filters.delete(filter);
  }
}
