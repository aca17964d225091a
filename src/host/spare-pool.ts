/**
 * Ready directories for volumes that do not exist yet. Their syncs happen here, ahead of time and many at once, so
 * that CREATE waits for none. The pool follows demand: it holds what was taken lately, between a least and a most.
 */
import type { Incarnation } from "../domain/units.ts";
import type { Spare } from "../ports/disk.ts";
import { allEnded, inSlices } from "./durable.ts";

/** A refill waits until nobody took a spare for so long, because it would hold up the commits beside it. */
const QUIET_MS = 100;
/** Unless the pool has less than this part of what it should hold. */
const LOW_WATER = 0.25;
/** Demand counts half after so long. */
const HALF_LIFE_MS = 30_000;
/** Makes a refill short enough that somebody who waits for a spare waits for one refill at most. */
const REFILL_AT_ONCE = 256;
/** On a journaling file system every such batch is one commit. */
const SYNCED_TOGETHER = 256;

export interface SparePoolOptions {
  /** The least and the most that the pool refills to. */
  readonly min: number;
  readonly max: number;
  /** The most that may lie ready when so many do, where something else than `max` is scarce. */
  readonly most?: (ready: number) => number;
  /** Makes one spare, not yet durable; takes microseconds. */
  readonly make: () => Spare;
  /** Makes spares durable. */
  readonly sync: (spares: readonly Spare[]) => Promise<void>;
  /** Removes a spare that will not be used. */
  readonly discard: (spare: Spare) => void;
  /** A refill in the background failed, for the first time since one succeeded; the next `take` tries again. */
  readonly onRefillFailure: (error: unknown) => void;
}

interface Waiter {
  readonly count: number;
  readonly resolve: (spares: readonly Spare[]) => void;
  readonly reject: (error: unknown) => void;
}

export class SparePool {
  readonly #options: SparePoolOptions;
  readonly #ready = new Map<Incarnation, Spare>();
  /** Being made: on disk already, but nobody's yet. */
  readonly #making = new Set<Incarnation>();
  /** Being made, or handed out and not yet claimed. */
  readonly #out = new Set<Incarnation>();
  #waiters: Waiter[] = [];
  #quiet: NodeJS.Timeout | undefined;
  #supplying = Promise.resolve();
  #busy = false;
  #refilling = true;
  #closed = false;
  #isFailing = false;
  #demand = 0;
  #demandAtMs = performance.now();

  constructor(options: SparePoolOptions) {
    this.#options = options;
  }

  /** Adds spares that are durable already. */
  add(spares: readonly Spare[]): void {
    for (const spare of spares) {
      this.#out.delete(spare.uuid);
      this.#ready.set(spare.uuid, spare);
    }
  }

