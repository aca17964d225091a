/** `holdfast gc add` and `gc keep`: containers' directories that nobody needs any more, and those that somebody does. */
import type { Command } from "commander";
import type { GcJson, GcSandboxJson } from "../../faces/agent-socket/wire.ts";
import { openAgent } from "./agent.ts";
import { addExamples, type CommandContext } from "./command.ts";
import { addJsonOptions, type JsonOptions, parsePath } from "./options.ts";
import { type Column, renderTable } from "./table.ts";
import { printable, printableJson } from "./text.ts";

const DIRECTORIES = "containers' directories: absolute paths without symlinks";

/** `gc add` */
export function addGcAdd(parent: Command, context: CommandContext): void {
  const command = parent
    .command("add")
    .summary("hand containers' directories over, to be deleted when their time comes")
    .description(
      "Hands the directories of ended containers over: they are deleted by the rule of destroyed volumes. Volumes in " +
        "them are detached first, and the content of a volume is never deleted with them.",
    )
    .argument("<DIR...>", DIRECTORIES, collectedPaths)
    .action((paths: readonly string[]) => add(paths, optionsOf(command, parent), context));
  addJsonOptions(command, context);
  addExamples(command, "holdfast gc add /var/lib/agent/sandboxes/web-1", "holdfast gc --dry-run");
}

/** `gc keep` */
export function addGcKeep(parent: Command, context: CommandContext): void {
  const command = parent
    .command("keep")
    .summary("take directories back that were handed over")
    .description("Takes directories back that were handed over, as long as nothing of them was deleted.")
    .argument("<DIR...>", DIRECTORIES, collectedPaths)
    .action((paths: readonly string[]) => keep(paths, optionsOf(command, parent), context));
  addJsonOptions(command, context);
  addExamples(command, "holdfast gc keep /var/lib/agent/sandboxes/web-1");
}

/** Its own options, and those that stand before its name: `holdfast gc --socket PATH add DIR`. */
function optionsOf(command: Command, parent: Command): JsonOptions {
  const options = { ...command.opts<JsonOptions>() };
  for (const [name, value] of Object.entries(parent.opts())) {
    if (parent.getOptionValueSource(name) !== "cli") continue;
    if (!(name === "socket" || name === "json"))
      command.error(`error: ${name} goes with gc alone, not with gc ${command.name()}`);
    if (command.getOptionValueSource(name) !== "cli") Object.assign(options, { [name]: value });
  }
  return options;
}

async function add(paths: readonly string[], { socket, json }: JsonOptions, context: CommandContext): Promise<void> {
  const agent = openAgent(socket);
  for (const path of paths) {
    const sandbox = await agent.discardSandbox({ path });
    const when = sandbox.dueAt === undefined ? "when its time comes" : `at ${sandbox.dueAt}, or earlier`;
    context.print(json ? printableJson(sandbox) : printable(`Handed over ${sandbox.path}: it is deleted ${when}`));
  }
}

async function keep(paths: readonly string[], { socket, json }: JsonOptions, context: CommandContext): Promise<void> {
  const agent = openAgent(socket);
  for (const path of paths) {
    const answer = await agent.keepSandbox({ path });
    context.print(json ? printableJson(answer) : printable(`Kept ${path}: it is not deleted`));
  }
}

function collectedPaths(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, parsePath(text)];
}

/** What became of sandboxes; empty when there are none. */
export function describeSandboxes({ sandboxes }: GcJson): string {
  const rows: readonly Row[] = [
    ...(sandboxes?.collected ?? []).map((sandbox) => ({ sandbox, outcome: "collected" })),
    ...(sandboxes?.would ?? []).map((sandbox) => ({ sandbox, outcome: "would be collected" })),
    ...(sandboxes?.kept ?? []).map((sandbox) => ({ sandbox, outcome: `stays: ${sandbox.reason ?? ""}` })),
  ];
  return rows.length === 0 ? "" : renderTable(COLUMNS, rows);
}

interface Row {
  readonly sandbox: GcSandboxJson;
  readonly outcome: string;
}

const COLUMNS: readonly Column<Row>[] = [
  { title: "SANDBOX", value: ({ sandbox }) => sandbox.path },
  { title: "HANDED OVER", value: ({ sandbox }) => sandbox.discardedAt },
  { title: "DUE", value: ({ sandbox }) => sandbox.dueAt ?? "" },
  { title: "OUTCOME", value: ({ outcome }) => outcome },
];
