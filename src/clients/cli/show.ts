import type { VolumeJson } from "../../faces/agent-socket/wire.ts";
import { openAgent } from "./agent.ts";
import { addExamples, type CommandContext, type Configure } from "./command.ts";
import { labelTexts } from "./describe.ts";
import { describeHolder } from "./holder.ts";
import { addJsonOptions, asUsage, type JsonOptions, parseVolumeName, type VolumeName, volumeText } from "./options.ts";
import { renderFacts } from "./table.ts";
import { printableJson } from "./text.ts";
import { usedText } from "./usage.ts";

export const configureShow: Configure = (command, context) => {
  command
    .description("Shows everything about one volume: the live one of this name, else the newest retained one.")
    .argument("<ROLE/ID>", "the volume, for example ads/db", asUsage(parseVolumeName))
    .action((name: VolumeName, options: JsonOptions) => show(name, options, context));
  addJsonOptions(command, context);
  addExamples(command, "holdfast show ads/db", "holdfast show ads/db --json");
};

async function show(name: VolumeName, options: JsonOptions, context: CommandContext): Promise<void> {
  const volume = await openAgent(options.socket).volume(name);
  context.print(options.json ? printableJson(volume) : describeVolume(volume));
}

function describeVolume(volume: VolumeJson): string {
  return renderFacts([
    ["Volume", volumeText(volume)],
    ["Description", volume.description],
    ["Labels", labelTexts(volume.labels).join(", ")],
    ["State", volume.state],
    ["Problem", volume.problem],
    ["Snapshot of", describeSource(volume.snapshotOf)],
    ["Copy of", describeSource(volume.copyOf)],
    ["Size", describeSize(volume)],
    ["Used", describeUsage(volume)],
    ["Protected", volume.protected === true ? "from destruction, until it is unprotected" : undefined],
    ["Pinned", volume.pinned === true ? "not collected until it is unpinned" : undefined],
    ["Content", volume.path],
    ["Container path", volume.containerPath],
    ["Shared", volume.shared ? "yes" : "no"],
    ["Containers", volume.containers.join(", ") || "none"],
    ...heldBy(volume),
    ["Disk", describeDisk(volume)],
    ["Principal", volume.principal],
    ["Created", `${volume.createdAt} by ${volume.createdBy}`],
    ["Destroyed", volume.retiredAt],
    ["Collected", volume.dueAt === undefined ? undefined : `at ${volume.dueAt}, earlier when the disk gets fuller`],
    ["UUID", volume.uuid],
  ]);
}

function describeSource(source: VolumeJson["copyOf"]): string | undefined {
  return source === undefined ? undefined : `${volumeText(source)} at ${source.at}`;
}

/** Nothing more is written to a destroyed volume, so that nothing need hold it to its size. */
function describeSize({ sizeMb, enforced, retiredAt }: VolumeJson): string {
  if (retiredAt !== undefined) return `${sizeMb} MB`;
  return `${sizeMb} MB, ${enforced ? "enforced by the kernel" : "not enforced"}`;
}

function describeUsage(volume: VolumeJson): string {
  const used = usedText(volume, " MB");
  if (used === undefined) return "not known yet";
  return volume.inodes === undefined ? used : `${used} in ${volume.inodes} files and directories`;
}

/** One line for each, behind one label. */
function heldBy({ holders = [] }: VolumeJson): readonly (readonly [string, string])[] {
  return holders.map((holder, index) => [index === 0 ? "Held by" : "", describeHolder(holder)] as const);
}

function describeDisk({ source }: VolumeJson): string {
  return source === undefined || source.type === "ROOT" ? "the work root's" : `${source.type} ${source.root}`;
}
