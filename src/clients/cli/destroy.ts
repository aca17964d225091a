import { openAgent } from "./agent.ts";
import { addExamples, type CommandContext, type Configure } from "./command.ts";
import { addOperationOptions, type OperationOptions, performOperation } from "./operations.ts";
import { asUsage, parseVolumeName, type VolumeName } from "./options.ts";

export const configureDestroy: Configure = (command, context) => {
  command
    .description(
      "Destroys a volume that no container has. Its disk is free again at once; its content is retained until it is " +
        "collected, and `holdfast restore` brings it back.",
    )
    .argument("<ROLE/ID>", "the volume, for example ads/db", asUsage(parseVolumeName))
    .action((name: VolumeName, options: OperationOptions) => destroy(name, options, context));
  addOperationOptions(command, context);
  addExamples(command, "holdfast destroy ads/db", "holdfast destroy ads/db --dry-run");
};

async function destroy(name: VolumeName, options: OperationOptions, context: CommandContext): Promise<void> {
  const { resource } = await openAgent(options.socket).volume(name);
  await performOperation({ type: "DESTROY", destroy: { volumes: [resource] } }, options, context);
}
