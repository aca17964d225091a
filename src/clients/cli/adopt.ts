import { join, resolve } from "node:path";
import type { Command } from "commander";
import { HoldfastError } from "../../domain/error.ts";
import { parseContainerPath } from "../../domain/names.ts";
import { BYTES_PER_MB, type ContainerPath, type MilliMb, toMb } from "../../domain/units.ts";
import type { AdoptBody, AdoptedJson, AdoptJson } from "../../faces/agent-socket/wire.ts";
import { type Agent, openAgent } from "./agent.ts";
import { addExamples, type CommandContext, type Configure } from "./command.ts";
import { counted } from "./counted.ts";
import { type FoundVolume, findMesosVolumes } from "./mesos-volumes.ts";
import {
  addJsonOptions,
  asUsage,
  collected,
  type JsonOptions,
  parsePath,
  parseVolumeName,
  sizeOption,
  type VolumeName,
  volumeText,
} from "./options.ts";
import { type Column, renderTable } from "./table.ts";
import { printable, printableJson } from "./text.ts";

interface AdoptOptions extends JsonOptions {
  readonly mesos?: string;
  readonly disk?: readonly string[];
  readonly size?: MilliMb;
  readonly path?: ContainerPath;
  readonly dryRun?: true;
}

export const configureAdopt: Configure = (command, context) => {
  command
    .description(
      "Makes an existing directory a volume by moving it, without copying: content, owner and modes stay. It must lie on " +
        "the file system of one of the node's disks, and nobody may have it: no mount, no process. With --mesos all " +
        "volumes of a Mesos agent, all or none; stop the agent and its tasks first, and look with --dry-run.",
    )
    .argument("[DIR]", "the directory; no symlink may be in its path", parsePath)
    .argument("[ROLE/ID]", "the volume that it shall be", asUsage(parseVolumeName))
    .option("--mesos <WORK_DIR>", "what lies in a Mesos agent's work directory instead", parsePath)
    .option("--disk <ROOT>", "with --mesos: also what lies on a PATH disk of it (repeatable)", collected(parsePath))
    .addOption(sizeOption("--size <SIZE>", "its size (default: what it takes now, in whole MB)"))
    .option("--path <NAME>", "its name in a sandbox (default: data)", asUsage(parseContainerPath))
    .option("--dry-run", "say what would be adopted, and what stands against it; change nothing")
    .action((directory: string | undefined, name: VolumeName | undefined, options: AdoptOptions) =>
      adopt(command, directory, name, options, context),
    );
  addJsonOptions(command, context);
  addExamples(
    command,
    "holdfast adopt /srv/postgres ads/db --size 2G",
    "holdfast adopt --mesos /var/lib/mesos --dry-run",
    "holdfast adopt --mesos /var/lib/mesos --disk /data/disk1",
  );
};

async function adopt(
  command: Command,
  directory: string | undefined,
  name: VolumeName | undefined,
  options: AdoptOptions,
  context: CommandContext,
): Promise<void> {
  const agent = openAgent(options.socket);
  if (options.mesos !== undefined) {
    if (directory !== undefined) command.error("error: expected either DIR and ROLE/ID or --mesos");
    await adoptMesos(agent, options.mesos, options, context);
    return;
  }
  if (directory === undefined || name === undefined) command.error("error: expected DIR and ROLE/ID, or --mesos");
  if (options.disk !== undefined) command.error("error: --disk goes with --mesos");
  const body = bodyFor([{ ...name, directory: resolve(directory) }], options);
  const answer = await agent.adopt({ ...body, ...(options.dryRun === true ? { dryRun: true } : {}) });
  show(answer, options, context);
}

async function adoptMesos(
  agent: Agent,
  workDir: string,
  options: AdoptOptions,
  context: CommandContext,
): Promise<void> {
  const roots = [workDir, ...(options.disk ?? [])].map((root) => join(resolve(root), "volumes/roles"));
  const { volumes, skipped } = findMesosVolumes(roots);
  for (const { path, reason } of skipped) context.complain(printable(`holdfast: Left out ${path}: ${reason}`));
  if (volumes.length === 0) return context.print(printable(`No volumes in ${roots.join(", ")}`));
  if (process.stderr.isTTY) context.complain(`Looking at ${counted(volumes.length, "volume")}, file by file`);
  const body = bodyFor(volumes, options);
  if (options.dryRun === true) return show(await agent.adopt({ ...body, dryRun: true }), options, context);
  show(await adoptOrExplain(agent, body, options, context), options, context);
}

/** What is refused is refused over one directory; what stands against the others is good to know at once. */
async function adoptOrExplain(
  agent: Agent,
  body: AdoptBody,
  options: AdoptOptions,
  context: CommandContext,
): Promise<AdoptJson> {
  try {
    return await agent.adopt(body);
  } catch (error) {
    const isRefusal = error instanceof HoldfastError && error.code !== "unavailable" && error.code !== "internal";
    if (isRefusal && body.adoptions.length > 1) show(await agent.adopt({ ...body, dryRun: true }), options, context);
    throw error;
  }
}

function bodyFor(volumes: readonly FoundVolume[], { size, path }: AdoptOptions): AdoptBody {
  return {
    adoptions: volumes.map(({ directory, role, id }) => ({
      directory,
      role,
      id,
      ...(size === undefined ? {} : { sizeMb: toMb(size) }),
      ...(path === undefined ? {} : { containerPath: path }),
    })),
  };
}

/** Fails when something stands against it. */
function show(answer: AdoptJson, options: AdoptOptions, context: CommandContext): void {
  context.print(options.json === true ? printableJson(answer) : describe(answer));
  const blocked = answer.adoptions.flatMap(({ obstacle }) => obstacle ?? []);
  if (blocked[0] === undefined) return;
  const others = blocked.length === 1 ? "" : ` (and ${blocked.length - 1} more)`;
  throw new HoldfastError("conflict", `${blocked[0]}${others}`);
}

function describe({ adoptions }: AdoptJson): string {
  const [only] = adoptions;
  if (adoptions.length === 1 && only?.uuid !== undefined) {
    return printable(`Adopted ${only.directory} as ${volumeText(only)} (${only.sizeMb} MB)`);
  }
  return renderTable(COLUMNS, adoptions);
}

const COLUMNS: readonly Column<AdoptedJson>[] = [
  { title: "VOLUME", value: volumeText },
  { title: "USED (MB)", value: ({ usedBytes }) => (usedBytes === undefined ? "" : usedMb(usedBytes)), align: "right" },
  { title: "SIZE (MB)", value: ({ sizeMb }) => (sizeMb === undefined ? "" : String(sizeMb)), align: "right" },
  { title: "DISK", value: ({ source }) => (source === undefined ? "" : source.type === "ROOT" ? "root" : source.root) },
  { title: "FROM", value: ({ directory }) => directory },
  {
    title: "OUTCOME",
    value: ({ uuid, obstacle }) => obstacle ?? (uuid === undefined ? "would be adopted" : "adopted"),
  },
];

function usedMb(bytes: number): string {
  return (bytes / BYTES_PER_MB).toFixed(1);
}
