/** Runs garbage collection by itself, again and again, one pass at a time, until it is stopped. */
import type { Actor } from "../domain/operation.ts";
import { collectByRule, goOnCollecting } from "./collect.ts";
import { collectOnRequest } from "./collect-request.ts";
import { collectSandboxesByRule, goOnWithSandboxes } from "./collect-sandboxes.ts";
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
    this.#inBackground(async (signal) => {
      await goOnCollecting(this.#parts, signal);
      await goOnWithSandboxes(this.#parts, signal);
    });
  }

  collect(actor: Actor, request: CollectRequest): Promise<CollectOutcome> {
    const work = () => collectOnRequest(this.#parts, this.#stopping.signal, actor, request);
    const isNamed = request.uuids !== undefined || request.sandboxes !== undefined;
    return request.dryRun || isNamed ? work() : this.#passes.run(PASS, work);
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
      this.#inBackground(async (signal) => {
        // What a container left goes before what somebody may want back.
        await collectSandboxesByRule(this.#parts, signal);
        await collectByRule(this.#parts, signal);
      }),
    );
  }
}
