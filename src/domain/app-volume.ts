/**
 * The persistent volumes in a Marathon app definition, the old form `{"size": 10}` and the new one
 * `{"type", "size", "maxSize", "constraints"}`, validated as Marathon does. Volumes of other kinds are none of our
 * business.
 */
import type { Violation } from "./app-error.ts";
import { codeOf } from "./error.ts";
import { fieldOf, type JsonObject } from "./json.ts";
import { parseContainerPath } from "./names.ts";
import { parsePathPattern } from "./path-pattern.ts";
import type { AppVolume, PathConstraint } from "./records.ts";
import type { DiskSource } from "./resource.ts";
import { type ContainerPath, MAX_MB, type MilliMb, toMb } from "./units.ts";

const TYPES: ReadonlyMap<unknown, AppVolume["type"]> = new Map([
  ["root", "ROOT"],
  ["path", "PATH"],
  ["mount", "MOUNT"],
]);

/** Enough for a name under any app, within what a file name may have. */
const PATH_BYTES_MAX = 50;

const VOLUME_FIELDS: ReadonlySet<string> = new Set(["containerPath", "mode", "persistent"]);
const PERSISTENT_FIELDS: ReadonlySet<string> = new Set(["type", "size", "maxSize", "constraints"]);

/** Reads the persistent ones of `container.volumes`; what is wrong is added to `found`. */
export function readAppVolumes(volumes: readonly unknown[], found: Violation[]): readonly AppVolume[] {
  const read = volumes.flatMap((volume, index) => {
    if (!isObject(volume) || fieldOf(volume, "persistent") === undefined) return [];
    return readVolume(volume, `/container/volumes(${index})`, found);
  });
  const paths = read.map(({ containerPath }) => containerPath);
  if (new Set(paths).size < paths.length) {
    found.push({ path: "/container/volumes", error: "container paths of persistent volumes must be unique" });
  }
  return read;
}

/** A definition's volume as it is shown: in the new form, with what was left out filled in. */
export function showAppVolume({ containerPath, size, type, maxSize, constraints }: AppVolume): JsonObject {
  return {
    containerPath,
    mode: "RW",
    persistent: {
      type: type.toLowerCase(),
      size: toMb(size),
      ...(maxSize === undefined ? {} : { maxSize: toMb(maxSize) }),
      ...(constraints === undefined
        ? {}
        : { constraints: constraints.map(({ operator, pattern }) => ["path", operator, pattern]) }),
    },
  };
}

/** Whether a volume may lie on a disk, as far as type and constraints tell. */
export function fits({ type, constraints = [] }: AppVolume, source: DiskSource): boolean {
  if (source.type !== type) return false;
  if (source.type === "ROOT") return true;
  return constraints.every(
    ({ operator, pattern }) => (parsePathPattern(pattern)?.(source.root) === true) === (operator === "LIKE"),
  );
}

/** Equal for volumes that are the same in everything. */
export function volumeKey({ containerPath, size, type, maxSize, constraints }: AppVolume): string {
  return JSON.stringify([containerPath, size, type, maxSize ?? null, constraints ?? []]);
}

/** What a volume takes of a disk that has so much free; `undefined` when it does not fit. */
export function sizeOn(
  { size, maxSize }: AppVolume,
  source: DiskSource,
  disk: { readonly free: MilliMb; readonly total: MilliMb },
): MilliMb | undefined {
  if (disk.free < size) return undefined;
  if (source.type !== "MOUNT") return size;
  // A whole file system is taken whole, or not at all.
  const isTooLarge = maxSize !== undefined && disk.total > maxSize;
  return disk.free === disk.total && !isTooLarge ? disk.total : undefined;
}

function readVolume(volume: JsonObject, path: string, found: Violation[]): AppVolume | [] {
  const before = found.length;
  refuseOthers(volume, VOLUME_FIELDS, path, found);
  const containerPath = readContainerPath(fieldOf(volume, "containerPath"), `${path}/containerPath`, found);
  const mode = fieldOf(volume, "mode");
  if (mode !== undefined && mode !== "RW") {
    found.push({ path: `${path}/mode`, error: `got ${print(mode)}, expected RW` });
  }
  const persistent = readPersistent(fieldOf(volume, "persistent"), `${path}/persistent`, found);
  return found.length > before || containerPath === undefined || persistent === undefined
    ? []
    : { containerPath, ...persistent };
}

