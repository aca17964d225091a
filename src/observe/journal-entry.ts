/**
 * A log line in the journal's own protocol: a message that reads well, with what belongs to it behind, and the same as
 * fields to filter by. `{ error }` becomes HOLDFAST_ERROR_CODE, HOLDFAST_ERROR_MESSAGE and so on; what lies deeper is JSON.
 */
import type { Log } from "../ports/log.ts";

/** As syslog counts: what `journalctl -p warning` and its colours go by. */
export const PRIORITY: Readonly<Record<keyof Log, number>> = { error: 3, warn: 4, info: 6, debug: 7 };

const NAME_MAX = 64;
const SHOWN_MAX = 200;

const LINE_BREAK = Buffer.from("\n");
/** What a terminal would act upon, and journalctl would hide the whole message for. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

/** `fields` as `presentable` leaves them. */
export function journalEntry(level: keyof Log, fields: Readonly<Record<string, unknown>>, message: string): Buffer {
  return Buffer.concat([
    field("MESSAGE", readable(fields, message)),
    field("PRIORITY", String(PRIORITY[level])),
    field("SYSLOG_IDENTIFIER", "holdfast"),
    ...Object.entries(fields).flatMap(([key, value]) => fieldsOf(`HOLDFAST_${nameOf(key)}`, value)),
  ]);
}

function readable(fields: Readonly<Record<string, unknown>>, message: string): string {
  const details = Object.entries(fields).flatMap(([key, value]) => {
    const text = detail(value, message);
    return text === undefined ? [] : [`${key}=${quoted(text)}`];
  });
  return [message, ...details].join(" ").replace(UNPRINTABLE, spelledOut);
}

/** Of an error what it says, unless the message says it already; of anything else as much as fits on a line. */
function detail(value: unknown, message: string): string | undefined {
  if (value === undefined) return undefined;
  if (isRecord(value) && typeof value["message"] === "string") {
    return message.includes(value["message"]) ? undefined : value["message"];
  }
  const text = textOf(value);
  return text.length > SHOWN_MAX ? `${text.slice(0, SHOWN_MAX)}…` : text;
}

function quoted(text: string): string {
  return /^[^\s"=]+$/.test(text) ? text : JSON.stringify(text);
}

function spelledOut(character: string): string {
  return `\\u{${character.codePointAt(0)?.toString(16)}}`;
}

function fieldsOf(name: string, value: unknown): Buffer[] {
  if (value === undefined) return [];
  if (!isRecord(value)) return [field(name, textOf(value))];
  return Object.entries(value)
    .filter(([, part]) => part !== undefined)
    .map(([key, part]) => field(`${name}_${nameOf(key)}`, textOf(part)));
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : (JSON.stringify(value) ?? String(value));
}

/** `workRoot` is WORK_ROOT. */
function nameOf(key: string): string {
  return key
    .replaceAll(/(?<=[a-z0-9])(?=[A-Z])/g, "_")
    .toUpperCase()
    .replaceAll(/[^A-Z0-9_]/g, "_");
}

/** A line break in a value would begin another field: such a value goes with its length before it. */
function field(name: string, value: string): Buffer {
  const label = name.slice(0, NAME_MAX);
  const bytes = Buffer.from(value);
  if (!bytes.includes(LINE_BREAK)) return Buffer.concat([Buffer.from(`${label}=`), bytes, LINE_BREAK]);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(bytes.length));
  return Buffer.concat([Buffer.from(`${label}\n`), length, bytes, LINE_BREAK]);
}
