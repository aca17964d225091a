/**
 * The protocols of the proof: each tries one way to break Holdfast, again and again, with random choices that its seed
 * repeats, until its time or its count is up. A violation is a sentence; none may be left.
 */

/** What one run of a protocol is given. */
export interface Trial {
  /** 31 bits; the same seed makes the same choices, as far as the kernel plays along. */
  readonly seed: number;
  /** Begin nothing new after this many milliseconds since the start. */
  readonly budgetMs: number;
  /** Enough is enough: the figure to reach, or infinity when only time counts. */
  readonly count: number;
  /** Begin nothing new once it is aborted. */
  readonly interruption: AbortSignal;
  /** For people who wait: one line, now and then. */
  readonly progress: (line: string) => void;
}

export interface Evidence {
  /** How many of the protocol's `unit` were tried. */
  readonly count: number;
  /** One sentence each, with what repeats it. */
  readonly violations: readonly string[];
  /** Further figures for the table: `kills` 31. */
  readonly figures?: Readonly<Record<string, number | string>>;
}

export interface Protocol {
  readonly name: string;
  /** What it does, in one line. */
  readonly title: string;
  /** What is counted: `crash states`. */
  readonly unit: string;
  /** How many the long run reaches. */
  readonly target: number;
  /** Its share of the short run's time: a weight. */
  readonly share: number;
  /** Why it cannot run here; `undefined` when it can. */
  readonly unavailable?: () => string | undefined;
  /** Leaves nothing behind, also when it throws. */
  readonly run: (trial: Trial) => Promise<Evidence>;
}
