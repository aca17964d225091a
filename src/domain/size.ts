/**
 * Sizes at the doors. Mesos compares sizes as three-decimal fixed point, so a size is rounded to thousandths of a MB
 * (MiB) once, here, half away from zero.
 */
import { parseNumber } from "./json.ts";
import { refuse, show } from "./refusal.ts";
import { MAX_MB, type MilliMb, toMb } from "./units.ts";

/** MB in one of each unit, by its first letter: all of them binary. */
const UNITS: Readonly<Record<string, number>> = { K: 1 / 1024, M: 1, G: 1024, T: 1024 ** 2, P: 1024 ** 3 };
const HUMAN_SIZE = /^(?<number>\d+(?:\.\d+)?) ?(?:(?<unit>[KMGTP])(?:i?B)?)?$/i;

/**
 * A size in MB as Mesos writes it: a number, or a string with one.
 * @param options.zero whether zero is a size too; where disk is named it is not, because it would mean nothing
 * @throws `invalid` what is negative, not finite, too large to be exact, or so small that it rounds to zero
 */
export function parseSizeMb(value: unknown, what: string, options: { readonly zero?: boolean } = {}): MilliMb {
  const mb = parseNumber(value, what);
  const size = Math.round(mb * 1000);
  if (mb === 0 && options.zero === true) return 0 as MilliMb;
  if (Number.isNaN(mb) || mb <= 0) refuse(what, show(value), options.zero === true ? "0 or more" : "more than 0");
  if (size === 0) refuse(what, show(value), "at least 0.001 MB");
  if (!Number.isSafeInteger(size)) refuse(what, show(value), `at most ${MAX_MB} MB`);
  return size as MilliMb;
}

/**
 * A size as people write it, in MB unless it has a unit: `512`, `512M`, `512MiB`, `1.5G`, `2 TB`. All units are binary.
 * @throws `invalid` anything else, and what `parseSizeMb` refuses
 */
export function parseHumanSize(value: unknown, what = "the size"): MilliMb {
  const groups = typeof value === "string" ? HUMAN_SIZE.exec(value.trim())?.groups : undefined;
  const factor = UNITS[groups?.["unit"]?.toUpperCase() ?? "M"];
  if (groups === undefined || factor === undefined) return refuse(what, show(value), "a size like 512, 512M or 1.5G");
  return parseSizeMb(Number(groups["number"]) * factor, what);
}

/** A size for people: `512 MB`, `0.5 MB`. */
export function printSize(size: MilliMb): string {
  return `${toMb(size)} MB`;
}
