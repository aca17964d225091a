import type { AttachmentJson, ContainerJson } from "../../faces/agent-socket/wire.ts";
import { openAgent } from "./agent.ts";
import { addExamples, type CommandContext, type Configure } from "./command.ts";
import { attachmentPath } from "./container.ts";
import { describeHolder } from "./holder.ts";
import { addJsonOptions, type JsonOptions, volumeText } from "./options.ts";
import { type Column, renderTable } from "./table.ts";
import { printable, printableJson } from "./text.ts";

export const configureContainers: Configure = (command, context) => {
  command
    .description(
      "Lists the containers that have volumes, and where each volume appears: with a PID below the root of that " +
        "process. Of a container whose engine mounts by itself it says who is seen with the volumes.",
    )
    .action((options: JsonOptions) => containers(options, context));
  addJsonOptions(command, context);
  addExamples(command, "holdfast containers", "holdfast containers --json");
};

async function containers(options: JsonOptions, context: CommandContext): Promise<void> {
  const answer = await openAgent(options.socket).containers();
  if (options.json) return context.print(printableJson(answer));
  const rows = answer.containers.flatMap(rowsOf);
  if (rows.length === 0) return context.print("No containers");
  context.print(
    [renderTable(COLUMNS, rows), ...rows.flatMap(problemOf), ...answer.containers.flatMap(seenWith)].join("\n"),
  );
}

interface Row {
  readonly container: ContainerJson;
  /** Absent in the one row of a container without volumes. */
  readonly attachment?: AttachmentJson;
}

function rowsOf(container: ContainerJson): readonly Row[] {
  return container.volumes.length === 0
    ? [{ container }]
    : container.volumes.map((attachment) => ({ container, attachment }));
}

const COLUMNS: readonly Column<Row>[] = [
  { title: "CONTAINER", value: ({ container }) => container.id },
  { title: "RUNTIME", value: ({ container }) => container.runtime ?? "" },
  {
    title: "PID",
    value: ({ container }) => (container.pid === undefined ? "" : String(container.pid)),
    align: "right",
  },
  { title: "VOLUME", value: ({ attachment }) => (attachment === undefined ? "" : volumeText(attachment)) },
  { title: "AT", value: placeText },
  { title: "MODE", value: ({ attachment }) => attachment?.mode ?? "" },
  { title: "STATE", value: ({ attachment }) => attachment?.state ?? "" },
  { title: "SINCE", value: ({ container }) => container.since },
  { title: "BY", value: ({ container }) => container.by },
];

function placeText({ container, attachment }: Row): string {
  if (attachment === undefined || container.sandbox === undefined) return container.sandbox ?? "";
  return attachmentPath(container, attachment);
}

function problemOf({ container, attachment }: Row): readonly string[] {
  if (attachment?.problem === undefined) return [];
  return [printable(`${volumeText(attachment)} in ${container.id}: ${attachment.problem}`)];
}

function seenWith({ id, sandbox, holders = [] }: ContainerJson): readonly string[] {
  if (sandbox !== undefined) return [];
  return holders.length === 0
    ? [printable(`${id}: nobody is seen with its volumes`)]
    : holders.map((holder) => printable(`${id}: seen with its volumes: ${describeHolder(holder)}`));
}
