/** Writes the tables of the README that the code knows better: `node scripts/readme.ts`. A test holds the README to it. */
import { readFileSync, writeFileSync } from "node:fs";
import { DAEMON_OPTIONS, type DaemonOption } from "../src/config/options.ts";
import { ERROR_CODES, type ErrorCode } from "../src/domain/error.ts";
import { STATUS } from "../src/faces/http/errors.ts";

const README = new URL("../README.md", import.meta.url);

/** The text with every generated table in it, between `<!-- NAME -->` and the next blank line behind the table. */
export function withTables(text: string): string {
  return Object.entries({ options: optionsTable(), errors: errorsTable() }).reduce(
    (page, [name, table]) => page.replace(new RegExp(`<!-- ${name} -->\\n(?:\\|.*\\n)*`), `<!-- ${name} -->\n${table}`),
    text,
  );
}

function optionsTable(): string {
  return table(
    ["flag", "key", "default", "what"],
    DAEMON_OPTIONS.map((option: DaemonOption) => [
      `\`${option.flag} ${option.argument}\``,
      `\`${option.name}\``,
      option.default === undefined ? "" : `\`${option.default}\``,
      option.repeatable ? `${option.help} (repeatable)` : option.help,
    ]),
  );
}

function errorsTable(): string {
  return table(
    ["code", "HTTP", "meaning"],
    Object.entries(ERROR_CODES).map(([code, meaning]) => [`\`${code}\``, String(STATUS[code as ErrorCode]), meaning]),
  );
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [head, head.map(() => "---"), ...rows];
  return lines.map((cells) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |\n`).join("");
}

if (import.meta.main) writeFileSync(README, withTables(readFileSync(README, "utf8")));
