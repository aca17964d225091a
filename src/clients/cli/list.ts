import { type Command, InvalidArgumentError } from "commander";
import { LIFECYCLE, type VolumeState } from "../../domain/lifecycle.ts";
import { parseRole } from "../../domain/names.ts";
import type { Role } from "../../domain/units.ts";
import type { VolumeJson } from "../../faces/agent-socket/wire.ts";
import { type Agent, openAgent } from "./agent.ts";
import { addExamples, type CommandContext, type Configure } from "./command.ts";
import { addJsonOptions, asUsage, type JsonOptions, volumeText } from "./options.ts";
import { type Column, renderTable } from "./table.ts";
import { printableJson } from "./text.ts";
import { usedText } from "./usage.ts";

interface ListOptions extends JsonOptions {
  readonly role?: Role;
  readonly state?: VolumeState;
  readonly label?: string;
}

/** The most that the daemon answers at once. */
const PAGE = 10_000;

export const configureList: Configure = (command: Command, context) => {
  command
    .description("Lists the node's volumes: live ones, and destroyed ones whose content is retained.")
    .option("--role <ROLE>", "only volumes of this role", asUsage(parseRole))
    .option("--state <STATE>", `only volumes in this state: ${Object.keys(LIFECYCLE).join(", ")}`, parseState)
    .option("--label <KEY=VALUE>", "only volumes with this label, or with KEY alone")
    .action((options: ListOptions) => list(options, context));
  addJsonOptions(command, context);
  addExamples(command, "holdfast list", "holdfast list --role ads --state retained", "holdfast list --json");
};

function parseState(text: string): VolumeState {
  if (Object.hasOwn(LIFECYCLE, text)) return text as VolumeState;
  throw new InvalidArgumentError(`Expected one of ${Object.keys(LIFECYCLE).join(", ")}`);
}

async function list(options: ListOptions, context: CommandContext): Promise<void> {
  const volumes = await allVolumes(openAgent(options.socket), options);
  if (options.json) return context.print(printableJson({ volumes }));
  context.print(volumes.length === 0 ? "No volumes" : renderTable(COLUMNS, volumes));
}

async function allVolumes(agent: Agent, { role, state, label }: ListOptions): Promise<readonly VolumeJson[]> {
  const filter = {
    ...(role === undefined ? {} : { role }),
    ...(state === undefined ? {} : { state }),
    ...(label === undefined ? {} : { label }),
    limit: PAGE,
  };
  const all: VolumeJson[] = [];
  for (;;) {
    const last = all.at(-1);
    const { volumes } = await agent.volumes(last === undefined ? filter : { ...filter, after: last.uuid });
    all.push(...volumes);
    if (volumes.length < PAGE) return all;
  }
}

/** `retained, pinned (!)`: the state, marks, and whether there is a problem. */
function stateText({ state, protected: isProtected, pinned, problem }: VolumeJson): string {
  const marks = [...(isProtected === true ? [", protected"] : []), ...(pinned === true ? [", pinned"] : [])];
  return [state, ...marks, problem === undefined ? "" : " (!)"].join("");
}

const COLUMNS: readonly Column<VolumeJson>[] = [
  { title: "VOLUME", value: volumeText },
  { title: "SIZE (MB)", value: ({ sizeMb }) => String(sizeMb), align: "right" },
  { title: "STATE", value: stateText },
  { title: "USED (MB)", value: (volume) => usedText(volume, "") ?? "", align: "right" },
  { title: "CONTAINERS", value: ({ containers }) => containers.join(", ") },
  { title: "CREATED", value: ({ createdAt }) => createdAt },
  { title: "UUID", value: ({ uuid }) => uuid },
];
