/** Durations as people write them in options, files and Mesos's flags. */

const MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };

const UNIT_MS: Readonly<Record<string, number>> = {
  ...MS,
  secs: MS.s,
  mins: MS.m,
  hrs: MS.h,
  days: MS.d,
  weeks: MS.w,
};

const DURATION = /^(\d{1,12}(?:\.\d{1,9})?)([a-z]{1,5})$/;

/** What to write instead, for error messages. */
export const DURATION_FORM = "a duration such as 1w, 12h, 30m or 90s";

/**
 * Whole milliseconds of `1w`, `1.5h`, `90s`, `1m`, `500ms`, and of Mesos's `1weeks`, `1days`, `1hrs`, `1mins`,
 * `10secs`; `undefined` for anything else. A unit is required, a sign is not understood.
 */
export function parseDuration(text: string): number | undefined {
  const [, amount, unit] = DURATION.exec(text) ?? [];
  if (amount === undefined || unit === undefined || !Object.hasOwn(UNIT_MS, unit)) return undefined;
  const durationMs = Math.round(Number(amount) * (UNIT_MS[unit] ?? Number.NaN));
  return Number.isSafeInteger(durationMs) ? durationMs : undefined;
}
