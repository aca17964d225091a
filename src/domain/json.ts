/**
 * Reading decoded JSON by the rules of Mesos's own reader: `null` is an absent field, a single value stands for a list of
 * one, a number or boolean may be written as a string, and what is not asked for is ignored. Only own properties of plain
 * objects are looked at, so that a `__proto__` key is a key like any other.
 */
import { oneOf, refuse, show } from "./refusal.ts";

/** An object as JSON has them. Read it with `fieldOf`. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** @throws `invalid` what is not a plain object */
export function parseObject(value: unknown, what: string): JsonObject {
  return isPlainObject(value) ? value : refuse(what, show(value), "an object");
}

/** The value of a field; `undefined` when it is absent or null. */
export function fieldOf(object: JsonObject, key: string): unknown {
  return Object.hasOwn(object, key) ? (object[key] ?? undefined) : undefined;
}

/** A repeated field's values: none when it is absent, one when it is a single value. */
export function listOf(value: unknown): readonly unknown[] {
  const values = Array.isArray(value) ? value : [value];
  return values.filter((item) => item !== undefined && item !== null);
}

/** @throws `invalid` what is not a string, or holds a lone surrogate */
export function parseString(value: unknown, what: string): string {
  if (typeof value !== "string") return refuse(what, show(value), "a string");
  return value.isWellFormed() ? value : refuse(what, show(value), "well-formed Unicode");
}

/** @throws `invalid` what is neither a number nor a string that holds one */
export function parseNumber(value: unknown, what: string): number {
  const number = typeof value === "string" ? literalOf(value) : value;
  return typeof number === "number" ? number : refuse(what, show(value), "a number");
}

/** @throws `invalid` what is neither a boolean nor a string that holds one */
export function parseBoolean(value: unknown, what: string): boolean {
  const boolean = typeof value === "string" ? literalOf(value) : value;
  return typeof boolean === "boolean" ? boolean : refuse(what, show(value), "true or false");
}

/** @throws `invalid` what is not one of the words */
export function parseWord<Word extends string>(value: unknown, words: readonly Word[], what: string): Word {
  return words.find((word) => word === value) ?? refuse(what, show(value), oneOf(words));
}

function isPlainObject(value: unknown): value is JsonObject {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function literalOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
