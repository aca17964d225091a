/**
 * What a form says while somebody types: the daemon's own parsers for roles, ids, paths and sizes, and Marathon's rules for
 * apps. The daemon judges again whatever is sent.
 */
import { readAppId } from "../domain/app-id.ts";
import { messageOf } from "../domain/error.ts";
import { parseContainerPath, parseRole, parseVolumeId } from "../domain/names.ts";
import { parseSizeMb } from "../domain/size.ts";

/** What is wrong, as the end of "It must be ...": `undefined` when nothing is. */
export type Rule = (text: string) => string | undefined;

const INSTANCES_MAX = 10_000;

export const ruleOfRole: Rule = (text) => refusalOf(() => parseRole(text));
export const ruleOfId: Rule = (text) => refusalOf(() => parseVolumeId(text));
export const ruleOfContainerPath: Rule = (text) =>
  text.includes("/") ? "one name without slashes: paths cannot be nested" : refusalOf(() => parseContainerPath(text));

export const ruleOfSizeMib: Rule = (text) => {
  if (text.trim() === "") return "a number of MiB";
  return /^\d+(\.\d+)?$/.test(text.trim())
    ? refusalOf(() => parseSizeMb(text.trim(), "it"))
    : "a number of MiB, more than 0";
};

export const ruleOfAppId: Rule = (text) => {
  if (text.replaceAll("/", "") === "") return "a path, for example /sesame/samson";
  return "error" in readAppId(text)
    ? "a path of lower-case letters, digits, dots and hyphens, each part with a letter or digit at both ends"
    : undefined;
};

export const ruleOfInstances: Rule = (text) => {
  const count = Number(text);
  if (!/^\d+$/.test(text)) return "a whole number, 0 or more";
  return count > INSTANCES_MAX ? `at most ${INSTANCES_MAX}` : undefined;
};

/** Every volume of an app has a path of its own. */
export function ruleOfPathAmong(others: readonly string[]): Rule {
  return (text) => (others.includes(text) ? "another name: a volume above has this one" : ruleOfContainerPath(text));
}

/** The parsers say "..., expected no white space". */
function refusalOf(parse: () => unknown): string | undefined {
  try {
    parse();
    return undefined;
  } catch (error) {
    return messageOf(error).split(", expected ").at(-1);
  }
}
