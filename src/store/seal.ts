/**
 * What all records together are: their number and the sum of their checksums, in a row of the header that every commit
 * keeps up to date. Each row proves itself; this proves that none is missing and none is of another time, which is what
 * a disk that lost a write leaves, or a file that was put back under a newer log.
 */

export interface Seal {
  readonly rows: number;
  /** Of the rows' checksums, modulo 2^32. */
  readonly sum: number;
}

export const NO_ROWS: Seal = Object.freeze({ rows: 0, sum: 0 });

const FORM = /^(\d{1,15}) (\d{1,10})$/;

/** Adds rows, or removes them where `rows` is negative. */
export function addToSeal(seal: Seal, rows: number, sum: number): Seal {
  return { rows: seal.rows + rows, sum: (seal.sum + sum) >>> 0 };
}

export function printSeal({ rows, sum }: Seal): string {
  return `${rows} ${sum}`;
}

/** `undefined` when it is absent or lost. */
export function parseSeal(text: string | undefined): Seal | undefined {
  const [, rows, sum] = FORM.exec(text ?? "") ?? [];
  return rows === undefined || sum === undefined ? undefined : { rows: Number(rows), sum: Number(sum) };
}

export function isSameSeal(left: Seal, right: Seal): boolean {
  return left.rows === right.rows && left.sum === right.sum;
}
