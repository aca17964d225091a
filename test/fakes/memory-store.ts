/**
 * The store in memory, for tests of everything that stands on it. It fails when it is told to, with the real store's
 * manners: after a failed commit every further one is refused until `reload`. It also plays a power cut.
 */
import { type ErrorCode, HoldfastError } from "../../src/domain/error.ts";
import { type Change, type Records, TABLES, type Table } from "../../src/domain/records.ts";
import type { AgentId, WallMs } from "../../src/domain/units.ts";
import type { CommitOptions, DamagedRecord, NodeHeader, Store, StoreContents } from "../../src/ports/store.ts";

export interface MemoryStoreOptions {
  readonly header?: NodeHeader;
  /** What is there at the start. */
  readonly records?: readonly Change[];
  readonly damaged?: readonly DamagedRecord[];
}

interface Commit {
  readonly changes: readonly Change[];
  readonly options: CommitOptions;
}

export interface MemoryStore extends Store {
  /** Every commit that was stored, in order. */
  readonly commits: readonly Commit[];
  /** Fails the nth commit from now (1 is the next one, 0 none any more). */
  failCommit(nth: number, code?: ErrorCode): void;
  /** Holds every commit back until the returned function is called. */
  hold(): () => void;
  /** What is stored, for a look that changes nothing. */
  contents(): StoreContents;
  /** Takes back what no durable commit covers; the store is as after a reboot and must be opened again. */
  powerCut(): void;
}

interface Content {
  readonly records: Record<Table, Map<string, string>>;
  labelledThrough: number;
}

const DEFAULT_HEADER: NodeHeader = {
  agentId: "7c9f1d3e-52b7-4a0e-9d35-0d6a8f1c2b44" as AgentId,
  createdAt: 1_700_000_000_000 as WallMs,
};

export function createMemoryStore(options: MemoryStoreOptions = {}): MemoryStore {
  const header = options.header ?? DEFAULT_HEADER;
  const content: Content = { records: emptyTables(), labelledThrough: 0 };
  applyChanges(content, options.records ?? []);

  const commits: Commit[] = [];
  /** Takes back the commits since the last durable one, newest last. */
  let undo: (() => void)[] = [];
  let failure: { after: number; code: ErrorCode } | undefined;
  let stale: HoldfastError | undefined;
  let open = false;
  let queue: Promise<unknown> = Promise.resolve();

  function contents(): StoreContents {
    return {
      header,
      records: parseTables(content),
      damaged: options.damaged ?? [],
      labelledThrough: content.labelledThrough,
    };
  }

  function read(): StoreContents {
    stale = undefined;
    return contents();
  }

  function store(changes: readonly Change[], commitOptions: CommitOptions): void {
    if (!open) throw new HoldfastError("unavailable", "Cannot commit: the store is closed");
    if (stale !== undefined) throw stale;
    if (failure !== undefined && --failure.after === 0) {
      stale = new HoldfastError(failure.code, "Cannot commit: told to fail by the test");
      failure = undefined;
      throw stale;
    }
    undo.push(applyChanges(content, changes, commitOptions.labelledThrough));
    if (commitOptions.durable) undo = [];
    commits.push({ changes, options: commitOptions });
  }

  return {
    commits,
    contents,
    failCommit: (nth, code = "unavailable") => {
      failure = { after: nth, code };
    },
    hold: () => {
      const gate = Promise.withResolvers<void>();
      queue = queue.then(() => gate.promise);
      return gate.resolve;
    },
    powerCut: () => {
      for (const takeBack of undo.reverse()) takeBack();
      undo = [];
      open = false;
    },
    open: async () => {
      open = true;
      return read();
    },
    commit: (changes, commitOptions) => {
      const frozen = structuredClone(changes);
      const outcome = queue.then(() => store(frozen, commitOptions));
      queue = outcome.catch(() => undefined);
      return outcome;
    },
    reload: () => {
      const outcome = queue.then(read);
      queue = outcome;
      return outcome;
    },
    ping: async () => {
      if (!open) throw new HoldfastError("unavailable", "Cannot answer: the store is closed");
      await queue;
    },
    close: async () => {
      await queue;
      open = false;
    },
  };
}

function emptyTables(): Record<Table, Map<string, string>> {
  return Object.fromEntries(TABLES.map((table) => [table, new Map()])) as Record<Table, Map<string, string>>;
}

/** Records are kept as text, so that nobody shares an object with the store. Returns what takes the changes back. */
function applyChanges(content: Content, changes: readonly Change[], labelledThrough?: number): () => void {
  const before = changes.map(({ table, key }) => ({ table, key, text: content.records[table].get(key) }));
  const labelledBefore = content.labelledThrough;
  for (const { table, key, value } of changes) {
    setText(content.records[table], key, value === undefined ? undefined : JSON.stringify(value));
  }
  content.labelledThrough = labelledThrough ?? content.labelledThrough;
  return () => {
    for (const { table, key, text } of before.reverse()) setText(content.records[table], key, text);
    content.labelledThrough = labelledBefore;
  };
}

function setText(table: Map<string, string>, key: string, text: string | undefined): void {
  if (text === undefined) table.delete(key);
  else table.set(key, text);
}

function parseTables(content: Content): StoreContents["records"] {
  const entries = TABLES.map((table) => [
    table,
    new Map([...content.records[table]].map(([key, text]) => [key, JSON.parse(text) as Records[Table]])),
  ]);
  return Object.fromEntries(entries) as StoreContents["records"];
}
