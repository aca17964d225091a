/** What one client was told about its volumes, and what it asked for without being answered. */

/** A volume as its client believes it to be. Every id is used once. */
export interface Entry {
  /** Thousandths of MB. */
  readonly size: number;
  /** `undefined` until it was heard. */
  readonly uuid?: string;
  readonly container?: string;
  /** What was written into it; absent while it is empty. */
  readonly mark?: string;
  /** When it was destroyed, as `performance.now()` tells time; a live one was not. */
  readonly retiredAtMs?: number;
  readonly pinned?: true;
  /** A state that none may stay in. */
  readonly between?: string;
}

/** Ids with what they are; `undefined` is nothing at all. */
export type Change = ReadonlyMap<string, Entry | undefined>;

export interface Doubt {
  readonly what: string;
  readonly after: Change;
  /** It may have happened for some of its volumes only. */
  readonly isPartial: boolean;
}

export class Books {
  readonly entries = new Map<string, Entry>();

  apply(change: Change): void {
    for (const [id, entry] of change) {
      if (entry === undefined) this.entries.delete(id);
      else this.entries.set(id, entry);
    }
  }

  /**
   * What of the node's state contradicts these books.
   * @param doubt what was asked for last, without an answer
   * @param mayGo whether a retained volume may have been collected without being asked for
   */
  contradictions(actual: ReadonlyMap<string, Entry>, doubt: Doubt | undefined, mayGo: MayGo): string[] {
    const found: string[] = [];
    const outcomes = new Set<boolean>();
    for (const id of new Set([...this.entries.keys(), ...actual.keys(), ...(doubt?.after.keys() ?? [])])) {
      const [before, now] = [this.entries.get(id), actual.get(id)];
      const isBefore = isSame(before, now, mayGo);
      const isAsked = doubt?.after.has(id) === true;
      const isDone = isAsked && isSame(doubt.after.get(id), now, mayGo);
      if (isAsked && isBefore !== isDone) outcomes.add(isDone);
      if (isBefore || isDone) continue;
      const other = isAsked ? ` nor ${describe(doubt.after.get(id))} (${doubt.what} was not answered)` : "";
      found.push(`${id} is ${describe(now)}, not ${describe(before)}${other}`);
    }
    if (outcomes.size > 1 && doubt?.isPartial === false) found.push(`half of ${doubt.what} happened, unanswered`);
    return found;
  }

  /** Takes over what the node says; only what was written is not known to it. */
  believe(actual: ReadonlyMap<string, Entry>): void {
    const before = new Map(this.entries);
    this.entries.clear();
    for (const [id, now] of actual) {
      const { mark, retiredAtMs } = before.get(id) ?? {};
      const retired = now.retiredAtMs === undefined ? {} : { retiredAtMs: retiredAtMs ?? now.retiredAtMs };
      this.entries.set(id, { ...now, ...(mark === undefined ? {} : { mark }), ...retired });
    }
  }
}

type MayGo = (entry: Entry) => boolean;

function isSame(expected: Entry | undefined, now: Entry | undefined, mayGo: MayGo): boolean {
  if (describe(expected) === describe(now)) return true;
  return now === undefined && expected?.retiredAtMs !== undefined && mayGo(expected);
}

function describe(entry: Entry | undefined): string {
  if (entry === undefined) return "not there";
  const { size, container, retiredAtMs, pinned, between } = entry;
  const live = container === undefined ? "detached" : `attached to ${container}`;
  const state = between ?? (retiredAtMs === undefined ? live : "retained");
  return `${size / 1_000} MB ${state}${pinned === true ? ", pinned" : ""}`;
}
