/** What people say about a volume: a description, and free labels. Nothing is decided by them. */
import { HoldfastError } from "./error.ts";
import type { VolumeNote } from "./records.ts";
import { refuse, show } from "./refusal.ts";
import type { Label } from "./resource.ts";

const DESCRIPTION_CHARACTERS_MAX = 1_000;
const LABELS_MAX = 64;
const KEY_CHARACTERS_MAX = 128;
const VALUE_CHARACTERS_MAX = 256;

/** All but a line's end in a description, which may have several lines. */
const CONTROL = /\p{Cc}/u;
const CONTROL_BUT_LINE_END = /[^\P{Cc}\n]/u;

/** What shall become of a note: absent stays as it is, `null` goes away. Labels replace all that were there. */
export interface NoteChange {
  readonly description?: string | null;
  readonly labels?: readonly Label[] | null;
}

/** @throws `invalid` text that is empty, too long, or would play tricks on a terminal */
export function parseDescription(value: unknown): string {
  const what = "the description";
  if (typeof value !== "string") return refuse(what, show(value), "text");
  if (value === "") refuse(what, "empty", "some text, or null for none");
  if (value.length > DESCRIPTION_CHARACTERS_MAX) {
    refuse(what, `${value.length} characters long`, `at most ${DESCRIPTION_CHARACTERS_MAX}`);
  }
  if (!value.isWellFormed() || CONTROL_BUT_LINE_END.test(value)) refuse(what, show(value), "no control characters");
  return value;
}

/** Labels as an object, `{"team":"ads"}`; sorted by key. @throws `invalid` */
export function parseLabels(value: unknown): readonly Label[] {
  const what = "the labels";
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return refuse(what, show(value), 'an object such as {"team":"ads"}');
  }
  const entries = Object.entries(value);
  if (entries.length > LABELS_MAX) refuse(what, `${entries.length} labels`, `at most ${LABELS_MAX}`);
  return entries.map(([key, text]) => parseEntry(key, text)).sort((left, right) => (left.key < right.key ? -1 : 1));
}

/** The note with the change made; `undefined` when nothing is left. */
export function changedNote(note: VolumeNote | undefined, change: NoteChange): VolumeNote | undefined {
  const description = change.description === undefined ? note?.description : (change.description ?? undefined);
  const labels = change.labels === undefined ? note?.labels : (change.labels ?? undefined);
  if (description === undefined && (labels === undefined || labels.length === 0)) return undefined;
  return {
    ...(description === undefined ? {} : { description }),
    ...(labels === undefined || labels.length === 0 ? {} : { labels }),
  };
}

export function isSameNote(left: VolumeNote | undefined, right: VolumeNote | undefined): boolean {
  // Both were made by `changedNote`, field by field in the same order.
  return JSON.stringify(left) === JSON.stringify(right);
}

/** Labels as the wire has them. */
export function labelsObject(labels: readonly Label[]): Readonly<Record<string, string>> {
  return Object.fromEntries(labels.map(({ key, value }) => [key, value ?? ""]));
}

function parseEntry(key: string, value: unknown): Label {
  const what = `the label ${show(key)}`;
  if (key === "" || key.length > KEY_CHARACTERS_MAX || key.includes("=") || !isPlain(key)) {
    const expected = `a key of at most ${KEY_CHARACTERS_MAX} characters, without = and control characters`;
    throw new HoldfastError("invalid", `Cannot parse ${what}: expected ${expected}`);
  }
  if (typeof value !== "string") return refuse(what, show(value), "text");
  if (value.length > VALUE_CHARACTERS_MAX) {
    refuse(what, `${value.length} characters long`, `at most ${VALUE_CHARACTERS_MAX}`);
  }
  if (!isPlain(value)) refuse(what, show(value), "no control characters");
  return { key, value };
}

function isPlain(text: string): boolean {
  return text.isWellFormed() && !CONTROL.test(text);
}
