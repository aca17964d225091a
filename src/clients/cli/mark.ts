import { parseIncarnation } from "../../domain/names.ts";
import type { Incarnation } from "../../domain/units.ts";
import type { MarkBody, VolumeJson, VolumeMark } from "../../faces/agent-socket/wire.ts";
import { openAgent } from "./agent.ts";
import { addExamples, type CommandContext, type Configure } from "./command.ts";
import { addJsonOptions, asUsage, type JsonOptions, parseVolumeName, type VolumeName, volumeText } from "./options.ts";
import { printable, printableJson } from "./text.ts";

export const configureProtect: Configure = (command, context) => {
  command
    .description(
      "Protects a volume from destruction: DESTROY is refused, whoever asks for it, until it is unprotected.",
    )
    .argument("<ROLE/ID>", "the volume, for example ads/db", asUsage(parseVolumeName))
    .action((name: VolumeName, options: JsonOptions) => mark("protect", name, options, context));
  addJsonOptions(command, context);
  addExamples(command, "holdfast protect ads/db");
};

export const configureUnprotect: Configure = (command, context) => {
  command
    .description("Takes a volume's protection from destruction away.")
    .argument("<ROLE/ID>", "the volume, for example ads/db", asUsage(parseVolumeName))
    .action((name: VolumeName, options: JsonOptions) => mark("unprotect", name, options, context));
  addJsonOptions(command, context);
  addExamples(command, "holdfast unprotect ads/db");
};

const RETAINED_HELP =
  "the destroyed volume, the newest of this name, or a certain incarnation (holdfast list --state retained)";

export const configurePin: Configure = (command, context) => {
  command
    .description(
      "Keeps the content of a destroyed volume: it is not collected until it is unpinned. Its size is taken from " +
        "unreserved disk for so long.",
    )
    .argument("<ROLE/ID|UUID>", RETAINED_HELP, asUsage(parseWhich))
    .action((which: Which, options: JsonOptions) => mark("pin", which, options, context));
  addJsonOptions(command, context);
  addExamples(command, "holdfast pin ads/db", "holdfast pin 0b7f2c1e-5d3a-4c55-9a54-1f6f0c7d2e11");
};

export const configureUnpin: Configure = (command, context) => {
  command
    .description(
      "Lets a destroyed volume be collected again when its time comes, and gives the disk that it took free.",
    )
    .argument("<ROLE/ID|UUID>", RETAINED_HELP, asUsage(parseWhich))
    .action((which: Which, options: JsonOptions) => mark("unpin", which, options, context));
  addJsonOptions(command, context);
  addExamples(command, "holdfast unpin ads/db", "holdfast unpin 0b7f2c1e-5d3a-4c55-9a54-1f6f0c7d2e11");
};

type Which = VolumeName | { readonly uuid: Incarnation };

/** A volume's name has a slash, a UUID has none. */
function parseWhich(text: string): Which {
  return text.includes("/") ? parseVolumeName(text) : { uuid: parseIncarnation(text) };
}

async function mark(verb: VolumeMark, which: MarkBody, options: JsonOptions, context: CommandContext): Promise<void> {
  const volume = await openAgent(options.socket).mark(verb, which);
  context.print(options.json ? printableJson(volume) : printable(DONE[verb](volume)));
}

const DONE: Readonly<Record<VolumeMark, (volume: VolumeJson) => string>> = {
  protect: (volume) => `Protected ${volumeText(volume)}: it cannot be destroyed until it is unprotected`,
  unprotect: (volume) => `Unprotected ${volumeText(volume)}: it can be destroyed`,
  pin: (volume) =>
    `Pinned ${volumeText(volume)}: it stays until it is unpinned, on ${volume.sizeMb} MB of unreserved disk`,
  unpin: (volume) => `Unpinned ${volumeText(volume)}: ${whenCollected(volume)}`,
};

function whenCollected({ dueAt }: VolumeJson): string {
  return dueAt === undefined ? "it is collected when its time comes" : `it is collected at ${dueAt}, or earlier`;
}
