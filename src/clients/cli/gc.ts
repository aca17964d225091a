import { HoldfastError } from "../../domain/error.ts";
import { parseIncarnation } from "../../domain/names.ts";
import type { Incarnation } from "../../domain/units.ts";
import type { GcJson, GcVolumeJson } from "../../faces/agent-socket/wire.ts";
import { openAgent } from "./agent.ts";
import { addExamples, type CommandContext, type Configure } from "./command.ts";
import { addGcAdd, addGcKeep, describeSandboxes } from "./gc-sandbox.ts";
import { addJsonOptions, asUsage, collected, type JsonOptions, volumeText } from "./options.ts";
import { type Column, renderTable } from "./table.ts";
import { printableJson } from "./text.ts";

interface GcOptions extends JsonOptions {
  readonly dryRun?: true;
  readonly lost?: true;
}

export const configureGc: Configure = (command, context) => {
  command
    .description(
      "Deletes the content of destroyed volumes for good, and containers' directories that were handed over: those " +
        "whose time has come, or the named ones however young. What somebody still uses stays.",
    )
    .argument(
      "[UUID|DIR...]",
      "incarnations (holdfast list --state retained), or directories that were handed over (absolute paths)",
      collected(asUsage(parseDoomed)),
    )
    .option("--dry-run", "say what would be deleted, and when the others will be; delete nothing")
    .option("--lost", "give up the named ones, whose disk is gone for good: forget them, delete nothing")
    .action((doomed: readonly Doomed[], options: GcOptions) => gc(doomed, options, context));
  addJsonOptions(command, context);
  addGcAdd(command, context);
  addGcKeep(command, context);
  // Options behind add and keep are theirs.
  command.helpCommand(false).enablePositionalOptions();
  addExamples(
    command,
    "holdfast gc --dry-run",
    "holdfast gc",
    "holdfast gc 0b7f2c1e-5d3a-4c55-9a54-1f6f0c7d2e11",
    "holdfast gc add /var/lib/agent/sandboxes/web-1",
    "holdfast gc /var/lib/agent/sandboxes/web-1",
  );
};

/** An incarnation, or a directory. */
type Doomed = { readonly uuid: Incarnation } | { readonly path: string };

function parseDoomed(text: string): Doomed {
  return text.startsWith("/") ? { path: text } : { uuid: parseIncarnation(text) };
}

async function gc(doomed: readonly Doomed[], options: GcOptions, context: CommandContext): Promise<void> {
  const answer = await ask(doomed, options);
  context.print(
    options.json ? printableJson(answer) : describe(answer, options.lost === true ? "given up" : "collected"),
  );
  if (doomed.length === 0) return;
  const volumes = answer.kept.map((volume) => ({ name: volumeText(volume), reason: volume.reason }));
  const sandboxes = (answer.sandboxes?.kept ?? []).map(({ path, reason }) => ({ name: path, reason }));
  const [refused] = [...volumes, ...sandboxes];
  if (refused !== undefined) {
    throw new HoldfastError("in_use", `Cannot collect all of them, ${refused.name} stays: ${refused.reason}`);
  }
}

async function ask(doomed: readonly Doomed[], options: GcOptions): Promise<GcJson> {
  const agent = openAgent(options.socket);
  const uuids = doomed.flatMap((one) => ("uuid" in one ? one.uuid : []));
  const paths = doomed.flatMap((one) => ("path" in one ? one.path : []));
  const dryRun = options.dryRun === true ? { dryRun: true } : {};
  if (options.lost === true && paths.length > 0) {
    throw new HoldfastError("invalid", `Cannot give up ${paths[0]}: only volumes can be lost, see holdfast gc keep`);
  }
  const volumes =
    paths.length > 0 && uuids.length === 0
      ? undefined
      : await agent.gc({
          ...dryRun,
          ...(options.lost === true ? { lost: true } : {}),
          ...(uuids.length === 0 ? {} : { uuids }),
        });
  const sandboxes = paths.length === 0 ? undefined : (await agent.gcSandboxes({ paths, ...dryRun })).sandboxes;
  return { kept: [], ...volumes, ...(sandboxes === undefined ? {} : { sandboxes }) };
}

function describe(answer: GcJson, outcome: string): string {
  const { collected: gone, would, kept } = answer;
  const rows: readonly Row[] = [
    ...(gone ?? []).map((volume) => ({ volume, outcome })),
    ...(would ?? []).map((volume) => ({ volume, outcome: `would be ${outcome}` })),
    ...kept.map((volume) => ({ volume, outcome: `stays: ${volume.reason ?? ""}` })),
  ];
  const sandboxes = describeSandboxes(answer);
  if (rows.length === 0 && sandboxes !== "") return sandboxes;
  const volumes = rows.length === 0 ? "No destroyed volumes are retained" : renderTable(COLUMNS, rows);
  return sandboxes === "" ? volumes : `${volumes}\n\n${sandboxes}`;
}

interface Row {
  readonly volume: GcVolumeJson;
  readonly outcome: string;
}

const COLUMNS: readonly Column<Row>[] = [
  { title: "VOLUME", value: ({ volume }) => volumeText(volume) },
  { title: "SIZE (MB)", value: ({ volume }) => String(volume.sizeMb), align: "right" },
  { title: "DESTROYED", value: ({ volume }) => volume.retiredAt ?? "" },
  { title: "DUE", value: ({ volume }) => volume.dueAt ?? "" },
  { title: "UUID", value: ({ volume }) => volume.uuid },
  { title: "OUTCOME", value: ({ outcome }) => outcome },
];
