import type { Command } from "commander";

/** What the outside gives to every command. */
export interface CommandContext {
  /** The agent socket when no `--socket` is given. */
  readonly defaultSocket: string;
  /** Writes one answer to stdout; a newline is added. */
  readonly print: (text: string) => void;
  /** Writes one line to stderr; a newline is added. */
  readonly complain: (line: string) => void;
  /** All of the standard input. */
  readonly readInput: () => Promise<string>;
  /** What a caller that has no arguments says. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** Adds arguments, options, help and action to a command that is about to run. */
export type Configure = (command: Command, context: CommandContext) => void | Promise<void>;

interface CommandEntry {
  /** Where the help lists it. */
  readonly group: string;
  readonly summary: string;
  readonly load: () => Promise<Configure>;
}

export type CommandTable = Readonly<Record<string, CommandEntry>>;

/** Closes a command's help with lines to paste. */
export function addExamples(command: Command, ...examples: readonly string[]): Command {
  return command.addHelpText("after", `\nExamples:\n${examples.map((example) => `  $ ${example}`).join("\n")}`);
}
