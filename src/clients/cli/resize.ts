import type { Command } from "commander";
import { HoldfastError } from "../../domain/error.ts";
import { printResource } from "../../domain/mesos-format.ts";
import type { DiskResource } from "../../domain/resource.ts";
import { printSize } from "../../domain/size.ts";
import { addSizes, type MilliMb, subtractSizes, toMb } from "../../domain/units.ts";
import type { OperationBody } from "../../faces/agent-socket/wire.ts";
import { type Agent, openAgent } from "./agent.ts";
import { addExamples, type CommandContext, type Configure } from "./command.ts";
import { readVolume, wasDone } from "./lookups.ts";
import { addOperationOptions, type OperationOptions, performOperation } from "./operations.ts";
import { asUsage, parseVolumeName, sizeOption, type VolumeName, volumeText } from "./options.ts";
import { printable, printableJson } from "./text.ts";

interface ResizeOptions extends OperationOptions {
  readonly by?: MilliMb;
  readonly to?: MilliMb;
}

/** The two directions of a resize. */
interface Direction {
  readonly verb: "grow" | "shrink";
  /** The size before a change by so much led to this one. */
  readonly before: (size: MilliMb, by: MilliMb) => MilliMb;
  /** How far it is to the wanted size; negative when that lies in the other direction. */
  readonly distance: (from: MilliMb, to: MilliMb) => MilliMb;
  readonly operation: (volume: DiskResource, by: MilliMb) => OperationBody;
}

const GROW: Direction = {
  verb: "grow",
  before: subtractSizes,
  distance: (from, to) => subtractSizes(to, from),
  operation: (volume, by) => ({
    type: "GROW_VOLUME",
    grow_volume: { volume: printResource(volume, "post"), addition: printResource(freeDiskLike(volume, by), "post") },
  }),
};

const SHRINK: Direction = {
  verb: "shrink",
  before: addSizes,
  distance: subtractSizes,
  operation: (volume, by) => ({
    type: "SHRINK_VOLUME",
    shrink_volume: { volume: printResource(volume, "post"), subtract: { value: toMb(by) } },
  }),
};

export const configureGrow: Configure = (command, context) => {
  command.description("Makes a volume larger, with disk of the reservation that it lies on.");
  configureResize(command, GROW, context);
  addExamples(command, "holdfast grow ads/db --by 128M", "holdfast grow ads/db --to 1G");
};

export const configureShrink: Configure = (command, context) => {
  command.description("Makes a volume smaller; what becomes free stays reserved for its role.");
  configureResize(command, SHRINK, context);
  addExamples(command, "holdfast shrink ads/db --by 128M", "holdfast shrink ads/db --to 256M");
};

function configureResize(command: Command, direction: Direction, context: CommandContext): void {
  command
    .argument("<ROLE/ID>", "the volume, for example ads/db", asUsage(parseVolumeName))
    .addOption(sizeOption("--by <SIZE>", "by how much").conflicts("to"))
    .addOption(sizeOption("--to <SIZE>", "to which size; nothing is done when it has that size"))
    .action(async (name: VolumeName, options: ResizeOptions) => {
      if (options.by === undefined && options.to === undefined) command.error("error: expected --by or --to");
      await resize(direction, name, options, context);
    });
  addOperationOptions(command, context);
}

async function resize(
  direction: Direction,
  name: VolumeName,
  options: ResizeOptions,
  context: CommandContext,
): Promise<void> {
  const agent = openAgent(options.socket);
  const volume = await readVolume(agent, name);
  if (options.by !== undefined) {
    const size = await sizeBefore(agent, direction, volume.size, options.by, options.operationId);
    return performOperation(direction.operation({ ...volume, size }, options.by), options, context);
  }
  const by = direction.distance(volume.size, options.to ?? volume.size);
  if (by === 0) return printUnchanged(name, volume.size, options, context);
  if (by < 0) throw wrongDirection(direction, name, volume.size);
  return performOperation(direction.operation(volume, by), options, context);
}

/** A repeated operation must have the same content: what it resized already is named with its size before. */
async function sizeBefore(
  agent: Agent,
  direction: Direction,
  size: MilliMb,
  by: MilliMb,
  operationId: string | undefined,
): Promise<MilliMb> {
  if (operationId === undefined || !(await wasDone(agent, operationId))) return size;
  return direction.before(size, by);
}

/** Free disk beside the volume: the same disk and reservations. */
function freeDiskLike({ source, reservations }: DiskResource, size: MilliMb): DiskResource {
  return { size, source, reservations };
}

function printUnchanged(name: VolumeName, size: MilliMb, options: ResizeOptions, context: CommandContext): void {
  const text = `Volume ${volumeText(name)} has ${printSize(size)} already`;
  context.print(options.json ? printableJson({ operations: [] }) : printable(text));
}

function wrongDirection({ verb }: Direction, name: VolumeName, size: MilliMb): HoldfastError {
  const opposite = verb === "grow" ? "holdfast shrink" : "holdfast grow";
  return new HoldfastError(
    "invalid",
    `Cannot ${verb} volume ${volumeText(name)}: it has ${printSize(size)}, ${opposite} goes the other way`,
  );
}
