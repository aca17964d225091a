/** One small change of the program that takes a protection away, and the tests that must notice. */
export interface Mutant {
  /** What is missing then. */
  readonly name: string;
  /** Below `src`. */
  readonly file: string;
  /** Occurs exactly once in the file. */
  readonly find: string;
  readonly replace: string;
  /** Below `test`: the quickest that fails. */
  readonly test: string;
  /** A pattern for the names of those in the file that are run; without it all. */
  readonly only?: string;
}
