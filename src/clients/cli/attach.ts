import { resolve } from "node:path";
import { type Command, InvalidArgumentError } from "commander";
import { parseContainerId } from "../../domain/names.ts";
import type { ContainerId } from "../../domain/units.ts";
import type { AttachmentJson, ContainerBody, ContainerJson } from "../../faces/agent-socket/wire.ts";
import { openAgent } from "./agent.ts";
import { type AttachmentArgument, parseAttachment } from "./attachment-argument.ts";
import { addExamples, type CommandContext, type Configure } from "./command.ts";
import { attachmentPath, type ContainerPlace, findContainer, keptVolumes, placeOf } from "./container.ts";
import { addJsonOptions, asUsage, collected, type JsonOptions, parsePath, volumeText } from "./options.ts";
import { printable, printableJson } from "./text.ts";

interface AttachOptions extends JsonOptions {
  readonly app?: string;
  readonly container?: ContainerId;
  readonly sandbox?: string;
  readonly uid?: number;
  readonly gid?: number;
  readonly pid?: number;
}

export const configureAttach: Configure = (command, context) => {
  command
    .description(
      "Makes volumes appear in a container's sandbox, or with --pid in a container that runs, beside those that it has " +
        "already. A volume that it has already moves to the path given now; to change only its mode, detach it first. " +
        "The end of the process that --pid names takes them out again. With --app it gets the volumes of one free instance of " +
        "that app, first of one that was used before.",
    )
    .argument(
      "[ROLE/ID[:PATH[:ro]]...]",
      "volumes, each with its name in the sandbox (default: its own) and ro when the container must not write; " +
        "a colon that is part of a name is written \\:",
      collected(asUsage(parseAttachment)),
    )
    .option("--app <ID>", "a stateful app (holdfast app list), in place of volumes or beside them")
    .option("--container <ID>", "the container's id (default with --pid 12: pid-12)", asUsage(parseContainerId))
    .option(
      "--sandbox <DIR>",
      "the container's directory (default: where the container has volumes already); with --pid a directory inside " +
        "the container (default: /)",
      parsePath,
    )
    .option("--pid <PID>", "the first process of a container that runs", parsePid)
    .option("--uid <UID>", "who shall own the top of a volume that is empty (default: the sandbox's owner)", parseId)
    .option("--gid <GID>", "the group, together with --uid", parseId)
    .action((volumes: readonly AttachmentArgument[] = [], options: AttachOptions) =>
      attach(command, volumes, options, context),
    );
  addJsonOptions(command, context);
  addExamples(
    command,
    "holdfast attach ads/db --container web-1 --sandbox /srv/web-1",
    "holdfast attach ads/db:data ads/config:etc:ro --container web-1 --sandbox /srv/web-1 --uid 1000 --gid 1000",
    "holdfast attach --app /sesame/samson --container samson-1 --sandbox /srv/samson-1",
    "holdfast attach ads/db --pid 4242",
    "holdfast attach ads/db:data --pid 4242 --sandbox /var/lib --container web-1",
  );
};

/** The largest id means "nobody in particular" to the kernel. */
const ID_MAX = 2 ** 32 - 2;

/** The kernel's own limit. */
const PID_MAX = 2 ** 22;

function parsePid(text: string): number {
  const pid = Number(text);
  if (/^\d+$/.test(text) && pid > 0 && pid <= PID_MAX) return pid;
  throw new InvalidArgumentError(`Expected a number from 1 to ${PID_MAX}`);
}

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
  if (volumes.length === 0 && options.app === undefined) command.error("error: expected volumes or --app");
  const id = options.container ?? (options.pid === undefined ? undefined : `pid-${options.pid}`);
  if (id === undefined) return command.error("error: expected --container or --pid");
  const agent = openAgent(options.socket);
  const present = await findContainer(agent, id);
  const place = wantedPlace(options) ?? (present === undefined ? undefined : placeOf(present));
  if (place === undefined) return command.error(`error: expected --sandbox, ${id} has no volumes yet`);
  const attached = await agent.attach(id, containerBody(place, volumes, present, options));
  const shown = options.app === undefined ? attached.volumes.filter(isAmong(volumes)) : attached.volumes;
  context.print(options.json ? printableJson(attached) : describeAttached(attached, shown));
}

/** Where the options say that the container is, if they say it. */
function wantedPlace({ sandbox, pid }: AttachOptions): ContainerPlace | undefined {
  // A relative path inside another root means below that root.
  if (pid !== undefined) return { sandbox: resolve("/", sandbox ?? "/"), pid };
  return sandbox === undefined ? undefined : { sandbox: resolve(sandbox) };
}

function containerBody(
  place: ContainerPlace,
  volumes: readonly AttachmentArgument[],
  present: ContainerJson | undefined,
  { app, uid, gid }: AttachOptions,
): ContainerBody {
  return {
    ...place,
    ...(app === undefined ? {} : { app }),
    volumes: [...keptVolumes(present, volumes), ...volumes],
    ...(uid === undefined || gid === undefined ? {} : { uid, gid }),
  };
}

function isAmong(asked: readonly AttachmentArgument[]): (attachment: AttachmentJson) => boolean {
  const names = new Set(asked.map(volumeText));
  return (attachment) => names.has(volumeText(attachment));
}

function describeAttached(container: ContainerJson, attached: readonly AttachmentJson[]): string {
  return attached.flatMap((attachment) => describeAttachment(container, attachment)).join("\n");
}

function describeAttachment(container: ContainerJson, attachment: AttachmentJson): readonly string[] {
  const { id, pid } = container;
  const where = `${attachmentPath(container, attachment)}${pid === undefined ? "" : ` inside process ${pid}`}`;
  const mode = attachment.mode === "RO" ? ", read-only" : "";
  return [
    `Attached ${volumeText(attachment)} to ${id} at ${where}${mode}`,
    ...(attachment.propagation === "private" && pid === undefined ? [PRIVATE] : []),
    ...(attachment.problem === undefined ? [] : [`  ${attachment.problem}`]),
  ].map(printable);
}

const PRIVATE = "  A container that runs already does not see it: the sandbox lies on a private mount";
