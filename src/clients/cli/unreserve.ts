import { printResource } from "../../domain/mesos-format.ts";
import { parsePrincipal, parseRole } from "../../domain/names.ts";
import type { Label } from "../../domain/resource.ts";
import type { MilliMb, Principal, Role } from "../../domain/units.ts";
import { openAgent } from "./agent.ts";
import { addExamples, type CommandContext, type Configure } from "./command.ts";
import { readResources } from "./lookups.ts";
import { addOperationOptions, type OperationOptions, performOperation } from "./operations.ts";
import { asUsage, labelOption, sizeOption } from "./options.ts";
import { poolToUnreserve } from "./pools.ts";

interface UnreserveOptions extends OperationOptions {
  readonly size: MilliMb;
  readonly principal?: Principal;
  readonly label?: readonly Label[];
  readonly disk?: string;
}

export const configureUnreserve: Configure = (command, context) => {
  command
    .description("Gives disk back that a role has reserved and that lies under no volume.")
    .argument("<ROLE>", "the role", asUsage(parseRole))
    .addOption(sizeOption("--size <SIZE>", "how much, for example 2G").makeOptionMandatory())
    .option("--principal <PRINCIPAL>", "only a reservation of this principal", asUsage(parsePrincipal))
    .addOption(labelOption())
    .option("--disk <DIR>", "only this disk: its root directory, or ROOT for the work root's")
    .action((role: Role, options: UnreserveOptions) => unreserve(role, options, context));
  addOperationOptions(command, context);
  addExamples(command, "holdfast unreserve ads --size 2G", "holdfast unreserve ads --size 1G --principal ops");
};

async function unreserve(role: Role, options: UnreserveOptions, context: CommandContext): Promise<void> {
  const resources = await readResources(openAgent(options.socket));
  const pool = poolToUnreserve(resources, { ...options, role, labels: options.label });
  const resource = printResource({ ...pool, size: options.size }, "post");
  await performOperation({ type: "UNRESERVE", unreserve: { resources: [resource] } }, options, context);
}
