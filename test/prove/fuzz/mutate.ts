/** Makes strange inputs out of valid ones. */
import type { Chance } from "../../simulation/chance.ts";

/** Texts that parsers have stumbled over. */
const TOKENS = [
  "\0",
  "\n",
  "\r\n",
  " ",
  "\t",
  "\u0085",
  "\u2028",
  "\ufeff",
  "\ud800",
  "\udfff",
  "\u202e",
  "é",
  "💥",
  "\\",
  "\\u0000",
  "\\ud800",
  '"',
  "'",
  "`",
  "{",
  "}",
  "[",
  "]",
  "(",
  ")",
  ":",
  ";",
  ",",
  ".",
  "..",
  "/",
  "//",
  "../",
  "*",
  "%",
  "%00",
  "%zz",
  "%c3%28",
  "&",
  "=",
  "+",
  "-",
  "-0",
  "0",
  "00",
  "1e999",
  "-1",
  "0.0005",
  "9007199254740993",
  "18446744073709551616",
  "1e-400",
  "NaN",
  "Infinity",
  "0x10",
  "null",
  "true",
  "__proto__",
  "constructor",
  "prototype",
  "toString",
  "hasOwnProperty",
  "then",
  '"__proto__":{"polluted":1},',
  "&a *a",
  "*a",
  "!!js/function",
  "<<: ",
  "---\n",
  "? ",
  "#",
  "|\n",
  "holdfast",
  "disk",
  "MB",
] as const;
const REPEATS = [2, 17, 100, 1_000, 20_000] as const;
const EDITS = [1, 1, 1, 2, 3, 8] as const;

/** A text with a few edits. */
export function mutateText(text: string, others: readonly string[], chance: Chance): string {
  let result = text;
  for (let edits = chance.pick(EDITS); edits > 0; edits -= 1) result = chance.pick(TEXT_EDITS)(result, others, chance);
  return result;
}

/** Bytes with a few edits: not always UTF-8. */
export function mutateBytes(bytes: Buffer, chance: Chance): Buffer {
  let result = Buffer.from(bytes);
  for (let edits = chance.pick(EDITS); edits > 0; edits -= 1) {
    const at = chance.below(result.length + 1);
    const to = at + chance.below(Math.min(16, result.length - at + 1));
    const kind = chance.below(4);
    if (kind === 0 && at < result.length) result.writeUInt8(result.readUInt8(at) ^ (1 << chance.below(8)), at);
    else if (kind === 1) result = Buffer.concat([result.subarray(0, at), result.subarray(to)]);
    else if (kind === 2) result = Buffer.concat([result.subarray(0, at), randomBytes(chance), result.subarray(at)]);
    else result = Buffer.concat([result.subarray(0, to), result.subarray(at)]);
  }
  return result;
}

/** A value like the sample, in which something is something else. */
export function mutateValue(value: unknown, chance: Chance, depth = 0): unknown {
  if (chance.percent(depth === 0 ? 2 : 12)) return strangeValue(chance);
  if (Array.isArray(value)) return mutateList(value, chance, depth);
  if (typeof value === "object" && value !== null) return mutateObject(value, chance, depth);
  if (typeof value === "string" && chance.percent(15)) return mutateText(value, [], chance);
  return value;
}

export function strangeValue(chance: Chance): unknown {
  return chance.pick(STRANGE)(chance);
}

const STRANGE: readonly ((chance: Chance) => unknown)[] = [
  () => null,
  () => undefined,
  () => [],
  () => ({}),
  () => "",
  () => true,
  () => "*",
  (chance) => chance.pick(TOKENS),
  (chance) => chance.pick(TOKENS).repeat(chance.pick(REPEATS)),
  (chance) => chance.pick([-1, 0, -0, 0.5, 1e-9, 1e308, 2 ** 53, 2 ** 32, -(2 ** 31), 1.7976931348623157e308]),
  (chance) => nested(chance.pick([1, 15, 16, 17, 70, 500])),
  (chance) => Array.from({ length: chance.pick([1, 100, 3_000]) }, () => ({})),
  (chance) => Object.fromEntries(Array.from({ length: chance.pick([1, 300]) }, (_, number) => [`k${number}`, number])),
];

type TextEdit = (text: string, others: readonly string[], chance: Chance) => string;

const TEXT_EDITS: readonly TextEdit[] = [
  (text, _, chance) => insert(text, chance.pick(TOKENS), chance),
  (text, _, chance) => insert(text, chance.pick(TOKENS).repeat(chance.pick(REPEATS)), chance),
  (text, _, chance) => insert(text, String.fromCharCode(chance.below(0x1_0000)), chance),
  (text, _, chance) => text.slice(0, chance.below(text.length + 1)),
  (text, _, chance) => text.slice(chance.below(text.length + 1)),
  (text, _, chance) => without(text, chance),
  (text, _, chance) => twice(text, chance),
  (text, others, chance) =>
    text.slice(0, chance.below(text.length + 1)) + tailOf(others.length === 0 ? text : chance.pick(others), chance),
  (text, _, chance) => text.replace(/\d+/, chance.pick(TOKENS)),
  (text, _, chance) => changeCharacter(text, chance),
];

function insert(text: string, piece: string, chance: Chance): string {
  const at = chance.below(text.length + 1);
  return text.slice(0, at) + piece + text.slice(at);
}

function without(text: string, chance: Chance): string {
  const at = chance.below(text.length + 1);
  return text.slice(0, at) + text.slice(at + chance.below(12));
}

function twice(text: string, chance: Chance): string {
  const at = chance.below(text.length + 1);
  const to = at + chance.below(64);
  return text.slice(0, to) + text.slice(at, to).repeat(chance.pick([1, 2, 100])) + text.slice(to);
}

function tailOf(text: string, chance: Chance): string {
  return text.slice(chance.below(text.length + 1));
}

function changeCharacter(text: string, chance: Chance): string {
  const at = chance.below(text.length + 1);
  return text.slice(0, at) + String.fromCharCode(text.charCodeAt(at) ^ (1 << chance.below(7))) + text.slice(at + 1);
}

function mutateList(list: readonly unknown[], chance: Chance, depth: number): unknown[] {
  const items = list.map((item) => mutateValue(item, chance, depth + 1));
  if (chance.percent(10)) items.push(strangeValue(chance));
  if (chance.percent(10)) items.push(...list);
  return chance.percent(5) ? items.slice(1) : items;
}

function mutateObject(value: object, chance: Chance, depth: number): object {
  const entries = Object.entries(value).filter(() => !chance.percent(5));
  const changed = entries.map(([key, item]) => [
    chance.percent(2) ? mutateText(key, [], chance) : key,
    mutateValue(item, chance, depth + 1),
  ]);
  if (chance.percent(6)) changed.push([chance.pick(TOKENS), strangeValue(chance)]);
  return Object.fromEntries(changed);
}

function nested(depth: number): unknown {
  let value: unknown = 1;
  for (let level = 0; level < depth; level += 1) value = level % 2 === 0 ? [value] : { a: value };
  return value;
}

function randomBytes(chance: Chance): Buffer {
  return Buffer.from(Array.from({ length: 1 + chance.below(8) }, () => chance.below(256)));
}
