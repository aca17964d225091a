/**
 * How parsers refuse. `what` names the place, from the whole to the part: "the role", "the resources: item 2: role".
 */
import { HoldfastError } from "./error.ts";

const SHOWN_CHARACTERS_MAX = 60;

/**
 * Refuses a value: "Cannot parse the resources: item 2: scalar.value is -1, expected more than 0".
 * @throws `invalid` always
 */
export function refuse(what: string, found: string, expected: string): never {
  const subject = what.includes(": ") ? what : `${what}: it`;
  throw new HoldfastError("invalid", `Cannot parse ${subject} is ${found}, expected ${expected}`);
}

/** A value as a message shows it: one line, not long, no control characters, well-formed Unicode. */
export function show(value: unknown): string {
  if (typeof value === "string") return quote(value);
  if (typeof value === "number" || typeof value === "boolean" || value === null) return String(value);
  if (value === undefined) return "missing";
  if (Array.isArray(value)) return "a list";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}

/** A list of words as a message shows it: `a, b or c`. */
export function oneOf(words: readonly string[]): string {
  const last = words.at(-1) ?? "nothing";
  return words.length < 2 ? last : `${words.slice(0, -1).join(", ")} or ${last}`;
}

function quote(text: string): string {
  const quoted = JSON.stringify(text.slice(0, SHOWN_CHARACTERS_MAX));
  // JSON leaves DEL and the C1 controls as they are; a terminal would obey them.
  const printable = quoted.replace(
    /\p{Cc}/gu,
    (control) => `\\u${control.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  return text.length > SHOWN_CHARACTERS_MAX ? `${printable}...` : printable;
}
