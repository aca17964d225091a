/**
 * What became of a framework's operations, told until it says that it knows: again after 10 s, then after twice as long
 * each time, 10 minutes at most, and whenever the framework is back. As Mesos's agents do it.
 */
import type { Clock } from "../../ports/clock.ts";
import type { OperationStatus } from "./events.ts";

const FIRST_RETRY_MS = 10_000;
const LONGEST_RETRY_MS = 600_000;
/** What has to wait until the framework has read more is tried again so much later. */
const BUSY_RETRY_MS = 1_000;
/** A framework that never acknowledges is told no more about operations beyond so many. */
const UNACKNOWLEDGED_MAX = 10_000;

interface Unacknowledged {
  readonly status: OperationStatus;
  cancelRetry: () => void;
}

export interface FeedbackOptions {
  readonly clock: Clock;
  /** Sends to the framework, if it is connected. @returns whether that need not wait until it has read more */
  readonly send: (status: OperationStatus) => boolean;
  /** 16 random bytes, base64. */
  readonly uuid: () => string;
}

export class Feedback {
  readonly #options: FeedbackOptions;
  /** By operation id. */
  readonly #unacknowledged = new Map<string, Unacknowledged>();
  #isStopped = false;

  constructor(options: FeedbackOptions) {
    this.#options = options;
  }

  get isFull(): boolean {
    return this.#unacknowledged.size >= UNACKNOWLEDGED_MAX;
  }

  /** Tells it until it is acknowledged, in place of what was told of the operation before. */
  report(status: OperationStatus): void {
    if (this.#isStopped) return;
    this.#forget(status.operationId);
    const entry = { status: { ...status, uuid: this.#options.uuid() }, cancelRetry: () => {} };
    this.#unacknowledged.set(status.operationId, entry);
    this.#tell(entry, FIRST_RETRY_MS);
  }

  /** Tells again what is known to be told, to a framework that is back. */
  tellAgain(): void {
    for (const entry of this.#unacknowledged.values()) {
      entry.cancelRetry();
      this.#tell(entry, FIRST_RETRY_MS);
    }
  }

  /**
   * @param uuid the one of the status; another one acknowledges nothing
   * @returns whether it was this one
   */
  acknowledge(operationId: string, uuid: string): boolean {
    const isThisOne = this.#unacknowledged.get(operationId)?.status.uuid === uuid;
    if (isThisOne) this.#forget(operationId);
    return isThisOne;
  }

  /** What was told and not acknowledged, of one operation. */
  latest(operationId: string): OperationStatus | undefined {
    return this.#unacknowledged.get(operationId)?.status;
  }

  /** The operations of which something was told and not acknowledged. */
  operationIds(): readonly string[] {
    return [...this.#unacknowledged.keys()];
  }

  stop(): void {
    this.#isStopped = true;
    for (const id of this.operationIds()) this.#forget(id);
  }

  #tell(entry: Unacknowledged, retryMs: number): void {
    const isTold = this.#options.send(entry.status);
    const nextMs = isTold ? Math.min(2 * retryMs, LONGEST_RETRY_MS) : retryMs;
    entry.cancelRetry = this.#options.clock.after(isTold ? retryMs : BUSY_RETRY_MS, () => this.#tell(entry, nextMs));
  }

  #forget(operationId: string): void {
    this.#unacknowledged.get(operationId)?.cancelRetry();
    this.#unacknowledged.delete(operationId);
  }
}