function readContainerPath(value: unknown, path: string, found: Violation[]): ContainerPath | undefined {
  const refuse = (error: string): undefined => void found.push({ path, error });
  if (value === undefined) return refuse("error.path.missing");
  if (typeof value !== "string") return refuse("error.expected.jsstring");
  if (value === "") return refuse("must not be empty");
  if (value === "." || value === "..") return refuse("can not be one of (., ..)");
  if (value.includes("/")) return refuse('value must not contain "/"');
  if (value.includes("#") || value.includes("\\")) return refuse('value must not contain "#" or "\\"');
  if (new TextEncoder().encode(value).length > PATH_BYTES_MAX) return refuse(`must be at most ${PATH_BYTES_MAX} bytes`);
  try {
    return parseContainerPath(value);
  } catch (error) {
    if (codeOf(error) !== "invalid") throw error;
    return refuse("must be well-formed Unicode without control characters");
  }
}

function readPersistent(
  value: unknown,
  path: string,
  found: Violation[],
): Omit<AppVolume, "containerPath"> | undefined {
  if (!isObject(value)) return void found.push({ path, error: "error.expected.jsobject" });
  refuseOthers(value, PERSISTENT_FIELDS, path, found);
  const type = readType(fieldOf(value, "type"), `${path}/type`, found);
  const size = readSize(fieldOf(value, "size"), `${path}/size`, found);
  const maxSize = readMaxSize(fieldOf(value, "maxSize"), { path: `${path}/maxSize`, type, size }, found);
  const constraints = readConstraints(fieldOf(value, "constraints"), { path: `${path}/constraints`, type }, found);
  if (type === undefined || size === undefined) return undefined;
  return {
    size,
    type,
    ...(maxSize === undefined ? {} : { maxSize }),
    ...(constraints.length === 0 ? {} : { constraints }),
  };
}

function readType(value: unknown, path: string, found: Violation[]): AppVolume["type"] | undefined {
  const type = value === undefined ? "ROOT" : TYPES.get(value);
  if (type === undefined) found.push({ path, error: `got ${print(value)}, expected one of root, path, mount` });
  return type;
}

function readSize(value: unknown, path: string, found: Violation[]): MilliMb | undefined {
  const refuse = (error: string): undefined => void found.push({ path, error });
  if (value === undefined) return refuse("error.path.missing");
  if (typeof value !== "number" || !Number.isInteger(value)) return refuse("error.expected.jsnumber");
  if (value <= 0) return refuse(`got ${value}, expected more than 0`);
  return value <= MAX_MB ? ((value * 1000) as MilliMb) : refuse(`got ${value}, expected ${Math.floor(MAX_MB)} or less`);
}

interface Place {
  readonly path: string;
  readonly type: AppVolume["type"] | undefined;
}

function readMaxSize(
  value: unknown,
  { path, type, size }: Place & { readonly size: MilliMb | undefined },
  found: Violation[],
): MilliMb | undefined {
  if (value === undefined) return undefined;
  const maxSize = readSize(value, path, found);
  if (type !== "MOUNT") found.push({ path, error: "Only mount volumes can have maxSize" });
  else if (maxSize !== undefined && size !== undefined && maxSize <= size) {
    found.push({ path, error: "Max size must be larger than size" });
  }
  return maxSize;
}

function readConstraints(value: unknown, { path, type }: Place, found: Violation[]): readonly PathConstraint[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) {
    found.push({ path, error: "error.expected.jsarray" });
    return [];
  }
  if (value.length > 0 && type === "ROOT") {
    found.push({ path, error: "Constraints on root volumes are not supported" });
  }
  return value.flatMap((one, index) => readConstraint(one, `${path}(${index})`, found));
}

function readConstraint(value: unknown, path: string, found: Violation[]): PathConstraint | [] {
  const refuse = (error: string): [] => {
    found.push({ path, error });
    return [];
  };
  if (!Array.isArray(value)) return refuse("error.expected.jsarray");
  const [field, operator, pattern, ...rest] = value as readonly unknown[];
  if (operator !== "LIKE" && operator !== "UNLIKE") return refuse("Unsupported operation");
  if (field !== "path") return refuse("Unsupported field");
  if (typeof pattern !== "string" || rest.length > 0) return refuse("A regular expression value must be provided");
  return parsePathPattern(pattern) === undefined ? refuse("Invalid regular expression") : { operator, pattern };
}

function refuseOthers(object: JsonObject, known: ReadonlySet<string>, path: string, found: Violation[]): void {
  for (const name of Object.keys(object)) {
    if (!known.has(name) && fieldOf(object, name) !== undefined)
      found.push({ path: `${path}/${name.slice(0, 40)}`, error: "is not supported here" });
  }
}

function print(value: unknown): string {
  return typeof value === "string" ? value.slice(0, 40) : JSON.stringify(value).slice(0, 40);
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
