/** Reads a resource's `disk` and `shared`: which disk it is on, and the persistent volume on it. */
import { fieldOf, type JsonObject, parseObject, parseString, parseWord } from "./json.ts";
import { parseContainerPath, parsePrincipal, parseVolumeId } from "./names.ts";
import { refuse, show } from "./refusal.ts";
import { type DiskSource, ROOT_DISK, type VolumeSpec } from "./resource.ts";

export interface DiskInfo {
  readonly source: DiskSource;
  readonly volume?: VolumeSpec;
}

const CONTROL = /\p{Cc}/u;

/**
 * @param what the resource's name
 * @throws `invalid` a disk that is not this node's, half a volume, or something shared that is no volume
 */
export function parseDiskInfo(resource: JsonObject, what: string): DiskInfo {
  const value = fieldOf(resource, "disk");
  const disk = value === undefined ? {} : parseObject(value, `${what}: disk`);
  const [persistence, volume, source] = ["persistence", "volume", "source"].map((key) => fieldOf(disk, key));
  const shared = parseShared(resource, what);
  if (persistence === undefined) {
    if (shared) refuse(`${what}: shared`, "present", "disk.persistence: only a persistent volume can be shared");
    if (volume !== undefined) refuse(`${what}: disk.volume`, "present", "disk.persistence with it");
    if (value !== undefined && source === undefined) refuse(`${what}: disk`, "empty", "persistence or source");
    return { source: parseSource(source, `${what}: disk.source`) };
  }
  return {
    source: parseSource(source, `${what}: disk.source`),
    volume: {
      ...parsePersistence(persistence, `${what}: disk.persistence`),
      ...parseVolume(volume, `${what}: disk.volume`),
      shared,
    },
  };
}

/** `shared` is an empty object or absent. */
function parseShared(resource: JsonObject, what: string): boolean {
  const shared = fieldOf(resource, "shared");
  return shared !== undefined && parseObject(shared, `${what}: shared`) !== undefined;
}

function parsePersistence(value: unknown, what: string): Pick<VolumeSpec, "id" | "principal"> {
  const persistence = parseObject(value, what);
  const id = parseVolumeId(fieldOf(persistence, "id"), `${what}.id`);
  const principal = fieldOf(persistence, "principal");
  return principal === undefined ? { id } : { id, principal: parsePrincipal(principal, `${what}.principal`) };
}

function parseVolume(value: unknown, what: string): Pick<VolumeSpec, "containerPath" | "mode"> {
  const volume = parseObject(value, what);
  requireAbsent(volume, ["host_path", "image", "source"], what);
  return {
    containerPath: parseContainerPath(fieldOf(volume, "container_path"), `${what}.container_path`),
    mode: parseWord(fieldOf(volume, "mode"), ["RW", "RO"], `${what}.mode`),
  };
}

function parseSource(value: unknown, what: string): DiskSource {
  if (value === undefined) return ROOT_DISK;
  const source = parseObject(value, what);
  const type = parseWord(fieldOf(source, "type"), ["PATH", "MOUNT"], `${what}.type`);
  requireAbsent(source, ["vendor", "id", "metadata", "profile", type === "PATH" ? "mount" : "path"], what);
  const field = `${what}.${type.toLowerCase()}`;
  const place = parseObject(fieldOf(source, type.toLowerCase()), field);
  return { type, root: parseRoot(fieldOf(place, "root"), `${field}.root`) };
}

/** An absolute path in its only form, so that equal disks have equal roots. */
function parseRoot(value: unknown, what: string): string {
  const root = parseString(value, what);
  if (CONTROL.test(root)) refuse(what, show(root), "no control characters");
  if (!root.startsWith("/")) refuse(what, show(root), "an absolute path");
  const components = root === "/" ? [] : root.slice(1).split("/");
  if (components.some((component) => ["", ".", ".."].includes(component))) {
    refuse(what, show(root), "a normalised path: no component empty, . or ..");
  }
  return root;
}

function requireAbsent(object: JsonObject, fields: readonly string[], what: string): void {
  for (const field of fields) {
    if (fieldOf(object, field) !== undefined) refuse(`${what}.${field}`, "present", "none");
  }
}
