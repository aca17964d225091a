/** JSON from strangers: bounded in depth before it is parsed, and without the keys that poison objects. */
import { HoldfastError } from "../../domain/error.ts";

const DEPTH_MAX = 16;

/** Keys that some code takes for more than data. An escape could spell any of them. */
const POISONOUS = /__proto__|constructor|prototype|\\u/;
const POISONOUS_KEYS: ReadonlySet<string> = new Set(["__proto__", "constructor", "prototype"]);

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPENING_BRACE = 0x7b;
const CLOSING_BRACE = 0x7d;
const OPENING_BRACKET = 0x5b;
const CLOSING_BRACKET = 0x5d;

/** @throws `invalid` what is not JSON, is nested more than 16 deep, or has a poisonous key */
export function parseJson(text: string, what: string): unknown {
  if (isTooDeep(text)) throw new HoldfastError("invalid", `Cannot parse ${what}: nested more than ${DEPTH_MAX} deep`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    const reason = text === "" ? "it is empty, expected JSON" : "it is not JSON";
    throw new HoldfastError("invalid", `Cannot parse ${what}: ${reason}`, { cause });
  }
  if (POISONOUS.test(text)) refusePoisonousKeys(value, what);
  return value;
}

/** Looks at the text only, so that a hostile one costs one pass and no memory. */
function isTooDeep(text: string): boolean {
  let depth = 0;
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    if (code === QUOTE) index = endOfString(text, index);
    else if (code === OPENING_BRACE || code === OPENING_BRACKET) depth += 1;
    else if (code === CLOSING_BRACE || code === CLOSING_BRACKET) depth -= 1;
    if (depth > DEPTH_MAX) return true;
  }
  return false;
}

/** Where the string that opens at `start` closes; the end of the text when it does not. */
function endOfString(text: string, start: number): number {
  for (let index = start + 1; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    if (code === QUOTE) return index;
    if (code === BACKSLASH) index += 1;
  }
  return text.length;
}

function refusePoisonousKeys(value: unknown, what: string): void {
  if (typeof value !== "object" || value === null) return;
  for (const [key, item] of Object.entries(value)) {
    if (POISONOUS_KEYS.has(key)) throw new HoldfastError("invalid", `Cannot parse ${what}: the key ${key} is refused`);
    refusePoisonousKeys(item, what);
  }
}
