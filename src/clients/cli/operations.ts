import type { Command } from "commander";
import type { OperationBody } from "../../faces/agent-socket/wire.ts";
import { openAgent } from "./agent.ts";
import type { CommandContext } from "./command.ts";
import { addJsonOptions, type JsonOptions } from "./options.ts";
import { printable, printableJson } from "./text.ts";

export interface OperationOptions extends JsonOptions {
  readonly dryRun?: true;
  readonly operationId?: string;
}

/** What every command that changes the node's disk takes. */
export function addOperationOptions(command: Command, context: CommandContext): Command {
  command
    .option("--dry-run", "let the daemon decide and say what it would do, change nothing")
    .option("--operation-id <ID>", "make it safe to repeat: the same id again does nothing twice");
  return addJsonOptions(command, context);
}

/** Sends one operation and prints what became of it. */
export async function performOperation(
  operation: OperationBody,
  options: OperationOptions,
  context: CommandContext,
): Promise<void> {
  const outcome = await openAgent(options.socket).perform({
    ...(options.operationId === undefined ? {} : { id: options.operationId }),
    ...(options.dryRun === true ? { dryRun: true } : {}),
    operations: [operation],
  });
  if (options.json) return context.print(printableJson(outcome));
  const mark = outcome.state === "DRY_RUN" ? "(dry run) " : "";
  for (const { summary } of outcome.operations) context.print(printable(mark + summary));
}
