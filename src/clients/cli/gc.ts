import { HoldfastError } from "../../domain/error.ts";
import { parseIncarnation } from "../../domain/names.ts";
import type { Incarnation } from "../../domain/units.ts";
import type { GcJson, GcVolumeJson } from "../../faces/agent-socket/wire.ts";
import { openAgent } from "./agent.ts";
import { addExamples, type CommandContext, type Configure } from "./command.ts";
import { addJsonOptions, asUsage, collected, type JsonOptions, volumeText } from "./options.ts";
import { type Column, renderTable } from "./table.ts";
import { printableJson } from "./text.ts";

interface GcOptions extends JsonOptions {
  readonly dryRun?: true;
}

export const configureGc: Configure = (command, context) => {
  command
    .description(
      "Deletes the content of destroyed volumes for good: of those whose time has come, or of the named ones however " +
        "young. What somebody still uses stays.",
    )
    .argument("[UUID...]", "incarnations (holdfast list --state retained)", collected(asUsage(parseIncarnation)))
    .option("--dry-run", "say what would be deleted, and when the others will be; delete nothing")
    .action((uuids: readonly Incarnation[], options: GcOptions) => gc(uuids, options, context));
  addJsonOptions(command, context);
  addExamples(command, "holdfast gc --dry-run", "holdfast gc", "holdfast gc 0b7f2c1e-5d3a-4c55-9a54-1f6f0c7d2e11");
};

async function gc(uuids: readonly Incarnation[], options: GcOptions, context: CommandContext): Promise<void> {
  const answer = await openAgent(options.socket).gc({
    ...(options.dryRun === true ? { dryRun: true } : {}),
    ...(uuids.length === 0 ? {} : { uuids }),
  });
  context.print(options.json ? printableJson(answer) : describe(answer));
  const [refused] = uuids.length === 0 ? [] : answer.kept;
  if (refused !== undefined) {
    throw new HoldfastError("in_use", `Cannot collect all of them, ${volumeText(refused)} stays: ${refused.reason}`);
  }
}

function describe({ collected: gone, would, kept }: GcJson): string {
  const rows: readonly Row[] = [
    ...(gone ?? []).map((volume) => ({ volume, outcome: "collected" })),
    ...(would ?? []).map((volume) => ({ volume, outcome: "would be collected" })),
    ...kept.map((volume) => ({ volume, outcome: `stays: ${volume.reason ?? ""}` })),
  ];
  return rows.length === 0 ? "No destroyed volumes are retained" : renderTable(COLUMNS, rows);
}

interface Row {
  readonly volume: GcVolumeJson;
  readonly outcome: string;
}

const COLUMNS: readonly Column<Row>[] = [
  { title: "VOLUME", value: ({ volume }) => volumeText(volume) },
  { title: "SIZE (MB)", value: ({ volume }) => String(volume.sizeMb), align: "right" },
  { title: "DESTROYED", value: ({ volume }) => volume.retiredAt ?? "" },
  { title: "DUE", value: ({ volume }) => volume.dueAt },
  { title: "UUID", value: ({ volume }) => volume.uuid },
  { title: "OUTCOME", value: ({ outcome }) => outcome },
];
