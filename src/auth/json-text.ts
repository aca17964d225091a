/**
 * Strict JSON with the place of the first mistake. V8's own messages often lack the position and quote the text around
 * it, which in a credentials file is a secret; and it takes the last of two equal keys, which in an ACL drops rules.
 */

interface JsonFault {
  /** From 1. */
  readonly line: number;
  /** From 1, in UTF-16 units. */
  readonly column: number;
  readonly reason: string;
}

export type JsonReading = { readonly value: unknown } | { readonly fault: JsonFault };

const DEPTH_MAX = 64;

const SPACE = /[ \t\n\r]*/y;
const STRING = /"(?:[ !#-[\]-\uffff]|\\(?:["\\/bfnrt]|u[\da-fA-F]{4}))*"/y;
const SCALAR = /(?:-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)(?![\w.+-])/y;

/** The value of a JSON text, or where and why it is none. Repeated keys and nesting deeper than 64 are mistakes. */
export function readJsonText(text: string): JsonReading {
  try {
    new Scanner(text).document();
  } catch (error) {
    if (error instanceof Mistake) return { fault: { ...placeOf(text, error.offset), reason: error.message } };
    throw error;
  }
  return { value: JSON.parse(text) };
}

function placeOf(text: string, offset: number): { line: number; column: number } {
  const before = text.slice(0, offset);
  return { line: before.split("\n").length, column: offset - before.lastIndexOf("\n") };
}

class Mistake extends Error {
  readonly offset: number;

  constructor(offset: number, reason: string) {
    super(reason);
    this.offset = offset;
  }
}

/** Walks the grammar without building anything. */
class Scanner {
  readonly #text: string;
  #offset = 0;

  constructor(text: string) {
    this.#text = text;
  }

  document(): void {
    this.#value(0);
    if (this.#peek() !== "") this.#fail("expected nothing after the value");
  }

  #value(depth: number): void {
    const first = this.#peek();
    if (first === "{") this.#members("}", depth, this.#member());
    else if (first === "[") this.#members("]", depth, (inner) => this.#value(inner));
    else if (first === '"') this.#string();
    else if (this.#take(SCALAR) === undefined)
      this.#fail(first === "" ? "the text ends too early" : "expected a value");
  }

  /** What stands between brackets, separated by commas. */
  #members(end: string, depth: number, member: (depth: number) => void): void {
    if (depth === DEPTH_MAX) this.#fail(`nested deeper than ${DEPTH_MAX} levels`);
    this.#offset += 1;
    if (this.#peek() === end) {
      this.#offset += 1;
      return;
    }
    for (;;) {
      member(depth + 1);
      const next = this.#peek();
      if (next !== "," && next !== end) this.#fail(`expected "," or "${end}"`);
      this.#offset += 1;
      if (next === end) return;
    }
  }

  /** Reads the members of one object, whose keys it remembers. */
  #member(): (depth: number) => void {
    const keys = new Set<string>();
    return (depth) => {
      if (this.#peek() !== '"') this.#fail("expected a key in double quotes");
      const start = this.#offset;
      const key: string = JSON.parse(this.#string());
      if (keys.has(key)) throw new Mistake(start, "the key appears twice");
      keys.add(key);
      if (this.#peek() !== ":") this.#fail('expected ":"');
      this.#offset += 1;
      this.#value(depth);
    };
  }

  #string(): string {
    const start = this.#offset;
    const token = this.#take(STRING);
    if (token === undefined) throw new Mistake(start, "expected a string that ends on its line, with valid escapes");
    return token;
  }

  /** The next character that is not white space, "" at the end. */
  #peek(): string {
    this.#take(SPACE);
    return this.#text.charAt(this.#offset);
  }

  #take(token: RegExp): string | undefined {
    token.lastIndex = this.#offset;
    const [taken] = token.exec(this.#text) ?? [];
    this.#offset += taken?.length ?? 0;
    return taken;
  }

  #fail(reason: string): never {
    throw new Mistake(this.#offset, this.#offset >= this.#text.length ? "the text ends too early" : reason);
  }
}
