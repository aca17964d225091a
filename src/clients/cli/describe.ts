import { InvalidArgumentError } from "commander";
import type { NoteBody, VolumeJson } from "../../faces/agent-socket/wire.ts";
import { openAgent } from "./agent.ts";
import { addExamples, type CommandContext, type Configure } from "./command.ts";
import {
  addJsonOptions,
  asUsage,
  collected,
  type JsonOptions,
  parseVolumeName,
  type VolumeName,
  volumeText,
} from "./options.ts";
import { printable, printableJson } from "./text.ts";

/** A label that is set, or with `undefined` taken away. */
type LabelChange = readonly [key: string, value: string | undefined];

interface DescribeOptions extends JsonOptions {
  readonly description?: string;
  readonly label?: readonly LabelChange[];
}

export const configureDescribe: Configure = (command, context) => {
  command
    .description("Says what a volume is for and whose it is, and labels it. Nothing is decided by that.")
    .argument("<ROLE/ID>", "the volume, for example ads/db", asUsage(parseVolumeName))
    .option("--description <TEXT>", "what it is for; empty takes it away")
    .option("--label <KEY=VALUE>", "sets a label, or takes it away with KEY- (repeatable)", collected(parseChange))
    .action((name: VolumeName, options: DescribeOptions) => describe(name, options, context));
  addJsonOptions(command, context);
  addExamples(
    command,
    "holdfast describe ads/db --description click-counts --label team=ads",
    "holdfast describe ads/db --label team-",
    "holdfast list --label team=ads",
  );
};

function parseChange(text: string): LabelChange {
  const equals = text.indexOf("=");
  if (equals > 0) return [text.slice(0, equals), text.slice(equals + 1)];
  if (equals < 0 && text.length > 1 && text.endsWith("-")) return [text.slice(0, -1), undefined];
  throw new InvalidArgumentError("Expected KEY=VALUE, or KEY- to take a label away");
}

async function describe(name: VolumeName, options: DescribeOptions, context: CommandContext): Promise<void> {
  const agent = openAgent(options.socket);
  const { description, label = [] } = options;
  const labels = label.length === 0 ? {} : { labels: changed((await agent.volume(name)).labels, label) };
  const body: NoteBody = {
    ...(description === undefined ? {} : { description: description === "" ? null : description }),
    ...labels,
  };
  const volume = Object.keys(body).length === 0 ? await agent.volume(name) : await agent.describe(name, body);
  context.print(
    options.json ? printableJson(volume) : printable(`Described ${volumeText(volume)}: ${noteText(volume)}`),
  );
}

function changed(labels: VolumeJson["labels"], changes: readonly LabelChange[]): Record<string, string> {
  const after = new Map(Object.entries(labels ?? {}));
  for (const [key, value] of changes) {
    if (value === undefined) after.delete(key);
    else after.set(key, value);
  }
  return Object.fromEntries(after);
}

function noteText({ description, labels }: VolumeJson): string {
  const parts = [...(description === undefined ? [] : [description]), ...labelTexts(labels)];
  return parts.join(", ") || "nothing";
}

/** `team=ads` each. */
export function labelTexts(labels: VolumeJson["labels"]): readonly string[] {
  return Object.entries(labels ?? {}).map(([key, value]) => `${key}=${value}`);
}
