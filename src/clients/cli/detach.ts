import type { Command } from "commander";
import { parseContainerId } from "../../domain/names.ts";
import type { ContainerId } from "../../domain/units.ts";
import { openAgent } from "./agent.ts";
import { addExamples, type CommandContext, type Configure } from "./command.ts";
import { findContainer, isHeld, keptVolumes, placeOf } from "./container.ts";
import {
  addSocketOption,
  asUsage,
  collected,
  parseVolumeName,
  type SocketOptions,
  type VolumeName,
  volumeText,
} from "./options.ts";
import { printable } from "./text.ts";

interface DetachOptions extends SocketOptions {
  readonly force?: true;
}

export const configureDetach: Configure = (command, context) => {
  command
    .description(
      "Takes volumes away from a container: those that are named, else all. Repeating it is fine. A volume in which a " +
        "process sits is refused; --force takes it away all the same, and it stays in use until that process ends.",
    )
    .argument("<CONTAINER>", "the container's id", asUsage(parseContainerId))
    .argument("[ROLE/ID...]", "only these volumes", collected(asUsage(parseVolumeName)))
    .option("--force", "take all of them away from under their processes")
    .action((container: ContainerId, volumes: readonly VolumeName[], options: DetachOptions) =>
      detach(command, container, volumes, options, context),
    );
  addSocketOption(command, context);
  addExamples(command, "holdfast detach web-1", "holdfast detach web-1 ads/db", "holdfast detach web-1 --force");
};

async function detach(
  command: Command,
  container: ContainerId,
  volumes: readonly VolumeName[],
  options: DetachOptions,
  context: CommandContext,
): Promise<void> {
  if (volumes.length === 0) return detachAll(container, options, context);
  if (options.force) command.error("error: --force takes all volumes away, expected none to be named");
  await detachSome(container, volumes, options, context);
}

async function detachAll(id: ContainerId, { socket, force }: DetachOptions, context: CommandContext): Promise<void> {
  const agent = openAgent(socket);
  const present = await findContainer(agent, id);
  await agent.detach(id, { force: force === true });
  const outcome =
    present === undefined ? `Container ${id} has no volumes` : `Detached all volumes from container ${id}`;
  context.print(printable(outcome));
}

async function detachSome(
  id: ContainerId,
  volumes: readonly VolumeName[],
  { socket }: DetachOptions,
  context: CommandContext,
): Promise<void> {
  const agent = openAgent(socket);
  const present = await findContainer(agent, id);
  const names = volumes.map(volumeText);
  if (!present?.volumes.some((attachment) => isHeld(attachment) && names.includes(volumeText(attachment)))) {
    return context.print(printable(`Container ${id} does not have ${names.join(", ")}`));
  }
  const kept = keptVolumes(present, volumes);
  if (kept.length === 0) await agent.detach(id, { force: false });
  else await agent.attach(id, { ...placeOf(present), volumes: kept });
  context.print(printable(`Detached ${names.join(", ")} from container ${id}`));
}
