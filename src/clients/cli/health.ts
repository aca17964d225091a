import { openAgent } from "./agent.ts";
import { addExamples, type CommandContext, type Configure } from "./command.ts";
import { addJsonOptions, type JsonOptions } from "./options.ts";
import { printableJson } from "./text.ts";

export const configureHealth: Configure = (command, context) => {
  command
    .description("Exits with 0 when the daemon has recovered and serves, with 1 and the reason otherwise.")
    .action((options: JsonOptions) => health(options, context));
  addJsonOptions(command, context);
  addExamples(command, "holdfast health && echo serving");
};

async function health(options: JsonOptions, context: CommandContext): Promise<void> {
  const answer = await openAgent(options.socket).ready();
  context.print(options.json ? printableJson(answer) : "Ready");
}
