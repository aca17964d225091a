/** What the rounds were and what they found. */

export interface Tally {
  readonly seed: number;
  rounds: number;
  /** How often an owner ended how. */
  readonly ends: Record<string, number>;
  /** From the death of an owner until somebody else has the work root. */
  readonly takeOversMs: number[];
  /** The same until the next daemon is ready. */
  readonly daemonTakeOversMs: number[];
  readonly violations: string[];
}

/** A further violation in the round that is played now. */
export function blame({ violations, rounds, seed }: Tally, finding: string): void {
  violations.push(`round ${rounds + 1} of seed ${seed}: ${finding}`);
}

export function noteEnd({ ends }: Tally, end: string): void {
  ends[end] = (ends[end] ?? 0) + 1;
}
