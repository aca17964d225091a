/** Runs garbage collection by itself, again and again, one pass at a time, until it is stopped. */
import type { Actor } from "../domain/operation.ts";
import { collectByRule, goOnCollecting } from "./collect.ts";
import { collectOnRequest } from "./collect-request.ts";
import type { CollectOutcome, CollectRequest } from "./engine.ts";
import type { Parts } from "./parts.ts";
import { Serial } from "./serial.ts";

const PASS = "pass";

export class Collector {
  readonly #parts: Parts;
  readonly #intervalMs: number;
  readonly #stopping = new AbortController();
  /** Two passes at once would both take what makes room for one. */
  readonly #passes = new Serial();
  #cancel: (() => void) | undefined;
  #background: Promise<unknown> = Promise.resolve();

  constructor(parts: Parts, intervalMs: number) {
    this.#parts = parts;
    this.#intervalMs = intervalMs;
  }

  /** Goes on with what was interrupted; the first pass comes an interval later. */
  start(): void {
    this.#inBackground((signal) => goOnCollecting(this.#parts, signal));
  }

  collect(actor: Actor, request: CollectRequest): Promise<CollectOutcome> {
    const work = () => collectOnRequest(this.#parts, this.#stopping.signal, actor, request);
    return request.dryRun || request.uuids !== undefined ? work() : this.#passes.run(PASS, work);
  }

  /** What is being deleted is left in the middle, for the next start. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#cancel?.();
    await this.#background;
  }

  #inBackground(work: (signal: AbortSignal) => Promise<unknown>): void {
    const { signal } = this.#stopping;
    this.#background = this.#passes
      .run(PASS, () => work(signal))
      .catch((error: unknown) => this.#parts.log.error({ error }, "Cannot collect garbage"))
      .then(() => this.#schedule());
  }

  #schedule(): void {
    if (this.#stopping.signal.aborted) return;
    this.#cancel = this.#parts.clock.after(this.#intervalMs, () =>
      this.#inBackground((signal) => collectByRule(this.#parts, signal)),
    );
  }
}
