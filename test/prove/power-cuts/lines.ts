/** What the host says to a guest when it lives again, and what it hears from there, a line of JSON each. */
import type { Wish } from "./ledger.ts";

/** One life: from the power's coming to its going. */
export interface Life {
  /** Of all that is chosen in it. */
  readonly seed: number;
  /** Begins all ids of this life, which no other may have. */
  readonly name: string;
  readonly clients: number;
  /** Whether the daemon is killed and started once more before clients come, and `doctor` asked. */
  readonly isExamined: boolean;
  /** Whether the daemon's syncs do nothing: what it acknowledges then must be lost. */
  readonly isUnsynced: boolean;
}

export type Line =
  /** What a daemon has after its start, the first or the second one. */
  | { readonly is: "found"; readonly facts: readonly (readonly [string, string])[]; readonly faults: readonly string[] }
  | { readonly is: "doctor"; readonly faults: readonly string[] }
  /** Clients begin. */
  | { readonly is: "working" }
  | { readonly is: "wish"; readonly wish: Wish }
  | { readonly is: "acknowledged"; readonly client: string }
  /** Nothing was done, for a good reason. */
  | { readonly is: "refused"; readonly client: string; readonly why: string }
  | { readonly is: "fault"; readonly fault: string };
