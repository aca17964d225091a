import { resolve } from "node:path";
import { type Command, InvalidArgumentError } from "commander";
import { HoldfastError } from "../../domain/error.ts";
import { parseContainerId } from "../../domain/names.ts";
import type { ContainerId } from "../../domain/units.ts";
import type { AttachmentJson, ContainerBody, ContainerJson } from "../../faces/agent-socket/wire.ts";
import { openAgent } from "./agent.ts";
import { type AttachmentArgument, parseAttachment } from "./attachment-argument.ts";
import { addExamples, type CommandContext, type Configure } from "./command.ts";
import { attachmentPath, findContainer, keptVolumes } from "./container.ts";
import { addJsonOptions, asUsage, collected, type JsonOptions, volumeText } from "./options.ts";
import { printable, printableJson } from "./text.ts";

interface AttachOptions extends JsonOptions {
  readonly container: ContainerId;
  readonly sandbox?: string;
  readonly uid?: number;
  readonly gid?: number;
  readonly pid?: number;
}

export const configureAttach: Configure = (command, context) => {
  command
    .description(
      "Makes volumes appear in a container's sandbox, beside those that it has already. A volume that it has already " +
        "moves to the path and mode given now.",
    )
    .argument(
      "<ROLE/ID[:PATH[:ro]]...>",
      "volumes, each with its name in the sandbox (default: its own) and ro when the container must not write; " +
        "a colon that is part of a name is written \\:",
      collected(asUsage(parseAttachment)),
    )
    .requiredOption("--container <ID>", "the container's id", asUsage(parseContainerId))
    .option("--sandbox <DIR>", "the container's directory (default: where the container has volumes already)")
    .option("--uid <UID>", "who shall own the top of a volume that is empty (default: the sandbox's owner)", parseId)
    .option("--gid <GID>", "the group, together with --uid", parseId)
    .option("--pid <PID>", "a process of a running container; this version refuses it", parseId)
    .action((volumes: readonly AttachmentArgument[], options: AttachOptions) =>
      attach(command, volumes, options, context),
    );
  addJsonOptions(command, context);
  addExamples(
    command,
    "holdfast attach ads/db --container web-1 --sandbox /srv/web-1",
    "holdfast attach ads/db:data ads/config:etc:ro --container web-1 --sandbox /srv/web-1 --uid 1000 --gid 1000",
  );
};

/** The largest id means "nobody in particular" to the kernel. */
const ID_MAX = 2 ** 32 - 2;

function parseId(text: string): number {
  const id = Number(text);
  if (/^\d+$/.test(text) && id <= ID_MAX) return id;
  throw new InvalidArgumentError(`Expected a number from 0 to ${ID_MAX}`);
}

async function attach(
  command: Command,
  volumes: readonly AttachmentArgument[],
  options: AttachOptions,
  context: CommandContext,
): Promise<void> {
  if ((options.uid === undefined) !== (options.gid === undefined)) {
    command.error("error: expected both --uid and --gid");
  }
  if (options.pid !== undefined) throw runningContainer(options.pid);
  const agent = openAgent(options.socket);
  const present = await findContainer(agent, options.container);
  const sandbox = options.sandbox === undefined ? present?.sandbox : resolve(options.sandbox);
  if (sandbox === undefined) return command.error(`error: expected --sandbox, ${options.container} has no volumes yet`);
  const attached = await agent.attach(options.container, containerBody(sandbox, volumes, present, options));
  context.print(options.json ? printableJson(attached) : describeAttached(attached, volumes));
}

function runningContainer(pid: number): HoldfastError {
  return new HoldfastError(
    "unsupported",
    `Cannot attach to the running container of process ${pid}: this version only attaches to a sandbox directory, ` +
      "use --sandbox",
  );
}

function containerBody(
  sandbox: string,
  volumes: readonly AttachmentArgument[],
  present: ContainerJson | undefined,
  { uid, gid }: AttachOptions,
): ContainerBody {
  return {
    sandbox,
    volumes: [...keptVolumes(present, volumes), ...volumes],
    ...(uid === undefined || gid === undefined ? {} : { uid, gid }),
  };
}

function describeAttached(container: ContainerJson, asked: readonly AttachmentArgument[]): string {
  const names = new Set(asked.map(volumeText));
  const attached = container.volumes.filter((attachment) => names.has(volumeText(attachment)));
  return attached.flatMap((attachment) => describeAttachment(container, attachment)).join("\n");
}

function describeAttachment({ id, sandbox }: ContainerJson, attachment: AttachmentJson): readonly string[] {
  const mode = attachment.mode === "RO" ? ", read-only" : "";
  return [
    `Attached ${volumeText(attachment)} to ${id} at ${attachmentPath(sandbox, attachment)}${mode}`,
    ...(attachment.propagation === "private" ? [PRIVATE] : []),
    ...(attachment.problem === undefined ? [] : [`  ${attachment.problem}`]),
  ].map(printable);
}

const PRIVATE = "  A container that runs already does not see it: the sandbox lies on a private mount";
