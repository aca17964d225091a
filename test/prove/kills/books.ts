/** What a node was told and has acknowledged: reservations, volumes and containers, as text that can be compared. */

export interface BookedVolume {
  readonly id: string;
  readonly sizeMb: number;
  readonly retained: boolean;
  /** Who has it; none of a retained one. */
  readonly container?: string;
}

/** Every id is used once, so that it names an incarnation. */
export interface Books {
  readonly reservedMb: number;
  readonly volumes: ReadonlyMap<string, BookedVolume>;
}

export const EMPTY: Books = { reservedMb: 0, volumes: new Map() };

/** These books with some volumes replaced; `undefined` takes one away. */
export function withVolumes(books: Books, changes: Readonly<Record<string, BookedVolume | undefined>>): Books {
  const volumes = new Map(books.volumes);
  for (const [id, volume] of Object.entries(changes)) {
    if (volume === undefined) volumes.delete(id);
    else volumes.set(id, volume);
  }
  return { ...books, volumes };
}

export function freeMb({ reservedMb, volumes }: Books): number {
  return [...volumes.values()].reduce((free, { sizeMb, retained }) => (retained ? free : free - sizeMb), reservedMb);
}

/** One line for everything; the same books have the same lines. */
function linesOf({ reservedMb, volumes }: Books): readonly string[] {
  const lines = [...volumes.values()].map(({ id, sizeMb, retained, container }) => {
    const state = retained ? "retained" : container === undefined ? "detached" : `attached to ${container}`;
    return `${id} ${sizeMb} MB ${state}`;
  });
  return [`${reservedMb} MB reserved`, ...lines.sort()];
}

export function isSame(left: Books, right: Books): boolean {
  return linesOf(left).join("\n") === linesOf(right).join("\n");
}

/** What one has and the other has not. */
export function differenceOf(expected: Books, found: Books): string {
  const [left, right] = [linesOf(expected), linesOf(found)];
  const missing = left.filter((line) => !right.includes(line)).map((line) => `-${line}`);
  const surplus = right.filter((line) => !left.includes(line)).map((line) => `+${line}`);
  return [...missing, ...surplus].join(", ");
}
