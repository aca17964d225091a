import { HoldfastError } from "../../domain/error.ts";
import { parseContainerPath } from "../../domain/names.ts";
import type { Mode } from "../../domain/resource.ts";
import type { ContainerPath } from "../../domain/units.ts";
import { parseVolumeName, type VolumeName } from "./options.ts";

/** A volume to attach, as one argument names it. */
export interface AttachmentArgument extends VolumeName {
  /** Without it: the volume's own. */
  readonly containerPath?: ContainerPath;
  readonly mode: Mode;
}

const UNESCAPED_COLON = /(?<!\\):/;
const ESCAPED_COLON = /\\:/g;

/**
 * Parses ROLE/ID[:PATH[:ro|:rw]]; a colon inside a name is written `\:`, an empty PATH means the volume's own.
 *
 * @example
 * parseAttachment("ads/db:data:ro") // { role: "ads", id: "db", containerPath: "data", mode: "RO" }
 */
export function parseAttachment(text: string): AttachmentArgument {
  const [name = "", path = "", mode = "rw", ...rest] = text
    .split(UNESCAPED_COLON)
    .map((part) => part.replace(ESCAPED_COLON, ":"));
  if (rest.length > 0) throw new HoldfastError("invalid", "Expected ROLE/ID[:PATH[:ro]], for example ads/db:data:ro");
  return {
    ...parseVolumeName(name),
    ...(path === "" ? {} : { containerPath: parseContainerPath(path) }),
    mode: parseMode(mode),
  };
}

function parseMode(text: string): Mode {
  if (text === "ro") return "RO";
  if (text === "rw") return "RW";
  throw new HoldfastError("invalid", "Expected ro or rw behind the path");
}
