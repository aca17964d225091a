/** What the clients did and what was found. */

export interface Tally {
  operations: number;
  unanswered: number;
  /** Definite answers that were no. */
  readonly refusals: Map<string, number>;
  readonly attachMs: number[];
  readonly violations: string[];
}

export function newTally(): Tally {
  return { operations: 0, unanswered: 0, refusals: new Map(), attachMs: [], violations: [] };
}

export function median(values: readonly number[]): number {
  return values.toSorted((left, right) => left - right)[Math.floor(values.length / 2)] ?? 0;
}

export function percentile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((left, right) => left - right);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
}
