/** The volumes of a container and its sandbox, as the socket and a container's annotations write them. */
import { z } from "zod";
import { readAppId } from "../../domain/app-id.ts";
import { parseContainerPath, parseRole, parseVolumeId } from "../../domain/names.ts";
import { refuse, show } from "../../domain/refusal.ts";
import type { AppId } from "../../domain/units.ts";
import type { AttachRequest } from "../../engine/engine.ts";

const PATH_BYTES_MAX = 4095;

export const VOLUME_LIST = z.array(
  z.strictObject({
    role: z.unknown().optional(),
    id: z.unknown().optional(),
    containerPath: z.unknown().optional(),
    mode: z.enum(["RW", "RO"]).default("RW"),
  }),
);

export type VolumeList = z.output<typeof VOLUME_LIST>;

/**
 * @param what the name of the list: "volumes"
 * @throws `invalid` with the number of the first item that is wrong
 */
export function parseVolumeList(list: VolumeList, what: string): AttachRequest["volumes"] {
  return Object.freeze(list.map((item, index) => parseVolume(item, `${what}: item ${index + 1}`)));
}

function parseVolume(
  { role, id, containerPath, mode }: VolumeList[number],
  what: string,
): AttachRequest["volumes"][number] {
  return Object.freeze({
    role: parseRole(role, `${what}: role`),
    id: parseVolumeId(id, `${what}: id`),
    ...(containerPath === undefined
      ? {}
      : { containerPath: parseContainerPath(containerPath, `${what}: containerPath`) }),
    mode,
  });
}

/** A stateful app's id. @throws `invalid` anything else */
export function parseApp(value: unknown, what: string): AppId {
  const read = readAppId(value);
  return "id" in read ? read.id : refuse(what, show(value), "an app's id like /sesame/samson");
}

/**
 * An absolute path in its shortest form; `..` would mean something else behind a symlink.
 * @throws `invalid` anything else
 */
export function parseSandbox(path: string, what: string): string {
  if (!path.startsWith("/")) refuse(what, show(path), "an absolute path");
  if (path.includes("\0")) refuse(what, show(path), "no NUL");
  if (Buffer.byteLength(path) > PATH_BYTES_MAX) refuse(what, "too long", `at most ${PATH_BYTES_MAX} bytes`);
  const components = path.split("/").filter((component) => component !== "" && component !== ".");
  if (components.includes("..")) refuse(what, show(path), "a path without ..");
  return `/${components.join("/")}`;
}
