/**
 * What a client may rely on: kept by the client from what it was answered, never from what the engine remembers. What
 * was not answered may have happened or not; an attach or detach that was not answered may have happened for some of
 * its volumes.
 */
import type { Incarnation } from "../../src/domain/units.ts";
import type { StoreContents } from "../../src/ports/store.ts";

/** A volume of which only the name is known: whoever created it was not answered. */
export const NEW = "new";

export interface BookedVolume {
  readonly uuid: Incarnation | typeof NEW;
  readonly id: string;
  readonly sizeMb: number;
  readonly live: boolean;
  /** Protected or pinned. */
  readonly marked: boolean;
}

export interface Books {
  readonly reservedMb: number;
  readonly volumes: readonly BookedVolume[];
  /** `container path uuid` of what is attached. */
  readonly attached: readonly string[];
}

export const EMPTY: Books = { reservedMb: 0, volumes: [], attached: [] };

/** What may be true: exactly one of `before` and `after` in each of its parts. */
export interface Belief {
  readonly before: Books;
  readonly after: Books;
}

/**
 * What the checkpoint says about one client: its role, and the containers whose ids start with it. A copy that is not
 * finished is nobody's, nor is what was reserved for it.
 */
export function booksOf(contents: StoreContents, role: string): Books {
  const { reservations, volumes, containers } = contents.records;
  return {
    reservedMb:
      sum([...reservations.values()].filter(isOf(role)).map(({ size }) => size / 1_000)) -
      sum(
        [...volumes.values()]
          .filter((volume) => volume.role === role && volume.phase === "live")
          .map(({ copying }) => (copying?.reserved ?? 0) / 1_000),
      ),
    volumes: [...volumes.values()]
      .filter((volume) => volume.role === role && volume.copying === undefined)
      .map(({ uuid, id, size, phase, ...marks }) => ({
        uuid,
        id,
        sizeMb: size / 1_000,
        live: phase === "live",
        marked: marks.protected === true || marks.pinned === true,
      })),
    attached: [...containers.values()]
      .filter(({ id }) => id.startsWith(`${role}-`))
      .flatMap(({ id, attachments }) =>
        attachments
          .filter(({ phase }) => phase === "attached")
          .map(({ uuid, containerPath }) => `${id} ${containerPath} ${uuid}`),
      ),
  };
}

/** Why the checkpoint contradicts what a client may rely on; nothing when it does not. */
export function contradictions(actual: Books, { before, after }: Belief): string[] {
  const found: string[] = [];
  const isDisk = (books: Books) => actual.reservedMb === books.reservedMb && sameVolumes(actual, books);
  if (!isDisk(before) && !isDisk(after)) found.push(`has ${show(actual)}, not ${show(before)} nor ${show(after)}`);
  const certain = before.attached.filter((one) => after.attached.includes(one));
  const missing = certain.filter((one) => !actual.attached.includes(one));
  const extra = actual.attached.filter((one) => !before.attached.includes(one) && !after.attached.includes(one));
  if (missing.length > 0) found.push(`is not attached any more: ${missing}`);
  if (extra.length > 0) found.push(`is attached without having been asked for: ${extra}`);
  return found;
}

function sameVolumes(actual: Books, booked: Books): boolean {
  const known = new Set(booked.volumes.map(({ uuid }) => uuid));
  const seen = actual.volumes.map((volume) => describe(known.has(volume.uuid) ? volume : { ...volume, uuid: NEW }));
  return seen.toSorted().join() === booked.volumes.map(describe).toSorted().join();
}

function describe({ uuid, id, sizeMb, live, marked }: BookedVolume): string {
  return `${uuid} ${id} ${sizeMb} ${live ? "live" : "retained"}${marked ? " marked" : ""}`;
}

function show(books: Books): string {
  return `${books.reservedMb} MB and [${books.volumes.map(describe).toSorted()}]`;
}

function isOf(role: string) {
  return (entry: { readonly reservations: readonly { readonly role: string }[] }) =>
    entry.reservations.at(-1)?.role === role;
}

export function sum(sizes: readonly number[]): number {
  return sizes.reduce((total, size) => total + size, 0);
}