  /** Makes sure, in the background, that the least is there. */
  fill(): void {
    if (!this.#busy) this.#supplying = this.#supply();
  }

  /** Hands out spares; what is missing is made, together with what others wait for. */
  take(count: number): Promise<readonly Spare[]> {
    this.#noteDemand(count);
    return new Promise((resolve, reject) => {
      this.#waiters.push({ count, resolve, reject });
      this.#serve();
      if (this.#waiters.length > 0 || this.#ready.size < this.#target() * LOW_WATER) this.fill();
      else this.#fillWhenQuiet();
    });
  }

  /** How many more it may hold. */
  get room(): number {
    return Math.max(0, this.#max() - this.#ready.size);
  }

  /** Whether this directory is the pool's: being made, ready, or handed out and not claimed. */
  has(uuid: Incarnation): boolean {
    return this.#making.has(uuid) || this.#ready.has(uuid) || this.#out.has(uuid);
  }

  /** Somebody knows this directory by its name: it is a volume now, and never handed out again. */
  claim(uuid: Incarnation): void {
    this.#ready.delete(uuid);
    this.#out.delete(uuid);
  }

  /** Gives up some of the pool, when the disk needs the room. Returns how many went. */
  release(count: number): number {
    const given = this.#pick(Math.min(count, this.#ready.size));
    for (const spare of given) {
      this.#out.delete(spare.uuid);
      this.#options.discard(spare);
    }
    return given.length;
  }

  /** Stops refilling and waits for what runs. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#quiet);
    await this.#supplying;
  }

  #fillWhenQuiet(): void {
    if (this.#quiet !== undefined) {
      this.#quiet.refresh();
      return;
    }
    this.#quiet = setTimeout(() => {
      this.#quiet = undefined;
      this.fill();
    }, QUIET_MS).unref();
  }

  async #supply(): Promise<void> {
    this.#busy = true;
    try {
      for (let count = this.#missing(); count > 0; count = this.#missing()) {
        // A refill is not the business of whoever happened to take the spare that made it necessary.
        if (this.#waiters.length === 0) await new Promise((resolve) => setImmediate(resolve));
        await this.#make(count);
        this.#serve();
      }
    } catch (error) {
      const waiters = this.#waiters;
      this.#waiters = [];
      for (const waiter of waiters) waiter.reject(error);
      if (waiters.length === 0) this.#noteFailure(error);
    } finally {
      this.#busy = false;
    }
  }

  #noteFailure(error: unknown): void {
    if (!this.#isFailing) this.#options.onRefillFailure(error);
    this.#isFailing = true;
  }

  /** How many to make next: first what somebody waits for, then what the pool lacks. */
  #missing(): number {
    const owed = this.#waiters.reduce((sum, waiter) => sum + waiter.count, 0) - this.#ready.size;
    if (owed > 0) return owed;
    if (this.#closed) return 0;
    const target = this.#target();
    if (this.#ready.size < target / 2) this.#refilling = true;
    if (this.#ready.size >= target) this.#refilling = false;
    return this.#refilling ? Math.min(target - this.#ready.size, REFILL_AT_ONCE) : 0;
  }

  async #make(count: number): Promise<void> {
    const made: Spare[] = [];
    try {
      await this.#makeAndSync(count, made);
      this.#isFailing = false;
      this.add(made);
    } catch (error) {
      // What a failed sync left cannot be trusted: it may be gone after a power cut.
      for (const spare of made) {
        this.#out.delete(spare.uuid);
        this.#options.discard(spare);
      }
      throw error;
    } finally {
      for (const { uuid } of made) this.#making.delete(uuid);
    }
  }

  /** The disk works on one batch while the next is made. */
  async #makeAndSync(count: number, made: Spare[]): Promise<void> {
    const syncs: Promise<void>[] = [];
    try {
      while (made.length < count) {
        const batch = Array(Math.min(count - made.length, SYNCED_TOGETHER));
        const start = made.length;
        await inSlices(batch.keys(), () => made.push(this.#makeOne()));
        syncs.push(this.#options.sync(made.slice(start)));
      }
    } finally {
      await allEnded(syncs);
    }
  }

  #makeOne(): Spare {
    const spare = this.#options.make();
    this.#making.add(spare.uuid);
    return spare;
  }

  #serve(): void {
    for (let next = this.#waiters[0]; next !== undefined && next.count <= this.#ready.size; next = this.#waiters[0]) {
      this.#waiters.shift();
      next.resolve(this.#pick(next.count));
    }
  }

  #pick(count: number): readonly Spare[] {
    const picked = this.#ready.values().take(count).toArray();
    for (const { uuid } of picked) {
      this.#ready.delete(uuid);
      this.#out.add(uuid);
    }
    return picked;
  }

  #noteDemand(count: number): void {
    this.#demand = this.#demandNow() + count;
    this.#demandAtMs = performance.now();
  }

  #demandNow(): number {
    return this.#demand * 0.5 ** ((performance.now() - this.#demandAtMs) / HALF_LIFE_MS);
  }

  #max(): number {
    const { max, most } = this.#options;
    return Math.min(max, most?.(this.#ready.size) ?? max);
  }

  #target(): number {
    return Math.min(this.#max(), Math.max(this.#options.min, Math.ceil(this.#demandNow())));
  }
}
