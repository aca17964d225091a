/**
 * Who is offered what: looks at the node's disk whenever it changed or somebody wants to know, takes back the offers of
 * which something is gone, and offers what is new. Each role of a framework has offers of its own.
 *
 * One look serves everything that happened since the last one, and looks take a small part of the time however much
 * there is to look at.
 */
import { offerableTo, planOffers } from "../../domain/offer.ts";
import type { Actor } from "../../domain/operation.ts";
import type { DiskResource } from "../../domain/resource.ts";
import type { Engine } from "../../engine/engine.ts";
import type { Clock } from "../../ports/clock.ts";
import type { Log } from "../../ports/log.ts";
import { type Offer, offersEvent } from "./events.ts";
import type { Framework } from "./framework.ts";

/** Who may subscribe in a role may be offered what belongs to it, whatever else it may view. */
const SELF: Actor = Object.freeze({ kind: "peer", uid: 0 });

/** Who missed that something changed, finds it so much later. */
const INTERVAL_MS = 15_000;
/** What is more comes in further offers: of thousands of volumes not all are rescinded because one is gone. */
const OFFER_RESOURCES_MAX = 1_000;
const PAUSE_MS_MIN = 20;
const PAUSE_MS_MAX = 5_000;
const RETRY_MS = 1_000;
/** So many volumes and pools, looked at for one role each, make the pause a millisecond longer. */
const RESOURCES_PER_MS = 50;

export interface OfferingOptions {
  readonly engine: Pick<Engine, "resources">;
  readonly clock: Clock;
  readonly log: Log;
  /** Those that are there now. */
  readonly frameworks: () => Iterable<Framework>;
  readonly nextOfferId: () => string;
}

/** What offers were taken together, and for which role. */
export interface TakenOffers {
  readonly role: string;
  readonly resources: readonly DiskResource[];
}

export class Offering {
  readonly #options: OfferingOptions;
  #cancelLook: () => void = () => {};
  #isLooking = false;
  #isWanted = false;
  #isStopped = false;
  /** By boot time, milliseconds. */
  #notBeforeMs = 0;

  constructor(options: OfferingOptions) {
    this.#options = options;
  }

  /** Something changed: looks soon. */
  soon(): void {
    if (this.#isWanted) return;
    this.#isWanted = true;
    if (!this.#isLooking) this.#schedule(this.#notBeforeMs - this.#options.clock.bootTimeMs());
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancelLook();
  }

  /**
   * The offers count as answered, whatever comes of it: none is valid twice.
   * @returns a refusal, as Mesos says it, for what was not all offered together
   */
  take(framework: Framework, offerIds: readonly string[]): TakenOffers | { readonly refusal: string } {
    const offers: Offer[] = [];
    let refusal = offerIds.length === 0 ? "No offers specified" : undefined;
    for (const id of offerIds) {
      const offer = framework.offers.get(id);
      framework.offers.delete(id);
      if (offer === undefined) refusal ??= `Offer ${id} is no longer valid`;
      else offers.push(offer);
    }
    if (offers.length > 0) this.soon();
    const role = offers[0]?.role ?? "*";
    if (offers.some((offer) => offer.role !== role)) refusal ??= "Aggregated offers must be allocated to the same role";
    return refusal === undefined ? { role, resources: offers.flatMap(({ resources }) => resources) } : { refusal };
  }

  #schedule(delayMs: number): void {
    this.#cancelLook();
    if (!this.#isStopped) this.#cancelLook = this.#options.clock.after(Math.max(0, delayMs), () => void this.#look());
  }

  async #look(): Promise<void> {
    const { engine, clock, log } = this.#options;
    this.#isLooking = true;
    this.#isWanted = false;
    try {
      const looked = [...this.#options.frameworks()].map((framework) => ({ framework, epoch: framework.epoch }));
      const { resources } = looked.length === 0 ? { resources: [] } : await engine.resources(SELF);
      for (const { framework, epoch } of looked) {
        if (framework.epoch === epoch) this.#offer(framework, resources);
        else this.#isWanted = true;
      }
      this.#notBeforeMs = clock.bootTimeMs() + pauseAfter(resources.length * rolesOf(looked));
    } catch (error) {
      if (!this.#isStopped) log.warn({ error }, "Cannot look at the disk to offer it");
      this.#notBeforeMs = clock.bootTimeMs() + RETRY_MS;
      this.#isWanted = true;
    } finally {
      this.#isLooking = false;
    }
    this.#schedule(this.#isWanted ? this.#notBeforeMs - clock.bootTimeMs() : INTERVAL_MS);
  }

  /**
   * While a list of its operations is performed, what there is to offer is about to change. Who has much to read yet
   * is told at a later look: all offers of a node can be more than a stream may keep.
   */
  #offer(framework: Framework, resources: readonly DiskResource[]): void {
    if (framework.stream === undefined || framework.stream.isBusy || framework.listsPerforming > 0) return;
    const { info, suppressed } = framework;
    const fresh: Offer[] = [];
    for (const role of info.roles) {
      const available = offerableTo(resources, { ...info, role });
      const plan = planOffers(available, framework.offersOf(role), framework.refusedBy(role));
      for (const id of plan.rescinded) framework.rescind(id);
      if (suppressed.has(role)) continue;
      for (let start = 0; start < plan.offered.length; start += OFFER_RESOURCES_MAX) {
        const part = plan.offered.slice(start, start + OFFER_RESOURCES_MAX);
        fresh.push({ id: this.#options.nextOfferId(), role, resources: part });
      }
    }
    if (fresh.length === 0) return;
    for (const offer of fresh) framework.offers.set(offer.id, offer);
    framework.send(offersEvent(fresh, framework.id, info, framework.agent));
  }
}

function rolesOf(looked: readonly { readonly framework: Framework }[]): number {
  return looked.reduce((sum, { framework }) => sum + framework.info.roles.length, 0);
}

function pauseAfter(lookedAt: number): number {
  return Math.min(PAUSE_MS_MIN + lookedAt / RESOURCES_PER_MS, PAUSE_MS_MAX);
}
