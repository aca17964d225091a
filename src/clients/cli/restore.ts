import type { Command } from "commander";
import { parseIncarnation, parseVolumeId } from "../../domain/names.ts";
import type { Incarnation, VolumeId } from "../../domain/units.ts";
import { openAgent } from "./agent.ts";
import { addExamples, type CommandContext, type Configure } from "./command.ts";
import { addJsonOptions, asUsage, type JsonOptions, parseVolumeName, type VolumeName, volumeText } from "./options.ts";
import { printable, printableJson } from "./text.ts";

interface RestoreOptions extends JsonOptions {
  readonly uuid?: Incarnation;
  readonly as?: VolumeId;
}

export const configureRestore: Configure = (command, context) => {
  command
    .description("Brings a destroyed volume that is still retained back, with its content.")
    .argument("[ROLE/ID]", "the volume; of several destroyed ones of this name the newest", asUsage(parseVolumeName))
    .option(
      "--uuid <UUID>",
      "a certain incarnation instead (holdfast list --state retained)",
      asUsage(parseIncarnation),
    )
    .option("--as <ID>", "the id that it shall have now (default: the one it had)", asUsage(parseVolumeId))
    .action((name: VolumeName | undefined, options: RestoreOptions) => restore(command, name, options, context));
  addJsonOptions(command, context);
  addExamples(
    command,
    "holdfast restore ads/db",
    "holdfast restore ads/db --as db-of-yesterday",
    "holdfast restore --uuid 0b7f2c1e-5d3a-4c55-9a54-1f6f0c7d2e11",
  );
};

async function restore(
  command: Command,
  name: VolumeName | undefined,
  options: RestoreOptions,
  context: CommandContext,
): Promise<void> {
  const which = options.uuid === undefined ? name : { uuid: options.uuid };
  if (which === undefined || (name !== undefined && options.uuid !== undefined)) {
    command.error("error: expected either ROLE/ID or --uuid");
  }
  const volume = await openAgent(options.socket).restore({
    ...which,
    ...(options.as === undefined ? {} : { as: options.as }),
  });
  if (options.json) return context.print(printableJson(volume));
  context.print(printable(`Restored ${volumeText(volume)} (${volume.sizeMb} MB), its content is at ${volume.path}`));
}
