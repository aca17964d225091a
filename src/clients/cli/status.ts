import { LIFECYCLE, type VolumeState } from "../../domain/lifecycle.ts";
import type { DiskJson, StatusJson } from "../../faces/agent-socket/wire.ts";
import { openAgent } from "./agent.ts";
import { addExamples, type CommandContext, type Configure } from "./command.ts";
import { addJsonOptions, type JsonOptions } from "./options.ts";
import { type Column, renderFacts, renderTable } from "./table.ts";
import { printable, printableJson } from "./text.ts";

export const configureStatus: Configure = (command, context) => {
  command
    .description("Shows whether the node is healthy, what needs attention and what to do about it, and how full it is.")
    .action((options: JsonOptions) => status(options, context));
  addJsonOptions(command, context);
  addExamples(command, "holdfast status", "holdfast status --json");
};

async function status(options: JsonOptions, context: CommandContext): Promise<void> {
  const answer = await openAgent(options.socket).status();
  context.print(options.json ? printableJson(answer) : describeStatus(answer));
}

/** The most urgent comes first: the verdict, then what to do, then the figures. */
function describeStatus(node: StatusJson): string {
  const sections = [describeHealth(node), describeNode(node), renderTable(DISK_COLUMNS, node.disks)];
  return sections.join("\n\n");
}

function describeHealth({ ready, problems }: StatusJson): string {
  if (!ready) return ["Not ready: recovering or stopping", ...problems.map(problemLine)].join("\n");
  if (problems.length === 0) return "Healthy";
  return [`Not healthy: ${counted(problems.length, "problem")}`, ...problems.map(problemLine)].join("\n");
}

function problemLine(problem: string): string {
  return `  ! ${printable(problem)}`;
}

function describeNode(node: StatusJson): string {
  return renderFacts([
    ["Volumes", describeVolumes(node)],
    ["Containers", String(node.containers)],
    ["Mounts", node.mountBackend === "bind" ? "bind mounts" : "symlinks"],
    ["Daemon", `version ${node.version}, since ${node.startedAt}`],
    ["Recovery", describeRecovery(node)],
    ["Agent", node.agentId],
    ["Boot", node.bootId],
  ]);
}

function describeVolumes({ volumes }: StatusJson): string {
  const states = (Object.keys(LIFECYCLE) as VolumeState[]).filter((state) => volumes[state] > 0);
  return states.map((state) => `${volumes[state]} ${state}`).join(", ") || "none";
}

function describeRecovery({ recovery }: StatusJson): string {
  const { durationMs, adopted, cleared, completed, damaged } = recovery;
  return `took ${Math.round(durationMs)} ms: ${adopted} adopted, ${cleared} cleared, ${completed} completed, ${damaged} damaged`;
}

const BYTES_PER_MB = 1024 * 1024;

const DISK_COLUMNS: readonly Column<DiskJson>[] = [
  { title: "DISK", value: ({ root }) => root },
  { title: "TYPE", value: ({ source }) => source.type },
  { title: "FS", value: ({ fileSystem }) => fileSystem },
  { title: "TOTAL (MB)", value: ({ totalBytes }) => megabytes(totalBytes), align: "right" },
  { title: "FREE", value: ({ freeBytes }) => megabytes(freeBytes), align: "right" },
  { title: "DECLARED", value: ({ declaredMb }) => String(declaredMb), align: "right" },
  { title: "RESERVED", value: ({ reservedMb }) => String(reservedMb), align: "right" },
  { title: "VOLUMES", value: ({ volumesMb }) => String(volumesMb), align: "right" },
  { title: "RETAINED", value: ({ retainedMb }) => String(retainedMb), align: "right" },
];

function megabytes(bytes: number): string {
  return String(Math.floor(bytes / BYTES_PER_MB));
}

function counted(count: number, noun: string): string {
  return count === 1 ? `1 ${noun}` : `${count} ${noun}s`;
}
