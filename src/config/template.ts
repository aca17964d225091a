/** The configuration file as it is installed: every setting with what it means, and set where it differs from its default. */
import { parse, stringify } from "yaml";
import { DAEMON_OPTIONS, type DaemonOption } from "./options.ts";

const HEAD = `# Configuration of Holdfast. What is commented out has the value that it shows, or is off where it shows only
# what kind of value it takes. Every key is also a flag of holdfast daemon, and the flag wins.
#
# Before a restart, holdfast daemon --config FILE --check says whether the daemon would start with it.
`;
const WIDTH = 110;

export function configurationTemplate(): string {
  return `${HEAD}${DAEMON_OPTIONS.map((option) => `\n${setting(option)}`).join("")}`;
}

function setting(option: DaemonOption): string {
  const comment = wrap(option.help).map((line) => `# ${line}\n`);
  const line =
    option.installed === undefined ? `#${option.name}: ${value(option)}` : `${option.name}: ${option.installed}`;
  return `${comment.join("")}${line}\n`;
}

/** The default, or what kind of value it takes. */
function value({ default: usual, argument, repeatable }: DaemonOption): string {
  if (usual !== undefined) return stringify(parse(usual), { lineWidth: 0 }).trim();
  return repeatable ? `[${argument}, ...]` : argument;
}

function wrap(text: string): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    if (last === undefined || last.length + word.length >= WIDTH) lines.push(word);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines;
}
