import { parseContainerPath, parseVolumeId } from "../../domain/names.ts";
import { BYTES_PER_MB, type ContainerPath, type MilliMb, toMb } from "../../domain/units.ts";
import type { CopyBody, VolumeJson } from "../../faces/agent-socket/wire.ts";
import { openAgent } from "./agent.ts";
import { addExamples, type CommandContext, type Configure } from "./command.ts";
import {
  addJsonOptions,
  asUsage,
  type JsonOptions,
  parseVolumeName,
  sizeOption,
  type VolumeName,
  volumeText,
} from "./options.ts";
import { printable, printableJson } from "./text.ts";

interface CopyOptions extends JsonOptions {
  readonly size?: MilliMb;
  readonly path?: ContainerPath;
}

/** Between two lines of progress; the copy goes on in between. */
const WAIT_SECONDS = 5;

export const configureCopy: Configure = (command, context) => {
  command
    .description(
      "Makes a volume whose content is a copy of another one's, or of a snapshot's, on the same disk: at once where the " +
        "file system can, else file by file. It goes on when this command is interrupted; the same command joins it.",
    )
    .argument("<ROLE/ID>", "the volume, for example ads/db", asUsage(parseVolumeName))
    .argument("<COPY>", "what the copy shall be called: ID in the same role, or ROLE/ID", asUsage(parseNewName))
    .addOption(sizeOption("--size <SIZE>", "its size (default: that of the volume)"))
    .option("--path <NAME>", "its name in a sandbox (default: that of the volume)", asUsage(parseContainerPath))
    .action((source: VolumeName, name: NewName, options: CopyOptions) =>
      copy({ source, ...name, ...bodyOf(options) }, options, context),
    );
  addJsonOptions(command, context);
  addExamples(command, "holdfast copy ads/db db-of-today", "holdfast copy ads/db test/db --size 2G");
};

export const configureSnapshot: Configure = (command, context) => {
  command
    .description(
      "Keeps the content of a volume as it is now: a snapshot has a size like a volume, is never attached, and is " +
        "destroyed and restored as one. What a writer has not written yet is not in it.",
    )
    .argument("<ROLE/ID>", "the volume, for example ads/db", asUsage(parseVolumeName))
    .argument("<SNAPSHOT>", "what the snapshot shall be called: ID in the same role, or ROLE/ID", asUsage(parseNewName))
    .addOption(sizeOption("--size <SIZE>", "its size (default: that of the volume)"))
    .action((source: VolumeName, name: NewName, options: CopyOptions) =>
      copy({ source, ...name, snapshot: true, ...bodyOf(options) }, options, context),
    );
  addJsonOptions(command, context);
  addExamples(command, "holdfast snapshot ads/db db-monday", "holdfast copy ads/db-monday db-again");
};

/** Without a role it is in that of its source. */
type NewName = Pick<VolumeName, "id"> & Partial<VolumeName>;

function parseNewName(text: string): NewName {
  return text.includes("/") ? parseVolumeName(text) : { id: parseVolumeId(text) };
}

function bodyOf({ size, path }: CopyOptions): Partial<CopyBody> {
  return {
    ...(size === undefined ? {} : { sizeMb: toMb(size) }),
    ...(path === undefined ? {} : { containerPath: path }),
  };
}

async function copy(body: CopyBody, options: CopyOptions, context: CommandContext): Promise<void> {
  const volume = await untilDone(body, options, context);
  if (options.json) return context.print(printableJson(volume));
  const deed = body.snapshot === true ? "Took a snapshot of" : "Copied";
  const end = `as ${volumeText(volume)} (${volume.sizeMb} MB), its content is at ${volume.path}`;
  context.print(printable(`${deed} ${volumeText(body.source)} ${end}`));
}

async function untilDone(body: CopyBody, options: CopyOptions, context: CommandContext): Promise<VolumeJson> {
  const agent = openAgent(options.socket);
  for (;;) {
    const volume = await agent.copy({ ...body, waitSeconds: WAIT_SECONDS });
    if (volume.copying === undefined) return volume;
    if (process.stderr.isTTY) context.complain(`Copying: ${progressOf(volume.copying)}`);
  }
}

function progressOf({ copiedBytes, totalBytes }: NonNullable<VolumeJson["copying"]>): string {
  const copied = Math.floor(copiedBytes / BYTES_PER_MB);
  return totalBytes === undefined ? `${copied} MB` : `${copied} of ${Math.ceil(totalBytes / BYTES_PER_MB)} MB`;
}
