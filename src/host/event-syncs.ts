/** Syncs the trail behind its writes: a second after the first, one sync at a time, and a descriptor is closed behind its own. */
import { closeSync, fdatasync, fdatasyncSync } from "node:fs";
import { promisify } from "node:util";
import { messageOf } from "../domain/error.ts";
import type { Log } from "../ports/log.ts";

const SYNC_MS = 1_000;

const sync = promisify(fdatasync);

export class EventSyncs {
  readonly #log: Log;
  readonly #unsyncedMax: number;
  #unsynced = 0;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> = Promise.resolve();
  #failure: string | undefined;

  /** @param unsyncedMax so many events wait for a sync at most */
  constructor(log: Log, unsyncedMax: number) {
    this.#log = log;
    this.#unsyncedMax = unsyncedMax;
  }

  /** Why what was written may not survive a power cut. */
  get failure(): string | undefined {
    return this.#failure;
  }

  /** So many events were written there just now. */
  wrote(fd: number, count: number): void {
    this.#unsynced += count;
    this.#timer ??= setTimeout(() => this.#start(fd), SYNC_MS).unref();
    if (this.#unsynced <= this.#unsyncedMax) return;
    try {
      fdatasyncSync(fd);
      this.#unsynced = 0;
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Nothing is written there any more. */
  leave(fd: number): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#start(fd);
    void this.#queue(async () => closeSync(fd));
  }

  /** Does this behind the syncs that are due. */
  afterwards(work: () => void): void {
    void this.#queue(async () => work());
  }

  /** Resolves when all is synced and closed. */
  async finish(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#running;
  }

  #start(fd: number): void {
    this.#timer = undefined;
    const count = this.#unsynced;
    void this.#queue(async () => {
      await sync(fd);
      this.#unsynced = Math.max(0, this.#unsynced - count);
    });
  }

  #queue(work: () => Promise<void>): Promise<void> {
    this.#running = this.#running.then(work).catch((error: unknown) => this.#fail(error));
    return this.#running;
  }

  #fail(error: unknown): void {
    if (this.#failure === undefined) this.#log.error({ error }, `Cannot sync the audit trail: ${messageOf(error)}`);
    this.#failure = messageOf(error);
  }
}
