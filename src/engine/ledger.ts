/**
 * Memory in front of the store. A decision is made and applied in memory at once, synchronously, and its changes are
 * on their way to the store before anything else runs; whoever asked waits for the commit. A list waits for the commit
 * of everything that it shows, and so does a refusal. When a commit fails, memory is thrown away and read again from
 * the store; until that succeeds nothing is decided and nothing is shown.
 */

import type { EventFacts } from "../domain/event.ts";
import { eventsOf } from "../domain/events.ts";
import { NodeState, Transaction } from "../domain/node.ts";
import { type Change, TABLES } from "../domain/records.ts";
import type { DiskResource } from "../domain/resource.ts";
import type { NodeHeader, Store, StoreContents } from "../ports/store.ts";

export interface CommitKind {
  /** See `CommitOptions`: a boot-scoped change need not survive a power cut. */
  readonly durable: boolean;
  readonly releases?: boolean;
  /** Who asked, for the audit trail; default: the daemon did it by itself. */
  readonly by?: string;
  /** Why, where that does not speak for itself. */
  readonly because?: string;
}

/** Told right behind a commit, before anybody gets an answer; in the order of the commits. Must not throw. */
export type OnCommitted = (facts: readonly EventFacts[], kind: CommitKind) => void;

export class Ledger {
  readonly #store: Store;
  readonly #declared: readonly DiskResource[];
  readonly #onReload: () => void;
  readonly #onCommitted: OnCommitted;
  #state: NodeState;
  #header: NodeHeader | undefined;
  #damaged: StoreContents["damaged"] = [];
  #labelledThrough = 0;
  #revision = 0;
  /** The commit that was posted last; commits end in the order they were posted. */
  #lastCommit: Promise<void> = Promise.resolve();
  /** A commit failed: memory has what was never committed. */
  #stale = false;
  #reloading: Promise<void> | undefined;

  /** @param onReload memory is the store's again; it may show what was refused as uncertain */
  constructor(
    store: Store,
    declared: readonly DiskResource[],
    onReload: () => void,
    onCommitted: OnCommitted = () => {},
  ) {
    this.#store = store;
    this.#declared = declared;
    this.#onReload = onReload;
    this.#onCommitted = onCommitted;
    this.#state = new NodeState(declared);
  }

  /** What is decided so far, committed or not: for deciding, never for answering. */
  get state(): NodeState {
    return this.#state;
  }

  get header(): NodeHeader {
    if (this.#header === undefined) throw new Error("The ledger is not open");
    return this.#header;
  }

  get damaged(): StoreContents["damaged"] {
    return this.#damaged;
  }

  get labelledThrough(): number {
    return this.#labelledThrough;
  }

  /** The last revision that was given out. */
  get revision(): number {
    return this.#revision;
  }

  nextRevision(): number {
    this.#revision += 1;
    return this.#revision;
  }

  async open(): Promise<void> {
    this.#load(await this.#store.open());
  }

  /**
   * Runs `decide` in memory and resolves with its result when what it changed is committed. When it throws, nothing
   * has changed. What was decided, or refused, because of something that is never committed is decided again.
   */
  async transact<T>(kind: CommitKind, decide: (tx: Transaction) => T): Promise<T> {
    for (;;) {
      while (this.#stale) await this.#reload();
      const tx = new Transaction(this.#state);
      const verdict = attempt(
        () => decide(tx),
        () => tx.rollback(),
      );
      if (tx.changes.length > 0) {
        const facts = eventsOf(tx.changes, tx.replaced, (uuid) => tx.state.volumes.get(uuid));
        await this.#commit(tx.changes, kind, { facts });
        return verdict();
      }
      if (await this.#isCommitted(tx.state)) return verdict();
    }
  }

  /** Decides and takes everything back: what would happen. */
  rehearse<T>(decide: (tx: Transaction) => T): Promise<T> {
    return this.#answer((state) => {
      const tx = new Transaction(state);
      const verdict = attempt(() => decide(tx));
      tx.rollback();
      return verdict;
    });
  }

  /** Reads memory and answers when all that was read is committed. */
  read<T>(look: (state: NodeState) => T): Promise<T> {
    return this.#answer((state) => attempt(() => look(state)));
  }

  /**
   * Resolves when the store has answered all that it was asked before, and memory is what it stored: only then would
   * anybody else get an answer.
   */
  async ping(): Promise<void> {
    await this.#store.ping();
    await this.settled();
  }

  /** Resolves when everything decided so far is committed, or has been thrown away. */
  async settled(): Promise<void> {
    await this.#lastCommit.catch(() => undefined);
    while (this.#stale) await this.#reload();
  }

  /** Notes that all labels up to this revision are on disk; a note that is lost costs rewriting them. */
  async noteLabelled(revision: number): Promise<void> {
    // A reload has labels written again, which are not on disk then.
    if (this.#stale) return;
    this.#labelledThrough = revision;
    await this.#commit([], { durable: false }, { labelledThrough: revision });
  }

  async close(): Promise<void> {
    await this.#lastCommit.catch(() => undefined);
    await this.#store.close();
  }

  /** Looks until what was seen is committed. */
  async #answer<T>(look: (state: NodeState) => Verdict<T>): Promise<T> {
    for (;;) {
      while (this.#stale) await this.#reload();
      const state = this.#state;
      const verdict = look(state);
      if (await this.#isCommitted(state)) return verdict();
    }
  }

  /** Waits for everything decided so far; false when a failed commit threw this state away. */
  async #isCommitted(state: NodeState): Promise<boolean> {
    await this.settled();
    return state === this.#state;
  }

  async #commit(
    changes: readonly Change[],
    kind: CommitKind,
    { facts = [], labelledThrough }: { readonly facts?: readonly EventFacts[]; readonly labelledThrough?: number },
  ): Promise<void> {
    const { durable, releases } = kind;
    const commit = this.#store.commit(changes, {
      durable,
      ...(releases === undefined ? {} : { releases }),
      ...(labelledThrough === undefined ? {} : { labelledThrough }),
    });
    this.#lastCommit = commit;
    try {
      await commit;
    } catch (error) {
      this.#stale = true;
      // Whoever comes next reads again if this fails; what is to be told is why the commit did.
      await this.#reload().catch(() => undefined);
      throw error;
    }
    // Nobody else who waited for this commit goes on before.
    if (facts.length > 0) this.#onCommitted(facts, kind);
  }

  /** One reload serves all commits that failed together. */
  #reload(): Promise<void> {
    this.#reloading ??= this.#store
      .reload()
      .then((contents) => {
        this.#load(contents);
        this.#onReload();
      })
      .finally(() => {
        this.#reloading = undefined;
      });
    return this.#reloading;
  }

  #load(contents: StoreContents): void {
    const state = new NodeState(this.#declared);
    let revision = contents.labelledThrough;
    for (const table of TABLES) {
      for (const [key, value] of contents.records[table]) state.apply({ table, key, value } as Change);
    }
    for (const volume of state.volumes.values()) revision = Math.max(revision, volume.revision);
    this.#state = state;
    this.#stale = false;
    this.#header = contents.header;
    this.#damaged = contents.damaged;
    this.#labelledThrough = contents.labelledThrough;
    this.#revision = Math.max(this.#revision, revision);
  }
}

/** Returns what was found or decided, or throws the refusal. */
type Verdict<T> = () => T;

function attempt<T>(work: () => T, takeBack?: () => void): Verdict<T> {
  try {
    const result = work();
    return () => result;
  } catch (error) {
    takeBack?.();
    return () => {
      throw error;
    };
  }
}
