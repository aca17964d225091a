/**
 * Regular expressions from strangers, of the kind that paths are described with: characters, `.`, classes, groups,
 * alternatives, `*`, `+` and `?`. Matching follows all ways at once, so that no expression takes for ever, as those of
 * the language can.
 */

/** Where a match may have come to when it began at these places of the text. */
type Matcher = (text: string, starts: ReadonlySet<number>) => ReadonlySet<number>;

/** Tells whether a text matches as a whole. */
export type PathPattern = (text: string) => boolean;

const CHARACTERS_MAX = 255;
/** Each repetition inside another one costs as many times as the text is long. */
const DEPTH_MAX = 3;

const CLASSES: Readonly<Record<string, (character: string) => boolean>> = {
  d: (character) => character >= "0" && character <= "9",
  w: (character) => /\w/.test(character),
  s: (character) => /\s/.test(character),
};

/** What stands for itself only behind a backslash. */
const SPECIAL = "*+?{}()|[]^$";

/** `undefined` for what is no such expression. */
export function parsePathPattern(expression: string): PathPattern | undefined {
  if (expression.length > CHARACTERS_MAX) return undefined;
  const parser = new Parser(expression);
  const matcher = parser.alternatives(0);
  if (matcher === undefined || !parser.atEnd) return undefined;
  return (text) => matcher(text, new Set([0])).has(text.length);
}

class Parser {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  get atEnd(): boolean {
    return this.#at >= this.#text.length;
  }

  alternatives(depth: number): Matcher | undefined {
    const found: Matcher[] = [];
    do {
      const sequence = this.#sequence(depth);
      if (sequence === undefined) return undefined;
      found.push(sequence);
    } while (this.#take("|"));
    return (text, starts) => union(found.map((matcher) => matcher(text, starts)));
  }

  #sequence(depth: number): Matcher | undefined {
    const found: Matcher[] = [];
    while (!this.atEnd && !this.#isNext("|") && !this.#isNext(")")) {
      const atom = this.#atom(depth);
      if (atom === undefined) return undefined;
      found.push(this.#repeated(atom));
    }
    return (text, starts) => found.reduce((places, matcher) => matcher(text, places), starts);
  }

  #repeated(atom: Matcher): Matcher {
    if (this.#take("*")) return (text, starts) => closure(atom, text, starts);
    if (this.#take("+")) return (text, starts) => closure(atom, text, atom(text, starts));
    if (this.#take("?")) return (text, starts) => union([starts, atom(text, starts)]);
    return atom;
  }

  #atom(depth: number): Matcher | undefined {
    if (this.#take("(")) return this.#group(depth + 1);
    if (this.#take("[")) return this.#characters();
    if (this.#take(".")) return one(() => true);
    const character = this.#character(SPECIAL);
    return character === undefined ? undefined : one(character);
  }

  #group(depth: number): Matcher | undefined {
    if (depth > DEPTH_MAX) return undefined;
    if (this.#take("?") && !this.#take(":")) return undefined;
    const inner = this.alternatives(depth);
    return this.#take(")") ? inner : undefined;
  }

  /** `[a-z_]`, `[^/]` */
  #characters(): Matcher | undefined {
    const isNegated = this.#take("^");
    const members: ((character: string) => boolean)[] = [];
    while (!this.#take("]")) {
      const from = this.#text[this.#at];
      const member = this.#character("[");
      if (member === undefined || from === undefined) return undefined;
      const isRange = this.#isNext("-") && this.#text[this.#at + 1] !== "]" && from !== "\\";
      members.push(isRange ? (this.#range(from) ?? never) : member);
    }
    if (members.length === 0) return undefined;
    return one((character) => members.some((member) => member(character)) !== isNegated);
  }

  #range(from: string): ((character: string) => boolean) | undefined {
    this.#at += 1;
    const to = this.#text[this.#at];
    this.#at += 1;
    return to === undefined ? undefined : (character) => character >= from && character <= to;
  }

  #character(special: string): ((character: string) => boolean) | undefined {
    const isEscaped = this.#take("\\");
    const character = this.#text[this.#at];
    if (character === undefined || (!isEscaped && special.includes(character))) return undefined;
    this.#at += 1;
    if (!isEscaped || !/[A-Za-z0-9]/.test(character)) return (other) => other === character;
    return CLASSES[character];
  }

  #isNext(character: string): boolean {
    return this.#text[this.#at] === character;
  }

  #take(character: string): boolean {
    if (!this.#isNext(character)) return false;
    this.#at += 1;
    return true;
  }
}

function never(): boolean {
  return false;
}

function one(isMember: (character: string) => boolean): Matcher {
  return (text, starts) => {
    const ends = new Set<number>();
    for (const start of starts) {
      const character = text[start];
      if (character !== undefined && isMember(character)) ends.add(start + 1);
    }
    return ends;
  };
}

function union(sets: readonly ReadonlySet<number>[]): ReadonlySet<number> {
  return new Set(sets.flatMap((set) => [...set]));
}

/** As often as it can be, also never. */
function closure(atom: Matcher, text: string, starts: ReadonlySet<number>): ReadonlySet<number> {
  const seen = new Set(starts);
  let frontier: ReadonlySet<number> = starts;
  while (frontier.size > 0) {
    const next = new Set([...atom(text, frontier)].filter((place) => !seen.has(place)));
    for (const place of next) seen.add(place);
    frontier = next;
  }
  return seen;
}
