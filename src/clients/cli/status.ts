import { LIFECYCLE, type VolumeState } from "../../domain/lifecycle.ts";
import type { GcVolumeJson, StatusJson } from "../../faces/agent-socket/wire.ts";
import { openAgent } from "./agent.ts";
import { addExamples, type CommandContext, type Configure } from "./command.ts";
import { counted } from "./counted.ts";
import { describeDisk } from "./disk.ts";
import { addJsonOptions, type JsonOptions } from "./options.ts";
import { renderFacts } from "./table.ts";
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

/** So many problems are read; the rest is for programs. */
const PROBLEMS_SHOWN = 20;

/** The most urgent comes first: the verdict, then what to do, then the figures. */
function describeStatus(node: StatusJson): string {
  const sections = [describeHealth(node), describeNode(node), ...node.disks.map(describeDisk)];
  return sections.join("\n\n");
}

function describeHealth({ ready, problems, notices }: StatusJson): string {
  const lines = problems.slice(0, PROBLEMS_SHOWN).map(problemLine);
  if (problems.length > lines.length) {
    lines.push(`  ! and ${problems.length - lines.length} more: holdfast status --json shows all`);
  }
  lines.push(...notices.map((notice) => `  - ${printable(notice)}`));
  return [verdict(ready, problems.length), ...lines].join("\n");
}

function verdict(ready: boolean, problems: number): string {
  if (!ready) return "Not ready: recovering or stopping";
  return problems === 0 ? "Healthy" : `Not healthy: ${counted(problems, "problem")}`;
}

function problemLine(problem: string): string {
  return `  ! ${printable(problem)}`;
}

function describeNode(node: StatusJson): string {
  return renderFacts([
    ["Volumes", describeVolumes(node)],
    ...describeContainers(node),
    ...describeCollection(node),
    ...describeSandboxes(node),
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

type Fact = readonly [label: string, value: string];

/** One line for each, behind one label. */
function describeContainers({ containers, latestContainers }: StatusJson): readonly Fact[] {
  const lines = latestContainers.map(({ id, runtime, since, volumes }) => {
    const facts = [counted(volumes, "volume"), ...(runtime === undefined ? [] : [`by ${runtime}`]), `since ${since}`];
    return `${id}: ${facts.join(", ")}`;
  });
  const more = containers - lines.length;
  if (more > 0) lines.push(`and ${more} more: holdfast containers shows all`);
  return listed("Containers", String(containers), lines);
}

function describeCollection({ collection: { next, dueWithinDay }, volumes }: StatusJson): readonly Fact[] {
  const retained = volumes.retained + volumes.collecting;
  if (retained === 0) return [["Trash", "empty"]];
  const lines = next.map(nextLine);
  const more = retained - lines.length;
  if (more > 0) lines.push(`${next.length === 0 ? "" : `and ${more} more: `}holdfast gc --dry-run shows all`);
  return listed("Trash", `${counted(retained, "volume")}, ${dueWithinDay} of them due within a day`, lines);
}

function describeSandboxes({ collection: { sandboxes } }: StatusJson): readonly Fact[] {
  return sandboxes === 0 ? [] : [["Sandboxes", `${sandboxes} to be deleted: holdfast gc --dry-run shows all`]];
}

function nextLine({ role, id, sizeMb, dueAt }: GcVolumeJson): string {
  return `${role}/${id}, ${sizeMb} MB, ${dueAt === undefined ? "stays" : `goes at ${dueAt}`}`;
}

function listed(label: string, head: string, lines: readonly string[]): readonly Fact[] {
  return [[label, head], ...lines.map((line) => ["", line] as const)];
}

function describeRecovery({ recovery }: StatusJson): string {
  const { at, durationMs, adopted, cleared, completed, damaged } = recovery;
  return `at ${at} in ${Math.round(durationMs)} ms: ${adopted} adopted, ${cleared} cleared, ${completed} completed, ${damaged} damaged`;
}
