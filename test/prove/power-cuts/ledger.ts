/**
 * What clients asked for and what they were told, and the judge: after a power cut what was acknowledged is there, what
 * was not is there as a whole or not at all, and nothing else has changed. Everything is facts, keys with values.
 */

/** What is true of the node: `r0/v1` is `16 MB detached`. */
export type Facts = ReadonlyMap<string, string>;

/** What becomes true; `null` takes a fact away. */
export type Change = Readonly<Record<string, string | null>>;

/** What a client is about to ask for. It asks for one thing at a time. */
export interface Wish {
  readonly client: string;
  readonly what: string;
  readonly change: Change;
  /** Until it is acknowledged its keys may have any value: bytes that were written and not synced. */
  readonly isLoose?: boolean;
}

export class Ledger {
  #facts = new Map<string, string>();
  #wishes = new Map<string, Wish>();

  wish(wish: Wish): void {
    this.#wishes.set(wish.client, wish);
  }

  acknowledge(client: string): void {
    for (const [key, value] of Object.entries(this.#wishes.get(client)?.change ?? {})) {
      if (value === null) this.#facts.delete(key);
      else this.#facts.set(key, value);
    }
    this.#wishes.delete(client);
  }

  /** It was told that nothing was done. */
  refuse(client: string): void {
    this.#wishes.delete(client);
  }

  /** Every difference between what is found and what may be. */
  judge(found: Facts): readonly string[] {
    const wishes = [...this.#wishes.values()];
    const halves = wishes.filter((wish) => this.#isHalf(wish, found));
    return [
      ...[...new Set([...this.#facts.keys(), ...found.keys()])].flatMap((key) => this.#fault(key, found)),
      ...halves.map(({ client, what }) => `half of ${client}'s ${what} is there, unacknowledged`),
    ];
  }

  /** Takes over what is found: whatever was in doubt is settled. */
  believe(found: Facts): void {
    this.#facts = new Map(found);
    this.#wishes = new Map();
  }

  #fault(key: string, found: Facts): string[] {
    const [before, now] = [this.#facts.get(key), found.get(key)];
    const wish = [...this.#wishes.values()].find(({ change }) => Object.hasOwn(change, key));
    if (now === before || wish?.isLoose === true) return [];
    if (wish === undefined) return [`${key} is ${shown(now)}, acknowledged was ${shown(before)}`];
    const after = wish.change[key] ?? undefined;
    if (now === after) return [];
    return [`${key} is ${shown(now)}, neither ${shown(before)} nor, by ${wish.what}, ${shown(after)}`];
  }

  /** Whether some of its keys have changed and others have not. */
  #isHalf({ change, isLoose }: Wish, found: Facts): boolean {
    if (isLoose === true) return false;
    const changing = Object.entries(change).filter(([key, after]) => (this.#facts.get(key) ?? null) !== after);
    const done = changing.filter(([key, after]) => (found.get(key) ?? null) === after);
    return done.length > 0 && done.length < changing.length;
  }
}

function shown(value: string | undefined): string {
  return value === undefined ? "not there" : `"${value}"`;
}
