/**
 * Makes the fields of a log line fit to be written: secrets out, long strings cut, errors as plain objects, depth and
 * breadth bounded.
 */
import { HoldfastError } from "../domain/error.ts";

const STRING_MAX = 1000;
const STACK_MAX = 4000;
const ITEMS_MAX = 100;
const DEPTH_MAX = 6;

const SECRET_KEYS = new Set(["authorization", "proxy-authorization", "cookie", "set-cookie", "secret", "password"]);

/** A copy that JSON can hold; `message` and other texts of people are cut to 1,000 characters. */
export function presentable(fields: object): Record<string, unknown> {
  return entriesOf(fields instanceof Error ? { error: fields } : fields, 0);
}

/** The beginning of a long text and how much is missing. */
export function cut(text: string, max: number = STRING_MAX): string {
  return text.length <= max ? text : `${text.slice(0, max)}… (${text.length - max} more)`;
}

function shown(value: unknown, depth: number): unknown {
  if (typeof value === "string") return cut(value);
  if (typeof value === "bigint") return String(value);
  if (typeof value !== "object" || value === null) return value;
  if (depth >= DEPTH_MAX) return "…";
  if (value instanceof Error) return errorOf(value, depth);
  if (value instanceof Date) return value;
  if (Buffer.isBuffer(value)) return `(${value.length} bytes)`;
  if (value instanceof Set) return shown([...value], depth);
  if (value instanceof Map) return entriesOf(Object.fromEntries(value), depth);
  if (Array.isArray(value)) return itemsOf(value, depth);
  return entriesOf(value, depth);
}

function itemsOf(items: readonly unknown[], depth: number): unknown[] {
  const first = items.slice(0, ITEMS_MAX).map((item) => shown(item, depth + 1));
  return items.length > ITEMS_MAX ? [...first, `… (${items.length - ITEMS_MAX} more)`] : first;
}

function entriesOf(object: object, depth: number): Record<string, unknown> {
  const entries = Object.entries(object).slice(0, ITEMS_MAX);
  return Object.fromEntries(
    entries.map(([key, value]) => [
      cut(key, 100),
      SECRET_KEYS.has(key.toLowerCase()) ? "(secret)" : shown(value, depth + 1),
    ]),
  );
}

/** A refusal of ours explains itself; of anything else the stack is wanted. */
function errorOf(error: Error, depth: number): Record<string, unknown> {
  const own = entriesOf(error, depth);
  return {
    ...own,
    name: error.name,
    message: cut(error.message),
    ...(error instanceof HoldfastError ? {} : { stack: cut(error.stack ?? "", STACK_MAX) }),
    ...(error.cause === undefined ? {} : { cause: shown(error.cause, depth + 1) }),
  };
}
