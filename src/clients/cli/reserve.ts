import { printResource } from "../../domain/mesos-format.ts";
import { parsePrincipal, parseRole } from "../../domain/names.ts";
import { type DiskSource, type Label, ROOT_DISK } from "../../domain/resource.ts";
import type { MilliMb, Principal, Role } from "../../domain/units.ts";
import { openAgent } from "./agent.ts";
import { addExamples, type CommandContext, type Configure } from "./command.ts";
import { readResources } from "./lookups.ts";
import { addOperationOptions, type OperationOptions, performOperation } from "./operations.ts";
import { asUsage, labelOption, sizeOption } from "./options.ts";
import { diskOf } from "./pools.ts";

interface ReserveOptions extends OperationOptions {
  readonly size: MilliMb;
  readonly principal?: Principal;
  readonly label?: readonly Label[];
  readonly disk?: string;
}

export const configureReserve: Configure = (command, context) => {
  command
    .description("Reserves unreserved disk for a role, so that volumes can be created on it.")
    .argument("<ROLE>", "the role, for example ads or eng/frontend", asUsage(parseRole))
    .addOption(sizeOption("--size <SIZE>", "how much, for example 2G").makeOptionMandatory())
    .option("--principal <PRINCIPAL>", "whom the reservation belongs to", asUsage(parsePrincipal))
    .addOption(labelOption())
    .option("--disk <DIR>", "the root directory of a PATH or MOUNT disk (default: the work root's disk)")
    .action((role: Role, options: ReserveOptions) => reserve(role, options, context));
  addOperationOptions(command, context);
  addExamples(command, "holdfast reserve ads --size 2G", "holdfast reserve ads --size 100G --disk /mnt/ssd-1");
};

async function reserve(role: Role, options: ReserveOptions, context: CommandContext): Promise<void> {
  const level = {
    type: "DYNAMIC" as const,
    role,
    ...(options.principal === undefined ? {} : { principal: options.principal }),
    ...(options.label === undefined ? {} : { labels: options.label }),
  };
  const resource = { size: options.size, source: await chosenDisk(options), reservations: [level] };
  const operation = { type: "RESERVE" as const, reserve: { resources: [printResource(resource, "post")] } };
  await performOperation(operation, options, context);
}

async function chosenDisk({ disk, socket }: ReserveOptions): Promise<DiskSource> {
  return disk === undefined ? ROOT_DISK : diskOf(await readResources(openAgent(socket)), disk);
}
