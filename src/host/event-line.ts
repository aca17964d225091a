/**
 * One line of the audit trail: an event as JSON whose last field is the CRC-32 of what stands before it, or a mark of an
 * open and close of the trail. Every line is JSON, for whoever reads the files by hand.
 *
 *   {"seq":17,"at":1767323045678,"type":"created","by":"ops","role":"ads","id":"db","uuid":"…","size":512000,"crc":"0a1b2c3d"}
 *   {"mark":"open","boot":"…","crc":"0a1b2c3d"}
 */
import { crc32 } from "node:zlib";
import { EVENT_TYPES, type EventDraft, type EventFilter, type EventType, type NodeEvent } from "../domain/event.ts";

/** `close` is the last line of a trail that was closed, so that nothing behind it can be missing. */
export type Mark = { readonly mark: "open"; readonly boot: string } | { readonly mark: "close" };

/** How the mark of an open begins. */
export const OPEN_MARK = '{"mark":"open"';

const TYPES: ReadonlySet<string> = new Set(EVENT_TYPES);
const CHECKSUM = /^,"crc":"([0-9a-f]{8})"\}$/;
const CHECKSUM_CHARACTERS = ',"crc":"00000000"}'.length;

/** With its line end. */
export function printEvent(seq: number, { at, type, by, ...facts }: EventDraft): string {
  return seal(JSON.stringify({ seq, at, type, by, ...facts }));
}

export function printMark(mark: Mark): string {
  return seal(JSON.stringify(mark));
}

/** What a line without its end says; `undefined` when it is damaged. */
export function parseLine(line: string): NodeEvent | Mark | undefined {
  const end = line.length - CHECKSUM_CHARACTERS;
  const checksum = CHECKSUM.exec(line.slice(end))?.[1];
  if (checksum === undefined || checksum !== checksumOf(line.slice(0, end))) return undefined;
  try {
    const { crc: _, ...value } = JSON.parse(line) as Record<string, unknown>;
    return isEvent(value) || isMark(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

export function isEvent(value: object): value is NodeEvent {
  return "seq" in value && Number.isSafeInteger(value.seq) && "type" in value && TYPES.has(value.type as EventType);
}

function isMark(value: object): value is Mark {
  return "mark" in value && (value.mark === "close" || (value.mark === "open" && "boot" in value));
}

/** Text that every line has that a filter wants: a look at the bytes spares most lines from being parsed. */
export function needlesOf({ id, uuid, type, by, role, app }: EventFilter): readonly string[] {
  const wanted = { uuid, id, app, role, by, type };
  return Object.entries(wanted).flatMap(([field, value]) =>
    value === undefined ? [] : [`"${field}":${JSON.stringify(value)}`],
  );
}

function seal(json: string): string {
  const open = json.slice(0, -1);
  return `${open},"crc":"${checksumOf(open)}"}\n`;
}

function checksumOf(text: string): string {
  return crc32(text).toString(16).padStart(8, "0");
}
