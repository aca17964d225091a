import { printResource } from "../../domain/mesos-format.ts";
import { parseContainerPath, parsePrincipal } from "../../domain/names.ts";
import type { DiskResource } from "../../domain/resource.ts";
import type { ContainerPath, MilliMb, Principal } from "../../domain/units.ts";
import { openAgent } from "./agent.ts";
import { addExamples, type CommandContext, type Configure } from "./command.ts";
import { findLiveVolume, readResources } from "./lookups.ts";
import { addOperationOptions, type OperationOptions, performOperation } from "./operations.ts";
import { asUsage, parseVolumeName, sizeOption, type VolumeName } from "./options.ts";
import { poolForVolume } from "./pools.ts";

interface CreateOptions extends OperationOptions {
  readonly size: MilliMb;
  readonly path: ContainerPath;
  readonly shared?: true;
  readonly principal?: Principal;
  readonly disk?: string;
}

export const configureCreate: Configure = (command, context) => {
  command
    .description(
      "Creates an empty volume on disk that its role has reserved. Of several reservations it takes the work root's " +
        "first, then the smallest that is large enough.",
    )
    .argument("<ROLE/ID>", "the volume, for example ads/db", asUsage(parseVolumeName))
    .addOption(sizeOption("--size <SIZE>", "how large, for example 512M").makeOptionMandatory())
    .requiredOption("--path <NAME>", "its name in a sandbox: one path component", asUsage(parseContainerPath))
    .option("--shared", "several containers may have it at once")
    .option("--principal <PRINCIPAL>", "the creator whom destroy_volumes is checked against", asUsage(parsePrincipal))
    .option("--disk <DIR>", "only on this disk: its root directory, or ROOT for the work root's")
    .action((name: VolumeName, options: CreateOptions) => create(name, options, context));
  addOperationOptions(command, context);
  addExamples(
    command,
    "holdfast create ads/db --size 512M --path data",
    "holdfast create eng/frontend/assets --size 10G --path assets --shared",
  );
};

async function create(name: VolumeName, options: CreateOptions, context: CommandContext): Promise<void> {
  const { reservations, source } = await chosenPool(name, options);
  const volume = {
    size: options.size,
    source,
    reservations,
    volume: {
      id: name.id,
      ...(options.principal === undefined ? {} : { principal: options.principal }),
      containerPath: options.path,
      mode: "RW" as const,
      shared: options.shared === true,
    },
  };
  const operation = { type: "CREATE" as const, create: { volumes: [printResource(volume, "post")] } };
  await performOperation(operation, options, context);
}

/** A repeated operation must have the same content, so a volume that it created already keeps its disk. */
async function chosenPool(name: VolumeName, options: CreateOptions): Promise<DiskResource> {
  const agent = openAgent(options.socket);
  const created = options.operationId === undefined ? undefined : await findLiveVolume(agent, name);
  return (
    created ?? poolForVolume(await readResources(agent), { role: name.role, size: options.size, disk: options.disk })
  );
}
